"""The text of the CUDA kernels, run on the host through the launcher, against the NumPy definition."""

import itertools
import math
import mmap

import ml_dtypes
import numpy as np
import pytest

from rrelu_compat.kernels import F32, F64, ITEMSIZE, cuda, fallback

STORED = [np.dtype(name) for name in ("float16", "uint16", "float32", "float64")]
VIEWED = [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16), *STORED[2:]]
NAMES = ["float16", "bfloat16", "float32", "float64"]
KEYS = [(9, 4), (2**64 - 1, 2**64 - 2), (0x1234567890ABCDEF, 2**32)]
BOUNDS = [(1 / 8, 1 / 3), (-2.0, -0.5), (0.25, 0.25), (-1.0, 1.0)]
GUARD = 64

pytestmark = pytest.mark.parametrize("dtype", range(4), ids=NAMES)


def numbers(count, dtype, seed=0):
    """Numbers of every kind: normal, subnormal, both zeros, infinite, not a number."""
    rng = np.random.default_rng(seed)
    raw = rng.integers(0, 256, count * ITEMSIZE[dtype], dtype=np.uint8).view(STORED[dtype]).copy()
    with np.errstate(over="ignore"):
        usual = rng.normal(size=count).astype(VIEWED[dtype]).view(STORED[dtype])
        special = np.array(
            [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, -6e-8, 65504, -3e38]
        ).astype(VIEWED[dtype])
    values = np.where(rng.random(count) < 0.7, usual, raw)
    values[: special.size] = special.view(STORED[dtype])[:count]
    return values


class Memory:
    """Bytes with a chosen misalignment, in elements, and guards that must not change."""

    def __init__(self, content, dtype, shift=0):
        size = content.nbytes
        self.base = np.full(size + 2 * GUARD + 64, 0xA5, np.uint8)
        aligned = -self.base.ctypes.data % 16 + GUARD
        self.begin = aligned + shift * content.itemsize
        self.dtype = dtype
        self.size = size
        self.view[:] = content.view(np.uint8).reshape(-1)

    @property
    def view(self):
        return self.base[self.begin : self.begin + self.size]

    @property
    def address(self):
        return self.view.ctypes.data if self.size else self.base.ctypes.data + self.begin

    def check(self, expected):
        """The content is `expected`, any NaN equal to any NaN, and nothing around it was touched."""
        actual = self.view.view(self.dtype)
        same = actual.view(f"u{self.dtype.itemsize}") == expected.view(f"u{self.dtype.itemsize}")
        if self.dtype.kind != "u":
            with np.errstate(invalid="ignore"):  # a signalling NaN
                same |= np.isnan(actual) & np.isnan(expected.view(self.dtype))
        assert same.all(), np.flatnonzero(~same)[:10]
        around = np.concatenate([self.base[: self.begin], self.base[self.begin + self.size :]])
        assert (around == 0xA5).all()


