"""Calls that say nothing of the mode, next to calls that do: in PyTorch that is evaluation."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Extractor(nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = nn.Linear(5, 9, bias=False)
        self.act = nn.RReLU(0.3, 0.9)

    def features(self, x):
        return F.rrelu(self.proj(x))

    def forward(self, x):
        fixed = self.features(x)
        moved = F.rrelu(fixed - 0.5, 0.2, 0.4)
        random = self.act(moved - 0.5)
        return fixed, moved, random


def main(training):
    rng = np.random.default_rng(11)
    net = Extractor().double()
    with torch.no_grad():
        net.proj.weight.copy_(torch.tensor(rng.normal(size=(9, 5))))
    net.train(training)
    x = torch.tensor(rng.normal(size=(6, 5)), requires_grad=True)
    fixed, moved, random = net(x)
    always = torch.rrelu(moved, 0.1, 0.2, True) if training else torch.rrelu(moved, 0.1, 0.2)
    (fixed.sum() + moved.mean() + random.std()).backward()
    return {"fixed": fixed, "moved": moved, "random": random, "always": always, "x.grad": x.grad}
