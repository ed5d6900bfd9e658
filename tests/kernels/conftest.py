"""The kernels against the definition: every path this machine can run, every dtype."""

import math
import os
import sys

import ml_dtypes
import numpy as np
import pytest

from rrelu_compat.kernels import fallback
from rrelu_compat.slopes import words_at, words_to_slopes

F16, BF16, F32, F64 = range(4)
NAMES = ("float16", "bfloat16", "float32", "float64")
STORED = (np.dtype("f2"), np.dtype("u2"), np.dtype("f4"), np.dtype("f8"))
RAW = (np.dtype("u2"), np.dtype("u2"), np.dtype("u4"), np.dtype("u8"))
GUARD = 64  # bytes on either side that nobody may touch
LOWER, UPPER = 1 / 8, 1 / 3

try:
    from rrelu_compat.kernels import _cpu
except ImportError:
    # Only a build that says so may lack the extension: see test_paths.py.
    _cpu = None

PATHS = [*(_cpu.usable_paths() if _cpu else ()), "numpy"]


@pytest.fixture(params=PATHS)
def kernel(request):
    """Each kernel: the module with the functions, switched to one path."""
    if request.param == "numpy":
        yield fallback
        return
    before = _cpu.path()
    _cpu.use(request.param)
    yield _cpu
    _cpu.use(before)


@pytest.fixture(params=range(4), ids=NAMES)
def dtype(request):
    return request.param


@pytest.fixture
def model():
    """This module: the definition and the buffers."""
    return sys.modules[__name__]


def environment(**extra):
    """The environment for a child process, without a forced path."""
    kept = {k: v for k, v in os.environ.items() if k != "RRELU_COMPAT_KERNEL"}
    return {**kept, **extra}


def widen(stored, dtype):
    """Stored elements in the compute dtype."""
    if dtype == BF16:
        return stored.view(ml_dtypes.bfloat16).astype(np.float32)
    return stored.astype(np.float64 if dtype == F64 else np.float32)


def narrow(values, dtype):
    if dtype == BF16:
        return values.astype(ml_dtypes.bfloat16).view(np.uint16)
    return values.astype(STORED[dtype])


def slopes_at(index, dtype, seed, call, lower, upper):
    """The slopes of the elements with the given Philox indices, in the compute dtype."""
    compute = np.dtype(np.float64 if dtype == F64 else np.float32)
    with np.errstate(all="ignore"):
        return words_to_slopes(words_at(index, seed, call), lower, upper, compute)


def consecutive(start, shape):
    """C-order indices from start, modulo 2**64."""
    count = np.arange(math.prod(shape), dtype=np.uint64)
    return (count + np.uint64(start)).reshape(shape)


def passes(x, dtype):
    with np.errstate(invalid="ignore"):
        return widen(x, dtype) >= 0


def scale(x, keep, slopes, dtype):
    """x where keep, else slope * x: forward and backward alike."""
    with np.errstate(all="ignore"):
        return np.where(keep, x, narrow(np.asarray(slopes * widen(x, dtype)), dtype))


def pack(keep):
    return np.packbits(keep.reshape(-1), bitorder="little")


def assert_same(actual, expected, dtype):
    """Same bits, any NaN equal to any NaN."""
    assert actual.shape == expected.shape
    a, b = widen(actual, dtype), widen(expected, dtype)
    raw = RAW[dtype]
    same = (actual.view(raw) == expected.view(raw)) | (np.isnan(a) & np.isnan(b))
    wrong = np.argwhere(~same)
    assert not wrong.size, f"{len(wrong)} of {a.size} differ, first at {wrong[0]}"


def values(dtype, n, seed=0):
    """Ordinary numbers, any bit patterns and every special value, mixed."""
    rng = np.random.default_rng(seed)
    raw = RAW[dtype]
    bits = rng.integers(0, np.iinfo(raw).max, n, dtype=raw, endpoint=True)
    ordinary = narrow(rng.standard_normal(n).astype(np.float64 if dtype == F64 else "f4"), dtype)
    out = np.where(rng.random(n) < 0.5, bits, ordinary.view(raw))
    chosen = rng.random(n) < 0.2
    out[chosen] = rng.choice(specials(dtype).view(raw), n)[chosen]
    return out.view(STORED[dtype])


def specials(dtype):
    """Zeros, subnormals, the ends of the normal range, infinities, NaN; both signs."""
    raw = RAW[dtype]
    exponent, mantissa = ((5, 10), (8, 7), (8, 23), (11, 52))[dtype]
    infinity, smallest = (2**exponent - 1) << mantissa, 1 << mantissa
    one = (2 ** (exponent - 1) - 1) << mantissa
    quiet = infinity | 1 << (mantissa - 1)
    positive = [0, 1, 2, 3, smallest - 1, smallest, smallest + 1, one, infinity - 1, infinity]
    positive += [infinity + 1, quiet, quiet + 1, smallest * 2 - 1]  # signalling and quiet NaN
    sign = 1 << (exponent + mantissa)
    return np.array(positive + [sign | p for p in positive], dtype=raw).view(STORED[dtype])


class Memory:
    """Elements at any byte offset, between guards; `address` is that of element 0."""

    def __init__(self, content, offset=0, origin=0):
        size = content.nbytes
        self.raw = np.full(size + 2 * GUARD + 64 + offset, 0xA5, np.uint8)
        begin = -self.raw.ctypes.data % 64 + GUARD + offset  # offset counts from a cache line
        self._begin, self._end = begin, begin + size
        self._dtype, self._shape = content.dtype, content.shape
        self.raw[begin : self._end] = np.frombuffer(content.tobytes(), np.uint8)
        self.address = self.raw.ctypes.data + begin + origin * content.itemsize

    def read(self):
        """The content now; fails if a guard was touched."""
        assert (self.raw[: self._begin] == 0xA5).all(), "written before the beginning"
        assert (self.raw[self._end :] == 0xA5).all(), "written beyond the end"
        content = self.raw[self._begin : self._end].copy().view(self._dtype)
        return content.reshape(self._shape)


def bit_memory(n, content=None):
    return Memory(np.full((n + 7) // 8, 0xA5, np.uint8) if content is None else content)


def run_forward(
    kernel, dtype, x, start=0, lower=LOWER, upper=UPPER, *, seed=11, call=22, threads=1,
    offset=0, out_offset=0, in_place=False, bits=True,
):  # fmt: skip
    """Return y and the bits of one contiguous call."""
    source = Memory(x, offset)
    target = source if in_place else Memory(np.full_like(x, 7), out_offset)
    kept = bit_memory(x.size)
    kernel.forward(
        dtype, x.size, source.address, target.address, kept.address if bits else 0,
        seed, call, start, lower, upper, threads,
    )  # fmt: skip
    if not in_place:
        assert source.read().tobytes() == x.tobytes()
    return target.read(), kept.read()


def run_backward(
    kernel, dtype, g, packed, start=0, lower=LOWER, upper=UPPER, *, seed=11, call=22, threads=1,
    offset=0, out_offset=0, in_place=False,
):  # fmt: skip
    """Return the gradient of one contiguous call."""
    source = Memory(g, offset)
    target = source if in_place else Memory(np.full_like(g, 7), out_offset)
    kept = bit_memory(g.size, packed)
    kernel.backward(
        dtype, g.size, source.address, target.address, kept.address,
        seed, call, start, lower, upper, threads,
    )  # fmt: skip
    assert kept.read().tobytes() == packed.tobytes()
    return target.read()
