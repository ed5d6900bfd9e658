import paddle

"""Calls that say nothing of the mode, next to calls that do: in PyTorch that is evaluation."""
import numpy as np


class Extractor(paddle.nn.Module):
    def __init__(self):
        super().__init__()
        self.proj = paddle.compat.nn.Linear(5, 9, bias=False)
        self.act = paddle.nn.RReLU(lower=0.3, upper=0.9)

    def features(self, x):
        return paddle.nn.functional.rrelu(x=self.proj(x))

    def forward(self, x):
        fixed = self.features(x)
        moved = paddle.nn.functional.rrelu(x=fixed - 0.5, lower=0.2, upper=0.4)
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
        paddle.nn.functional.rrelu(x=moved, lower=0.1, upper=0.2, training=True)
        if training
        else paddle.nn.functional.rrelu(x=moved, lower=0.1, upper=0.2)
    )
    (fixed.sum() + moved.mean() + random.std()).backward()
    return {
        "fixed": fixed,
        "moved": moved,
        "random": random,
        "always": always,
        "x.grad": x.grad,
    }
