"""Random tensors against the definition: any floats, any shape up to five dimensions, any strides.

RRELU_COMPAT_FUZZ sets the number of inputs for each dtype.
"""

from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch

from rrelu_compat import Generator
from rrelu_compat.torch import rrelu

BITS = {
    torch.float16: torch.int16,
    torch.bfloat16: torch.int16,
    torch.float32: torch.int32,
    torch.float64: torch.int64,
}
SEED = int(os.environ.get("RRELU_COMPAT_SEED", "0"))
SPECIAL = (0.0, -0.0, float("inf"), -float("inf"), float("nan"), 5e-324, -1e-45, -6e-8, 1.0, -1.0)


def random_bits(random, n, dtype):
    """Numbers whose bits are random: all magnitudes, infinities, NaNs, subnormals."""
    integer = BITS[dtype]
    info = torch.iinfo(integer)
    words = random.integers(info.min, info.max, size=n, dtype=f"int{info.bits}", endpoint=True)
    x = torch.from_numpy(words).view(dtype)
    plain = torch.from_numpy(random.standard_normal(n)).to(dtype)
    special = torch.tensor(SPECIAL, dtype=torch.float64)[random.integers(0, len(SPECIAL), n)]
    choice = torch.from_numpy(random.integers(0, 3, n))
    return torch.where(choice == 0, x, torch.where(choice == 1, plain, special.to(dtype)))


def random_tensor(random, dtype):
    """A view with random shape and strides: sliced, permuted, flipped in memory, broadcast."""
    shape = [int(n) for n in random.choice([0, 1, 1, 2, 3, 4, 5, 7], size=random.integers(0, 6))]
    if random.random() < 0.95:
        shape = [max(n, 1) for n in shape]
    steps = [int(s) for s in random.choice([1, 1, 1, 2, 3], size=len(shape))]
    if math.prod(n * s for n, s in zip(shape, steps, strict=True)) > 4000:
        steps = [1] * len(shape)
    order = list(random.permutation(len(shape)))
    sizes = [shape[k] * steps[k] for k in order]
    x = random_bits(random, math.prod(sizes) + 3, dtype)[int(random.integers(0, 4)) :]
    x = x[: math.prod(sizes)].view(sizes)
    x = x[tuple(slice(None, None, steps[k]) for k in order)].permute(np.argsort(order).tolist())
    if shape and random.random() < 0.1:
        axis = int(random.integers(0, len(shape)))
        x = x.narrow(axis, 0, min(1, x.shape[axis])).expand_as(x)
    return x


def random_bounds(random):
    kind = random.integers(0, 4)
    if kind == 0:
        return 0.125, 1 / 3
    if kind == 1:
        value = float(random.normal())
        return value, value
    low, high = sorted(float(v) for v in random.normal(size=2) * 10.0 ** random.integers(-3, 4))
    return low, high


def check(definition, random, dtype):
    x = random_tensor(random, dtype)
    lower, upper = random_bounds(random)
    seed, call = (int(v) for v in random.integers(0, 2**64, size=2, dtype=np.uint64))
    training = bool(random.random() < 0.8)
    y0, vjp = (
        definition.training(x, lower, upper, seed, call)
        if training
        else definition.evaluation(x, lower, upper)
    )
    leaf = x.detach().requires_grad_()
    y = rrelu(leaf, lower, upper, training, generator=Generator(seed, call))
    assert definition.same_bits(y, y0)
    assert y.stride() == torch.empty_like(x).stride()
    g = random_tensor(random, dtype)
    g = g if g.shape == y.shape else random_bits(random, y.numel(), dtype).view(y.shape)
    (gx,) = torch.autograd.grad(y, leaf, g)
    assert definition.same_bits(gx, vjp(g))
    h = x.clone()
    assert rrelu(h, lower, upper, training, True, generator=Generator(seed, call)) is h
    assert definition.same_bits(h, y0)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", BITS)
def test_random_inputs(definition, dtype):
    random = np.random.default_rng([SEED, 20])
    for _ in range(int(os.environ.get("RRELU_COMPAT_FUZZ", "500"))):
        check(definition, random, dtype)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("dtype", BITS)
def test_a_hundred_thousand_random_inputs(definition, dtype):
    random = np.random.default_rng([SEED, 21])
    for _ in range(100_000):
        check(definition, random, dtype)
