import paddle

"""Layers in a Sequential, some with bounds by position, and a hook that watches them."""
from collections import OrderedDict

import numpy as np
from rrelu_compat.paddle import RReLU


def make_net():
    return paddle.nn.Sequential(
        OrderedDict(
            [
                ("fc1", paddle.compat.nn.Linear(5, 8)),
                ("norm", paddle.nn.LayerNorm(8)),
                ("act1", RReLU(0.05, 0.25)),
                ("fc2", paddle.compat.nn.Linear(8, 8)),
                ("act2", RReLU(lower=0.2, upper=0.2)),
                ("drop", paddle.nn.Dropout(p=0.0)),
                ("fc3", paddle.compat.nn.Linear(8, 1)),
            ]
        )
    )


def main(training):
    rng = np.random.default_rng(4)
    net = make_net()
    for p in net.parameters():
        p.data = paddle.tensor(rng.normal(0, 0.5, tuple(p.shape)), dtype=paddle.float32)
    net.train(training)
    seen = []
    handle = net.act1.register_forward_hook(
        lambda module, args, out: seen.append(out.detach())
    )
    x = paddle.tensor(rng.normal(size=(7, 5)), dtype=paddle.float32)
    y = net(x).squeeze(-1)
    handle.remove()
    loss = paddle.nn.functional.smooth_l1_loss(
        input=y, label=paddle.linspace(-1, 1, 7), is_huber=False
    )
    loss.backward()
    return {"y": y, "loss": loss, "seen": seen[0], "fc1.grad": net.fc1.weight.grad}
