"""Print whether RReLU's gradient in a checkpoint is that of the plain run: ours, then PyTorch's own.

The arguments are the layers that follow RReLU in the segment. A program, because the answer for PyTorch's own
layer depends on what lay in the memory that it does not write.
"""

import json
import sys

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import rrelu_compat.torch


class Plus(nn.Module):
    def forward(self, x):
        return x + 1


class Sum(nn.Module):
    def forward(self, x):
        return x.sum(1)


def gradient(segment, repeat):
    torch.manual_seed(0)
    x = torch.linspace(-3, 3, 32 * 64).reshape(32, 64).requires_grad_()
    y = checkpoint(segment, x, use_reentrant=False) if repeat else segment(x)
    # The repetition's noise is not drawn: it must not find that of the forward in recycled memory.
    junk = [torch.full((32, 64), 7.0) for _ in range(100)]
    y.square().sum().backward()
    return x.grad if junk else None


def right(layer, after):
    names = {**vars(nn), "Plus": Plus, "Sum": Sum}
    segment = nn.Sequential(layer, *([eval(after, names)] if after else []))
    return torch.equal(gradient(segment, False), gradient(segment, True))


kinds = (rrelu_compat.torch.RReLU, nn.RReLU)
print(json.dumps([{after: right(kind(), after) for after in sys.argv[1:]} for kind in kinds]))
