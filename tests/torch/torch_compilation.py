"""What the tests of compiled functions share."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

BACKENDS = ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]


def counted(function, backend="aot_eager", **options):
    counter = CompileCounterWithBackend(backend)
    return torch.compile(function, backend=counter, fullgraph=True, **options), counter


def step(function, x, *args):
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = function(x, *args)
    y.pow(2).sum().backward()
    return y.detach(), x.grad


def assert_same(definition, a, b):
    assert all(definition.same_bits(u, v) for u, v in zip(a, b, strict=True))
