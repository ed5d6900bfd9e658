import paddle

"""Calls that say nothing of the mode, next to calls that do: in PyTorch that is evaluation."""
import numpy as np
from rrelu_compat.paddle import RReLU, rrelu


class Extractor(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = paddle.compat.nn.Linear(5, 9, bias=False)
        self.act = RReLU(0.3, 0.9)

    def features(self, x):
        return rrelu(self.proj(x), training=False)

    def forward(self, x):
        fixed = self.features(x)
        moved = rrelu(fixed - 0.5, 0.2, 0.4, training=False)
        random = self.act(moved - 0.5)
        return fixed, moved, random


def main(training):
    rng = np.random.default_rng(11)
    net = Extractor().double()
    with paddle.no_grad():
        net.proj.weight.copy_(paddle.tensor(rng.normal(size=(9, 5))))
    net.train(training)
    x = paddle.tensor(rng.normal(size=(6, 5)), requires_grad=True)
    fixed, moved, random = net(x)
    always = (
        rrelu(moved, 0.1, 0.2, True)
        if training
        else rrelu(moved, 0.1, 0.2, training=False)
    )
    (fixed.sum() + moved.mean() + random.std()).backward()
    return {
        "fixed": fixed,
        "moved": moved,
        "random": random,
        "always": always,
        "x.grad": x.grad,
    }
