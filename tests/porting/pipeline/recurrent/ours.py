"""A cell of the program's own over time: chunk, gates, stack; a partial and a default argument."""

from functools import partial

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import torch_rrelu

leak = partial(torch_rrelu, lower=0.15, upper=0.25)


class Cell(nn.Module):
    def __init__(self, inside, hidden, activation=torch_rrelu):
        super().__init__()
        self.gates = nn.Linear(inside + hidden, 3 * hidden)
        self.hidden = hidden
        self.activation = activation

    def forward(self, x, h):
        r, z, n = self.gates(torch.cat((x, h), dim=1)).chunk(3, dim=1)
        z = torch.sigmoid(z)
        n = self.activation(n) + leak(r, training=self.training)
        return (1 - z) * torch.tanh(n) + z * h


def main(training):
    rng = np.random.default_rng(16)
    cell = Cell(3, 5).double()
    with torch.no_grad():
        for p in cell.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.7, tuple(p.shape))))
    cell.train(training)
    x = torch.tensor(rng.normal(size=(6, 4, 3)), requires_grad=True)
    h = torch.zeros(4, 5, dtype=torch.float64)
    states = []
    for step in x:
        h = cell(step, h)
        states.append(h)
    y = torch.stack(states, dim=1)
    y[:, -1].norm().backward()
    return {"y": y, "x.grad": x.grad, "gates.grad": cell.gates.weight.grad}
