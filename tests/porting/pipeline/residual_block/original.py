"""A residual block with batch normalisation and one activation used twice."""

import numpy as np
import torch
import torch.nn as nn


def conv3x3(inside, outside, stride=1):
    return nn.Conv2d(inside, outside, 3, stride=stride, padding=1, bias=False)


class BasicBlock(nn.Module):
    def __init__(self, inside, outside, stride=1, act_layer=nn.RReLU):
        super().__init__()
        self.conv1 = conv3x3(inside, outside, stride)
        self.bn1 = nn.BatchNorm2d(outside)
        self.conv2 = conv3x3(outside, outside)
        self.bn2 = nn.BatchNorm2d(outside)
        self.act = act_layer(inplace=True)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(
                nn.Conv2d(inside, outside, 1, stride=stride, bias=False),
                nn.BatchNorm2d(outside),
            )

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.act(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + identity
        return self.act(out)


def main(training):
    rng = np.random.default_rng(3)
    net = nn.Sequential(BasicBlock(4, 8, 2), BasicBlock(8, 8)).double()
    # By layer: Paddle's parameters() has the statistics of normalisation among the weights.
    with torch.no_grad():
        for m in net.modules():
            if isinstance(m, (nn.Conv2d, nn.BatchNorm2d)):
                m.weight.copy_(torch.tensor(rng.uniform(-0.5, 0.7, tuple(m.weight.shape))))
            if isinstance(m, nn.BatchNorm2d):
                m.bias.copy_(torch.tensor(rng.uniform(-0.3, 0.3, tuple(m.bias.shape))))
    net.train(training)
    x = torch.tensor(rng.normal(size=(3, 4, 8, 8)), requires_grad=True)
    y = net(x)
    y.pow(2).mean().backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "conv1.grad": net[0].conv1.weight.grad,
        "bn2 weight.grad": net[1].bn2.weight.grad,
    }
