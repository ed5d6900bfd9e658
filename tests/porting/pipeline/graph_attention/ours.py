"""Attention over the edges of a graph: index_select, index_add, exp; RReLU on the scores."""

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU
import torch.nn.functional as F


class GraphAttention(nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(inside, outside))
        self.left = nn.Parameter(torch.zeros(outside, 1))
        self.right = nn.Parameter(torch.zeros(outside, 1))
        self.act = RReLU(0.1, 0.2)

    def forward(self, x, edges):
        source, target = edges[0], edges[1]
        h = torch.mm(x, self.weight)
        left, right = torch.matmul(h, self.left), torch.matmul(h, self.right)
        score = self.act(left[source] + right[target]).squeeze(1)
        score = torch.exp(score - score.max())
        norm = torch.zeros(x.size(0), dtype=x.dtype).index_add(0, target, score)
        message = score.unsqueeze(1) * torch.index_select(h, 0, source)
        out = torch.zeros(x.size(0), h.size(1), dtype=x.dtype).index_add(0, target, message)
        return F.elu(out / norm.clamp(min=1e-9).unsqueeze(1))


def main(training):
    rng = np.random.default_rng(14)
    net = GraphAttention(4, 6).double()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
        with torch.no_grad():
            parameter.add_(torch.tensor(rng.normal(0, 0.8, tuple(parameter.shape))))
    net.train(training)
    edges = torch.tensor([[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]], dtype=torch.long)
    x = torch.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    y = net(x, edges)
    y.sum().backward()
    return {"y": y, "x.grad": x.grad, "left.grad": net.left.grad, "weight.grad": net.weight.grad}
