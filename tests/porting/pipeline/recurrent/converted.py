import paddle

"""A cell of the program's own over time: chunk, gates, stack; a partial and a default argument."""
from functools import partial

import numpy as np
from rrelu_compat.paddle import torch_rrelu

leak = partial(torch_rrelu, lower=0.15, upper=0.25)


class Cell(paddle.nn.Module):
    def __init__(self, inside, hidden, activation=torch_rrelu):
        super().__init__()
        self.gates = paddle.compat.nn.Linear(inside + hidden, 3 * hidden)
        self.hidden = hidden
        self.activation = activation

    def forward(self, x, h):
        r, z, n = self.gates(paddle.cat((x, h), dim=1)).chunk(3, dim=1)
        z = paddle.sigmoid(z)
        n = self.activation(n) + leak(r, training=self.training)
        return (1 - z) * paddle.tanh(n) + z * h


def main(training):
    rng = np.random.default_rng(16)
    cell = Cell(3, 5).double()
    with paddle.no_grad():
        for p in cell.parameters():
            p.copy_(paddle.tensor(rng.normal(0, 0.7, tuple(p.shape))))
    cell.train(training)
    x = paddle.tensor(rng.normal(size=(6, 4, 3)), requires_grad=True)
    h = paddle.zeros(4, 5, dtype=paddle.float64)
    states = []
    for step in x:
        h = cell(step, h)
        states.append(h)
    y = paddle.stack(states, dim=1)
    y[:, -1].norm().backward()
    return {"y": y, "x.grad": x.grad, "gates.grad": cell.gates.weight.grad}
