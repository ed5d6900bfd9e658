"""Initialisation that looks at the activation behind a layer."""

import math

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU


def gain_of(module):
    if isinstance(module, RReLU):
        slope = (module.lower + module.upper) / 2
        return math.sqrt(2.0 / (1 + slope**2))
    if isinstance(module, (nn.ReLU, nn.ELU)):
        return math.sqrt(2.0)
    return 1.0


def init_weights(net, rng):
    layers = list(net.children())
    for layer, after in zip(layers, layers[1:] + [nn.Identity()]):
        if isinstance(layer, nn.Linear):
            std = gain_of(after) / math.sqrt(layer.in_features)
            values = rng.normal(0, std, (layer.out_features, layer.in_features))
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(values, dtype=torch.float32))
            nn.init.constant_(layer.bias, 0.01)
        elif isinstance(layer, nn.BatchNorm1d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


def main(training):
    rng = np.random.default_rng(7)
    net = nn.Sequential(
        nn.Linear(8, 12), RReLU(0.2, 0.6), nn.Linear(12, 12), nn.ELU(), nn.Linear(12, 4)
    )
    init_weights(net, rng)
    net.train(training)
    x = torch.tensor(rng.normal(size=(6, 8)), dtype=torch.float32)
    y = nn.functional.log_softmax(net(x), dim=-1)
    loss = nn.NLLLoss()(y, torch.tensor([0, 1, 2, 3, 0, 1]))
    loss.backward()
    return {
        "y": y,
        "loss": loss,
        "first.grad": net[0].weight.grad,
        "norm": torch.norm(net[2].weight),
        "gains": torch.tensor([gain_of(layer) for layer in net]),
    }