def reference(n, dtype, x, g, draw):
    """Output, bits and gradient by the definition."""
    y, out = np.zeros_like(x), np.zeros_like(g)
    bits = np.zeros((n + 7) // 8, np.uint8)
    fallback.forward(dtype, n, x.ctypes.data, y.ctypes.data, bits.ctypes.data, *draw, 1)
    fallback.backward(dtype, n, g.ctypes.data, out.ctypes.data, bits.ctypes.data, *draw, 1)
    return y, bits, out


def check_linear(machine, dtype, n, draw, shift=0, key=0, inplace=False):
    x, g = numbers(n, dtype), numbers(n, dtype, 1)[::-1].copy()
    y, bits, out = reference(n, dtype, x, g, draw)
    source, gradient = Memory(x, VIEWED[dtype], shift), Memory(g, VIEWED[dtype], shift)
    target = source if inplace else Memory(np.zeros_like(x), VIEWED[dtype], shift)
    result = gradient if inplace else Memory(np.zeros_like(x), VIEWED[dtype], shift)
    kept = Memory(np.full(bits.size, 0xFF, np.uint8), bits.dtype)
    cuda.forward(dtype, n, source.address, target.address, kept.address, *draw, 0, 0, key)
    target.check(y)
    kept.check(bits)
    cuda.backward(dtype, n, gradient.address, result.address, kept.address, *draw, 0, 0, key)
    result.check(out)
    kept.check(bits)


@pytest.fixture(autouse=True)
def run_on_the_host(machine):
    machine.run = True


@pytest.mark.parametrize(
    "n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 127, 128, 1023, 2047, 2048, 2049, 5003]
)
def test_tails(machine, dtype, n):
    check_linear(machine, dtype, n, (*KEYS[0], 0, *BOUNDS[0]))
    assert all(launch.kernel.endswith("_vector") for launch in machine.launches)


@pytest.mark.parametrize(("shift", "start"), list(itertools.product(range(4), (0, 1, 2, 3, 4))))
def test_misalignment_and_start(machine, dtype, shift, start):
    check_linear(machine, dtype, 301, (*KEYS[1], start, *BOUNDS[0]), shift)
    # Whole float64 vectors are of two elements, of the others of four.
    vector = start % 4 == 0 and shift % (2 if dtype == F64 else 4) == 0
    assert {launch.kernel.endswith("_vector") for launch in machine.launches} == {vector}


@pytest.mark.parametrize("start", [2**32 - 2, 2**34 - 6, 2**62 + 5, 2**63 - 1, 2**64 - 9])
def test_starts_beyond_32_and_62_bits(machine, dtype, start):
    check_linear(machine, dtype, 40, (*KEYS[2], start, *BOUNDS[0]))
    check_linear(machine, dtype, 40, (*KEYS[2], start - start % 4, *BOUNDS[0]))


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("inplace", [False, True])
def test_bounds_in_place_and_not(machine, dtype, bounds, inplace):
    check_linear(machine, dtype, 777, (*KEYS[0], 0, *bounds), inplace=inplace)
    check_linear(machine, dtype, 777, (*KEYS[0], 1, *bounds), shift=1, inplace=inplace)


def test_the_key_may_lie_in_device_memory(machine, dtype):
    key = np.array([2**64 - 7, 2**63 + 1], np.uint64)
    draw = (int(key[0]), int(key[1]), 0, *BOUNDS[0])
    n = 100
    x = numbers(n, dtype)
    y, *_ = reference(n, dtype, x, x, draw)
    target = Memory(np.zeros_like(x), VIEWED[dtype])
    # The words given as arguments are not looked at.
    cuda.forward(dtype, n, x.ctypes.data, target.address, 0, 1, 2, *draw[2:], 0, 0, key.ctypes.data)
    target.check(y)


def test_results_do_not_depend_on_the_order_of_threads(machine, dtype):
    machine.backwards = True
    check_linear(machine, dtype, 4100, (*KEYS[0], 0, *BOUNDS[0]))
    check_linear(machine, dtype, 4100, (*KEYS[0], 3, *BOUNDS[0]), shift=1)


def test_a_forward_that_needs_no_gradient_writes_no_bits(machine, dtype):
    x = numbers(70, dtype)
    draw = (*KEYS[0], 0, *BOUNDS[0])
    y, *_ = reference(70, dtype, x, x, draw)
    target = Memory(np.zeros_like(x), VIEWED[dtype])
    cuda.forward(dtype, 70, x.ctypes.data, target.address, 0, *draw, 0, 0)
    target.check(y)


# Shape, strides of x, strides of y, index strides (None: C order).
LAYOUTS = {
    "transposed": ((7, 9), (1, 7), (9, 1), None),
    "both transposed": ((7, 9), (1, 7), (1, 7), None),
    "sliced": ((5, 3, 4), (48, 16, 2), (12, 4, 1), None),
    "reversed": ((6, 11), (-11, -1), (11, 1), None),
    "broadcast": ((4, 9, 5), (0, 5, 1), (45, 5, 1), None),
    "0-d": ((), (), (), None),
    "ones": ((1, 1, 1), (5, 7, 9), (1, 1, 1), None),
    "empty": ((3, 0, 2), (2, 2, 1), (2, 2, 1), None),
    "one axis, strided": ((37,), (3,), (2,), None),
    "channels last, tiled": ((2, 6, 6, 16), (576, 96, 16, 1), (576, 96, 16, 1), (576, 6, 1, 36)),
    "channels last, 49 pixels": ((2, 7, 7, 8), (392, 56, 8, 1), (392, 56, 8, 1), (392, 7, 1, 49)),
    "channels last, 3 channels": ((2, 4, 4, 3), (48, 12, 3, 1), (48, 12, 3, 1), (48, 4, 1, 16)),
    "channels last, logical": ((2, 3, 4, 4), (48, 1, 12, 3), (48, 1, 12, 3), None),
    "a gradient of another layout": (
        (2, 6, 6, 16),
        (576, 6, 1, 36),
        (576, 96, 16, 1),
        (576, 6, 1, 36),
    ),
    "one slope for all": ((4, 10), (10, 1), (10, 1), (0, 1)),
    "index strides, negative": ((8, 8), (8, 1), (8, 1), (-8, -1)),
    "shard of rows": ((3, 20), (20, 1), (20, 1), (100, 1)),
    "batch last": ((9, 5), (5, 1), (5, 1), (1, 9)),
    "index strides of four": ((8, 16), (16, 1), (16, 1), (4, 32)),
    "five axes": ((2, 3, 2, 3, 5), (1, 2, 6, 12, 36), (90, 30, 15, 5, 1), None),
}


def extent(shape, strides):
    """Lowest and highest offset of an element."""
    ends = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)


