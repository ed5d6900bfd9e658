"""Attention with heads: einsum, view, permute, cat, masks; RReLU in the feed-forward part."""

import math

import numpy as np
import torch
import torch.nn as nn
from rrelu_compat.paddle import RReLU
import torch.nn.functional as F


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x, mask=None):
        batch, length, width = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        scores = torch.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(width // self.heads)
        if mask is not None:
            scores = scores.masked_fill(mask, float("-inf"))
        weights = F.softmax(scores, dim=-1)
        y = torch.matmul(weights, v).transpose(1, 2).reshape(batch, length, width)
        return self.out(y)


class Block(nn.Module):
    def __init__(self, width=8, heads=2):
        super().__init__()
        self.attention = Attention(width, heads)
        self.norm = nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(2 * width, 16), RReLU(), nn.Linear(16, width))

    def forward(self, x):
        length = x.size(1)
        mask = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=1)
        y = self.norm(x + self.attention(x, mask))
        return x + self.feed(torch.cat([x, y], dim=-1))


def main(training):
    rng = np.random.default_rng(13)
    net = Block().double()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.tensor(rng.normal(0, 0.4, tuple(p.shape))))
    net.train(training)
    x = torch.tensor(rng.normal(size=(2, 5, 8)), requires_grad=True)
    y = net(x)
    y.sum(dim=(1, 2)).prod().backward()
    return {"y": y, "x.grad": x.grad, "qkv.grad": net.attention.qkv.weight.grad}
