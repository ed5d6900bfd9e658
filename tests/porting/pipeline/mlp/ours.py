"""A perceptron with RReLU as a function, its mode taken from the module."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from rrelu_compat.paddle import rrelu


class MLP(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:]))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = rrelu(layer(x), 0.1, 0.4, training=self.training)
        return self.layers[-1](x)


def main(training):
    rng = np.random.default_rng(1)
    net = MLP([6, 16, 12, 3]).double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.from_numpy(rng.normal(0, 0.4, tuple(p.shape))))
    net.train(training)
    x = torch.tensor(rng.normal(size=(10, 6)), requires_grad=True)
    target = torch.tensor(rng.normal(size=(10, 3)))
    y = net(x)
    loss = F.mse_loss(y, target)
    loss.backward()
    return {
        "y": y,
        "loss": loss,
        "x.grad": x.grad,
        "first weight.grad": net.layers[0].weight.grad,
        "last bias.grad": net.layers[-1].bias.grad,
    }
