"""Layers in a Sequential, some with bounds by position, and a hook that watches them."""

from collections import OrderedDict

import numpy as np
import torch
from torch import nn


def make_net():
    return nn.Sequential(
        OrderedDict(
            [
                ("fc1", nn.Linear(5, 8)),
                ("norm", nn.LayerNorm(8)),
                ("act1", nn.RReLU(0.05, 0.25)),
                ("fc2", nn.Linear(8, 8)),
                ("act2", nn.RReLU(lower=0.2, upper=0.2)),
                ("drop", nn.Dropout(p=0.0)),
                ("fc3", nn.Linear(8, 1)),
            ]
        )
    )


def main(training):
    rng = np.random.default_rng(4)
    net = make_net()
    for p in net.parameters():
        p.data = torch.tensor(rng.normal(0, 0.5, tuple(p.shape)), dtype=torch.float32)
    net.train(training)
    seen = []
    handle = net.act1.register_forward_hook(lambda module, args, out: seen.append(out.detach()))
    x = torch.tensor(rng.normal(size=(7, 5)), dtype=torch.float32)
    y = net(x).squeeze(-1)
    handle.remove()
    loss = torch.nn.functional.smooth_l1_loss(y, torch.linspace(-1, 1, 7))
    loss.backward()
    return {"y": y, "loss": loss, "seen": seen[0], "fc1.grad": net.fc1.weight.grad}
