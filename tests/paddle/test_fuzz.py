"""Random inputs of every layout against the definition, bit for bit.

``RRELU_COMPAT_FUZZ`` sets the number of inputs for each dtype (default 400); the slow set runs 10**5.
"""

from __future__ import annotations

import os

import numpy as np
import paddle
import pytest

from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu

SEED = int(os.environ.get("RRELU_COMPAT_SEED", "0"))
DTYPES = ("float16", "bfloat16", "float32", "float64")


def random_bits(rng, dtype, size, define):
    """Half of them ordinary numbers, half any bit pattern; zeros of both signs among them."""
    plain = define.array(rng.standard_normal(size) * 10.0 ** rng.integers(-6, 5), dtype)
    unsigned = np.dtype(f"u{plain.dtype.itemsize}")
    wild = rng.integers(0, 2 ** (8 * unsigned.itemsize), size, dtype=unsigned).view(plain.dtype)
    mixed = np.where(rng.random(size) < 0.5, plain, wild)
    zeros = rng.random(size) < 0.1
    mixed[zeros] = define.array(rng.choice([0.0, -0.0], size), dtype)[zeros]
    return mixed


def random_layout(rng):
    """A shape of up to 5 dimensions and strides: permuted, with gaps, broadcast."""
    ndim = int(rng.integers(0, 6))
    shape = [int(n) for n in rng.integers(1, 6, ndim)]
    if ndim and rng.random() < 0.05:
        shape[int(rng.integers(ndim))] = 0
    strides, step = [0] * ndim, 1
    for axis in rng.permutation(ndim) if rng.random() < 0.6 else range(ndim - 1, -1, -1):
        if rng.random() < 0.2:
            step *= int(rng.integers(1, 4))
        strides[axis] = 0 if rng.random() < 0.1 else step
        step *= max(shape[axis], 1)
    return shape, strides, step


def random_bounds(rng, single):
    kind = rng.random()
    if kind < 0.3:
        return 1 / 8, 1 / 3
    if kind < 0.4:
        same = float(rng.standard_normal())
        return same, same
    size = 10.0 ** rng.integers(-50, 37 if single else 300)
    lower, upper = sorted(float(v) for v in rng.standard_normal(2) * size)
    return lower, upper


def tensor_of(define, flat, shape, strides):
    base = define.to_paddle(flat)
    return paddle.as_strided(base, shape, strides) if flat.size else base


def one(define, dtype, seed):
    rng = np.random.default_rng([SEED, seed, DTYPES.index(dtype)])
    shape, strides, size = random_layout(rng)
    flat = random_bits(rng, dtype, size, define)
    item = flat.itemsize
    array = np.lib.stride_tricks.as_strided(flat, shape, [s * item for s in strides])
    lower, upper = random_bounds(rng, dtype != "float64")
    training, inplace = rng.random() < 0.7, rng.random() < 0.3
    s, c = (int(v) for v in rng.integers(0, 2**64, 2, dtype=np.uint64))
    slope = (
        define.slopes(shape, dtype, lower, upper, s, c)
        if training
        else define.mean(dtype, lower, upper)
    )
    expected = define.scaled(array, array, slope)
    generator = Generator(s, c)
    x = tensor_of(define, flat, shape, strides)
    if rng.random() < 0.4:
        if inplace and 0 in strides:
            x = x.clone()
        y = rrelu(x, lower, upper, training, inplace=inplace, generator=generator)
        define.assert_same(y, expected)
        return
    x.stop_gradient = False
    h = x
    if inplace:
        # A view, so that the input is no leaf and keeps its strides.
        h = paddle.assign(x) if 0 in strides else paddle.transpose(x, list(range(x.ndim)))
    y = rrelu(h, lower, upper, training, inplace=inplace, generator=generator)
    define.assert_same(y, expected)
    g_flat = random_bits(rng, dtype, size, define)
    g = np.lib.stride_tricks.as_strided(g_flat, shape, [s * item for s in strides])
    (dx,) = paddle.grad([y], [x], grad_outputs=[tensor_of(define, g_flat, shape, strides)])
    define.assert_same(dx, define.scaled(expected_sign(array), g, slope))


def expected_sign(array):
    # The gradient asks for the sign of the input alone.
    with np.errstate(invalid="ignore"):
        return np.where(array >= 0, 1.0, -1.0)


def run(define, dtype, count):
    for seed in range(count):
        try:
            one(define, dtype, seed)
        except BaseException as error:
            raise AssertionError(f"input {seed} of {dtype}") from error
    return count


@pytest.mark.parametrize("dtype", DTYPES)
def test_any_input(define, dtype):
    count = int(os.environ.get("RRELU_COMPAT_FUZZ", "400"))
    assert run(define, dtype, count) == count > 0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_hundred_thousand_inputs(define, dtype):
    assert run(define, dtype, 100_000) == 100_000
