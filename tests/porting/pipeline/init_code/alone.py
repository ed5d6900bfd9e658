import paddle

"""Initialisation that looks at the activation behind a layer."""
import math

import numpy as np


def gain_of(module):
    if isinstance(module, paddle.nn.RReLU):
        slope = (module.lower + module.upper) / 2
        return math.sqrt(2.0 / (1 + slope**2))
    if isinstance(module, (paddle.nn.ReLU, paddle.nn.ELU)):
        return math.sqrt(2.0)
    return 1.0


def init_weights(net, rng):
    layers = list(net.children())
    for layer, after in zip(layers, layers[1:] + [paddle.nn.Identity()]):
        if isinstance(layer, paddle.compat.nn.Linear):
            std = gain_of(after) / math.sqrt(layer.in_features)
            values = rng.normal(0, std, (layer.out_features, layer.in_features))
            with paddle.no_grad():
                layer.weight.copy_(paddle.tensor(values, dtype=paddle.float32))
            paddle.nn.init.constant_(layer.bias, 0.01)
        elif isinstance(layer, paddle.nn.BatchNorm1D):
            paddle.nn.init.ones_(layer.weight)
            paddle.nn.init.zeros_(layer.bias)


def main(training):
    rng = np.random.default_rng(7)
    net = paddle.nn.Sequential(
        paddle.compat.nn.Linear(8, 12),
        paddle.nn.RReLU(lower=0.2, upper=0.6),
        paddle.compat.nn.Linear(12, 12),
        paddle.nn.ELU(),
        paddle.compat.nn.Linear(12, 4),
    )
    init_weights(net, rng)
    net.train(training)
    x = paddle.tensor(rng.normal(size=(6, 8)), dtype=paddle.float32)
    y = paddle.nn.functional.log_softmax(x=net(x), axis=-1)
    loss = paddle.nn.NLLLoss()(y, paddle.tensor([0, 1, 2, 3, 0, 1]))
    loss.backward()
    return {
        "y": y,
        "loss": loss,
        "first.grad": net[0].weight.grad,
        "norm": paddle.norm(net[2].weight),
        "gains": paddle.tensor([gain_of(layer) for layer in net]),
    }
