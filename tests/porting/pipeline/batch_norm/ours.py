"""Normalisation with frozen statistics under an RReLU in training mode."""

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 6, 3),
            nn.BatchNorm2d(6, eps=1e-3),
            RReLU(0.125, 0.375),
            nn.GroupNorm(2, 6),
            nn.AvgPool2d(2),
            nn.Flatten(),
        )
        self.fc = nn.Linear(24, 3)

    def forward(self, x):
        return self.fc(self.body(x))


def main(training):
    rng = np.random.default_rng(17)
    net = Head().double()
    # By layer: Paddle's parameters() has the statistics of normalisation among the weights.
    for m in [net.body[0], net.body[1], net.body[3], net.fc]:
        with torch.no_grad():
            m.weight.copy_(torch.tensor(rng.uniform(-1.0, 1.0, tuple(m.weight.shape))))
            m.bias.copy_(torch.tensor(rng.uniform(-1.0, 1.0, tuple(m.bias.shape))))
    net.eval()
    net.body[2].train(training)
    x = torch.tensor(rng.normal(size=(4, 2, 7, 7)), requires_grad=True)
    y = net(x)
    (y * torch.arange(12, dtype=torch.float64).reshape(4, 3)).sum().backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "conv.grad": net.body[0].weight.grad,
        "norm.grad": net.body[1].weight.grad,
    }
