"""Activations chosen by name, kept in a ModuleDict."""

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU

ACTIVATIONS = {"relu": nn.ReLU, "rrelu": RReLU, "tanh": nn.Tanh, "elu": nn.ELU}


class Branches(nn.Module):
    def __init__(self, width, names=("relu", "rrelu", "elu")):
        super().__init__()
        self.inside = nn.ModuleList([nn.Linear(width, width) for _ in names])
        self.acts = nn.ModuleDict({name: ACTIVATIONS[name]() for name in names})
        self.mix = nn.Parameter(torch.ones(len(names)))

    def forward(self, x):
        outs = [act(layer(x)) for layer, act in zip(self.inside, self.acts.values())]
        stacked = torch.stack(outs, dim=0)
        weights = torch.softmax(self.mix, dim=0).view(-1, 1, 1)
        return (weights * stacked).sum(dim=0)


def main(training):
    rng = np.random.default_rng(5)
    net = Branches(6).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.as_tensor(rng.normal(0, 0.6, tuple(p.shape))))
    net.train(mode=training)
    x = torch.as_tensor(rng.normal(size=(9, 6)))
    y = net(x)
    y.abs().sum().backward()
    return {"y": y, "mix.grad": net.mix.grad, "weight.grad": net.inside[1].weight.grad}