def check_strided(dtype, layout, start, bounds, *, inplace=False, shift=0):
    shape, x_strides, y_strides, index = LAYOUTS[layout]
    draw = (*KEYS[2], start, *bounds)
    n = math.prod(shape)
    low, high = extent(shape, x_strides)
    _, y_high = extent(shape, y_strides)
    x, g = numbers(high - low + 1, dtype), numbers(high - low + 1, dtype, 3)
    if inplace:
        y_strides, y_high = x_strides, high - low
    y = np.zeros(y_high + 1, STORED[dtype])
    out, bits = y.copy(), np.zeros((n + 7) // 8, np.uint8)
    source, gradient = Memory(x, VIEWED[dtype], shift), Memory(g, VIEWED[dtype], shift)
    target = source if inplace else Memory(y, VIEWED[dtype], shift)
    result = gradient if inplace else Memory(y, VIEWED[dtype], shift)
    kept = Memory(np.full(bits.size, 0xFF, np.uint8), bits.dtype)
    at = -low * x.itemsize
    if inplace:
        y, out = x.copy(), g.copy()
    here = at if inplace else 0
    fallback.forward_strided(
        dtype, shape, x.ctypes.data + at, x_strides, y.ctypes.data + here, y_strides, bits.ctypes.data,
        index, *draw, 1,
    )  # fmt: skip
    fallback.backward_strided(
        dtype, shape, g.ctypes.data + at, x_strides, out.ctypes.data + here, y_strides, bits.ctypes.data,
        index, *draw, 1,
    )  # fmt: skip
    cuda.forward_strided(
        dtype, shape, source.address + at, x_strides, target.address + here, y_strides, kept.address,
        index, *draw, 0, 0,
    )  # fmt: skip
    target.check(y)
    kept.check(bits)
    cuda.backward_strided(
        dtype, shape, gradient.address + at, x_strides, result.address + here, y_strides, kept.address,
        index, *draw, 0, 0,
    )  # fmt: skip
    result.check(out)
    kept.check(bits)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(machine, dtype, layout):
    check_strided(dtype, layout, 0, BOUNDS[0])
    check_strided(dtype, layout, 4 * 2**32 + 1, BOUNDS[1], shift=1)
    check_strided(dtype, layout, 2**64 - 8, BOUNDS[2])
    if 0 not in LAYOUTS[layout][1]:
        check_strided(dtype, layout, 8, BOUNDS[3], inplace=True)
    machine.backwards = True
    check_strided(dtype, layout, 4, BOUNDS[0])


def test_channels_last_takes_the_tiled_kernels(machine, dtype):
    check_strided(dtype, "channels last, tiled", 0, BOUNDS[0])
    assert [launch.kernel for launch in machine.launches] == [
        "rrelu_forward_tiled",
        "rrelu_backward_tiled",
    ]
    machine.launches.clear()
    check_strided(dtype, "channels last, tiled", 2, BOUNDS[0])  # blocks do not begin with the rows
    check_strided(dtype, "channels last, 49 pixels", 0, BOUNDS[0])
    assert {launch.kernel for launch in machine.launches} == {
        "rrelu_forward_strided",
        "rrelu_backward_strided",
    }


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("start", [0, 3, 2**64 - 5])
def test_slopes(machine, dtype, layout, start):
    shape, _, _, index = LAYOUTS[layout]
    if dtype not in (F32, F64):
        with pytest.raises(ValueError, match="dtype"):
            cuda.fill_slopes(dtype, shape, 64, index, *KEYS[0], start, *BOUNDS[0], 0, 0)
        return
    expected = np.zeros(math.prod(shape), STORED[dtype])
    target = Memory(expected, VIEWED[dtype])
    for bounds in (BOUNDS[0], BOUNDS[2]):
        draw = (*KEYS[0], start, *bounds)
        fallback.fill_slopes(dtype, shape, expected.ctypes.data, index, *draw, 1)
        cuda.fill_slopes(dtype, shape, target.address, index, *draw, 0, 0)
        target.check(expected)


@pytest.fixture
def huge():
    """Return a function that reserves bytes, of which only those that are touched take memory."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    maps = []

    def reserve(size):
        maps.append(mmap.mmap(-1, size, flags=flags))
        return np.frombuffer(maps[-1], np.uint8)

    return reserve


# Threads of 32 elements need more than 32 bits too. The second is no multiple of 8 or of a block.
MANY = [2**37 + 2**13, 2**37 + 2**13 + 530]
# Shape and index strides; memory is contiguous. Neither can be merged into one axis.
HUGE = {
    "linear": lambda n: ((n,), (1,)),
    "strided": lambda n: ((2, n // 2), (n // 2 + 4, 1)),
    "tiled": lambda n: ((n // 8, 8), (1, n // 8)),
}


@pytest.mark.parametrize(
    ("kind", "n"), [(kind, n) for kind in HUGE for n in MANY if kind != "tiled" or n % 32 == 0]
)
def test_more_elements_than_32_bits_count(machine, dtype, kind, n, huge):
    machine.only_last = True
    shape, index = HUGE[kind](n)
    strides = (shape[-1], 1)[-len(shape) :]
    row = shape[-1] if kind == "tiled" else 8
    tail = -(-300 // row) * row + n % row
    draw = (*KEYS[0], 12, *BOUNDS[0])
    x, y, bits = huge(n * ITEMSIZE[dtype]), huge(n * ITEMSIZE[dtype]), huge(n // 8 + 1)
    values = numbers(tail, dtype)
    x[-values.nbytes :] = values.view(np.uint8)
    cuda.forward_strided(
        dtype,
        shape,
        x.ctypes.data,
        strides,
        y.ctypes.data,
        strides,
        bits.ctypes.data,
        index,
        *draw,
        0,
        0,
    )
    (launch,) = machine.launches
    kind_of = {"linear": "_vector", "strided": "_strided", "tiled": "_tiled"}
    assert launch.kernel == "rrelu_forward" + kind_of[kind]
    # The tail alone, by the definition: it begins on a byte of bits.
    if kind == "tiled":
        tail_shape, tail_strides, begin = (tail // 8, 8), (8, 1), (n - tail) // 8
    else:
        tail_shape, tail_strides, begin = (tail,), (1,), n - tail + (4 if kind == "strided" else 0)
        index = (1,)
    expected, passes = np.zeros_like(values), np.zeros((tail + 7) // 8, np.uint8)
    fallback.forward_strided(
        dtype, tail_shape, values.ctypes.data, tail_strides, expected.ctypes.data, tail_strides,
        passes.ctypes.data, index, *draw[:2], draw[2] + begin, *BOUNDS[0], 1,
    )  # fmt: skip
    actual = Memory(y[-values.nbytes :].view(STORED[dtype]), VIEWED[dtype])
    actual.check(expected)
    first = (n - tail) // 8
    assert (bits[first : first + passes.size] == passes).all()


def test_more_slopes_than_32_bits_count(machine, dtype, huge):
    machine.only_last = True
    n, tail = MANY[1], 100
    if dtype not in (F32, F64):
        with pytest.raises(ValueError, match="dtype"):
            cuda.fill_slopes(dtype, (n,), 64, None, *KEYS[0], 0, *BOUNDS[0], 0, 0)
        return
    out, expected = huge(n * ITEMSIZE[dtype]), np.zeros(tail, STORED[dtype])
    draw = (*KEYS[0], 7, *BOUNDS[0])
    cuda.fill_slopes(dtype, (n,), out.ctypes.data, None, *draw, 0, 0)
    fallback.fill_slopes(
        dtype, (tail,), expected.ctypes.data, None, *draw[:2], 7 + n - tail, *BOUNDS[0], 1
    )
    actual = Memory(out[-expected.nbytes :].view(STORED[dtype]), VIEWED[dtype])
    actual.check(expected)
