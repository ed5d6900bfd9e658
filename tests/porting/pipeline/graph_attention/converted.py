import sys

sys.path.append(".")
import paddle
from paddle_utils import *

"""Attention over the edges of a graph: index_select, index_add, exp; RReLU on the scores."""
import numpy as np
from rrelu_compat.paddle import RReLU


class GraphAttention(paddle.nn.Module):
    def __init__(self, inside, outside):
        super().__init__()
        self.weight = paddle.nn.Parameter(paddle.zeros(inside, outside))
        self.left = paddle.nn.Parameter(paddle.zeros(outside, 1))
        self.right = paddle.nn.Parameter(paddle.zeros(outside, 1))
        self.act = RReLU(0.1, 0.2)

    def forward(self, x, edges):
        source, target = edges[0], edges[1]
        h = paddle.mm(x, self.weight)
        left, right = paddle.matmul(h, self.left), paddle.matmul(h, self.right)
        score = self.act(left[source] + right[target]).squeeze(1)
        score = paddle.exp(score - score._max())
        norm = paddle.zeros(x.size(0), dtype=x.dtype).index_add(0, target, score)
        message = score.unsqueeze(1) * paddle.index_select(h, 0, source)
        out = paddle.zeros(x.size(0), h.size(1), dtype=x.dtype).index_add(
            0, target, message
        )
        return paddle.nn.functional.elu(x=out / norm.clamp(min=1e-09).unsqueeze(1))


def main(training):
    rng = np.random.default_rng(14)
    net = GraphAttention(4, 6).double()
    for parameter in net.parameters():
        paddle.nn.init.zeros_(parameter)
        with paddle.no_grad():
            parameter.add_(paddle.tensor(rng.normal(0, 0.8, tuple(parameter.shape))))
    net.train(training)
    edges = paddle.tensor(
        [[0, 1, 2, 3, 4, 5, 0, 2], [1, 2, 3, 4, 5, 0, 3, 5]], dtype=paddle.long
    )
    x = paddle.tensor(rng.normal(size=(6, 4)), requires_grad=True)
    y = net(x, edges)
    y.sum().backward()
    return {
        "y": y,
        "x.grad": x.grad,
        "left.grad": net.left.grad,
        "weight.grad": net.weight.grad,
    }
