import paddle

"""Attention with heads: einsum, view, permute, cat, masks; RReLU in the feed-forward part."""
import math

import numpy as np
from rrelu_compat.paddle import RReLU


class Attention(paddle.nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = paddle.compat.nn.Linear(width, 3 * width)
        self.out = paddle.compat.nn.Linear(width, width)

    def forward(self, x, mask=None):
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = paddle.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(width // self.heads)
        if mask is not None:
            scores = scores.masked_fill(mask, float("-inf"))
        weights = paddle.compat.nn.functional.softmax(scores, dim=-1)
        y = paddle.matmul(weights, v).transpose(1, 2).reshape(batch, length, width)
        return self.out(y)


class Block(paddle.nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm = paddle.nn.LayerNorm(width)
        self.feed = paddle.nn.Sequential(
            paddle.compat.nn.Linear(2 * width, 16),
            RReLU(),
            paddle.compat.nn.Linear(16, width),
        )

    def forward(self, x):
        length = x.size(1)
        mask = paddle.triu(paddle.ones(length, length, dtype=paddle.bool), diagonal=1)
        y = self.norm(x + self.attention(x, mask))
        return x + self.feed(paddle.cat([x, y], dim=-1))


def main(training):
    rng = np.random.default_rng(13)
    net = Block().double()
    with paddle.no_grad():
        for p in net.parameters():
            p.copy_(paddle.tensor(rng.normal(0, 0.4, tuple(p.shape))))
    net.train(training)
    x = paddle.tensor(rng.normal(size=(2, 5, 8)), requires_grad=True)
    y = net(x)
    y.sum(dim=(1, 2)).prod().backward()
    return {"y": y, "x.grad": x.grad, "qkv.grad": net.attention.qkv.weight.grad}
