"""Random inputs of any shape, layout and bits against the definition; RRELU_COMPAT_FUZZ sets how many."""

import os

import ml_dtypes
import numpy as np
import pytest

from rrelu_compat import Generator, slopes
from rrelu_compat.numpy import rrelu_, rrelu_vjp

SEED = int(os.environ.get("RRELU_COMPAT_SEED", "0"))
EXAMPLES = int(os.environ.get("RRELU_COMPAT_FUZZ", "500"))
DTYPES = [np.dtype(t) for t in (np.float16, ml_dtypes.bfloat16, np.float32, np.float64)]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-45, -1e-45, -5e-324, -6e-8, -65504.0]


def random_array(random, dtype):
    """Return an array of up to 5 dimensions, any bits, any strides, and whether it can be written."""
    shape = tuple(random.integers(0, 7, random.integers(0, 6)))
    base = [int(n) * int(random.integers(1, 3)) + int(random.integers(0, 2)) for n in shape]
    raw = random.integers(0, 256, int(np.prod(base)) * dtype.itemsize, dtype=np.uint8)
    x = raw.view(dtype).reshape(base)
    with np.errstate(over="ignore"):
        special = np.array(SPECIAL).astype(dtype)
    where = random.random(x.shape) < 0.3
    x[where] = random.choice(special, where.sum())
    for axis, n in enumerate(shape):
        step = int(random.choice([1, 1, 2, -1, -2]))
        cut = (slice(None),) * axis + (slice(None, None, step),)
        x = x[cut]
        x = x[(slice(None),) * axis + (slice(0, n),)]
    x = x.transpose(random.permutation(x.ndim))
    writeable = True
    if x.ndim < 5 and random.random() < 0.2:
        x = np.broadcast_to(x, (int(random.integers(1, 4)), *x.shape))
        writeable = False
    return x, writeable


def random_bounds(random):
    kind = random.integers(0, 4)
    if kind == 0:
        return 1 / 8, 1 / 3
    lower, upper = np.sort(random.normal(size=2) * 10.0 ** random.integers(-12, 12))
    return (float(lower), float(lower)) if kind == 1 else (float(lower), float(upper))


def scaled(values, a, dtype):
    with np.errstate(all="ignore"):
        return (a * values.astype(a.dtype)).astype(dtype)


def assert_same(got, expected):
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    raw = f"u{got.dtype.itemsize}"
    both = np.ascontiguousarray(got).view(raw), np.ascontiguousarray(expected).view(raw)
    with np.errstate(invalid="ignore"):
        nan = np.isnan(got) & np.isnan(expected)
    assert (nan | (both[0] == both[1]).reshape(nan.shape)).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_any_input_gives_the_definitions_bits(dtype):
    random = np.random.default_rng([SEED, DTYPES.index(dtype)])
    compute = np.dtype(np.float64 if dtype == np.float64 else np.float32)
    for _ in range(EXAMPLES):
        x, writeable = random_array(random, dtype)
        lower, upper = random_bounds(random)
        seed, call = (int(n) for n in random.integers(0, 2**64, 2, dtype=np.uint64))
        training = bool(random.integers(0, 2))
        if training:
            a = slopes(x.shape, lower, upper, seed=seed, call=call, dtype=compute.name)
        else:
            a = np.full(x.shape, (lower + upper) / 2).astype(compute)
        with np.errstate(invalid="ignore"):
            passes = x >= 0
        expected = np.where(passes, x, scaled(x, a, dtype))
        y, vjp = rrelu_vjp(x, lower, upper, training=training, generator=Generator(seed, call))
        assert_same(y, expected)
        assert y.strides == np.empty_like(x).strides
        g, _ = random_array(random, dtype)
        g = np.resize(g, x.shape) if g.size else np.ones(x.shape, dtype)
        g = np.asfortranarray(g) if x.ndim and random.integers(0, 2) else g
        assert_same(vjp(g), np.where(passes, g, scaled(g, a, dtype)))
        if writeable:
            generator = Generator(seed, call)
            assert rrelu_(x, lower, upper, training=training, generator=generator) is x
            assert_same(x, expected)
