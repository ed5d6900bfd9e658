"""Any layout: every path against the definition, on arrays with gaps that must stay as they are."""

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LOWER, UPPER = 1 / 8, 1 / 3


def c_strides(shape):
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def extent(shape, strides):
    """Elements needed, and which of them is the first element of the array."""
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    low = sum(min(0, r) for r in reach)
    return sum(max(0, r) for r in reach) - low + 1, -low


def view(flat, origin, shape, strides):
    size = flat.itemsize
    return np.lib.stride_tricks.as_strided(
        flat[origin:], shape, [s * size for s in strides], writeable=True
    )


class Case:
    """One layout: input, output and index strides, and the expected result of both directions."""

    def __init__(
        self, model, dtype, shape, in_strides, out_strides, index_strides=None, *, start=0,
        lower=LOWER, upper=UPPER, seed=3, call=4,
    ):  # fmt: skip
        self.model, self.dtype, self.shape = model, dtype, shape
        self.in_strides, self.out_strides = in_strides, out_strides
        self.index_strides, self.start = index_strides, start
        self.tail = (seed, call, start, lower, upper)
        size, self.in_origin = extent(shape, in_strides)
        self.source = model.values(dtype, size)
        out_size, self.out_origin = extent(shape, out_strides)
        self.blank = np.full(out_size, 9, self.source.dtype)
        x = view(self.source, self.in_origin, shape, in_strides)
        index = np.full(shape, start, np.uint64)
        for axis, stride in enumerate(index_strides or c_strides(shape)):
            steps = np.arange(shape[axis], dtype=np.uint64) * np.uint64(stride % 2**64)
            index += steps.reshape([-1 if d == axis else 1 for d in range(len(shape))])
        self.slopes = model.slopes_at(index, dtype, seed, call, lower, upper)
        self.keep = model.passes(x, dtype).reshape(shape)
        self.bits = model.pack(self.keep)
        self.expected = self.blank.copy()
        result = model.scale(x, self.keep, self.slopes, dtype)
        view(self.expected, self.out_origin, shape, out_strides)[...] = result

    def check(self, kernel, threads=1):
        """Forward, backward and slopes; in place too where that makes sense."""
        model, dtype = self.model, self.dtype
        source = model.Memory(self.source, 2, self.in_origin)
        out = model.Memory(self.blank, 6, self.out_origin)
        bits = model.bit_memory(self.keep.size)
        layout = (source.address, self.in_strides, out.address, self.out_strides)
        rest = (self.index_strides, *self.tail, threads)
        kernel.forward_strided(dtype, self.shape, *layout, bits.address, *rest)
        model.assert_same(out.read(), self.expected, dtype)
        assert bits.read().tobytes() == self.bits.tobytes()
        again = model.Memory(self.blank, 0, self.out_origin)
        layout = (source.address, self.in_strides, again.address, self.out_strides)
        kernel.forward_strided(dtype, self.shape, *layout, 0, *rest)
        model.assert_same(again.read(), self.expected, dtype)
        # the same numbers as gradient, with the bits of the input: the same result
        last = model.Memory(self.blank, 0, self.out_origin)
        layout = (source.address, self.in_strides, last.address, self.out_strides)
        kernel.backward_strided(dtype, self.shape, *layout, bits.address, *rest)
        model.assert_same(last.read(), self.expected, dtype)
        assert bits.read().tobytes() == self.bits.tobytes()
        assert source.read().tobytes() == self.source.tobytes()
        if self.in_strides == self.out_strides and 0 not in self.in_strides:
            layout = (source.address, self.in_strides, source.address, self.in_strides)
            kernel.forward_strided(dtype, self.shape, *layout, bits.address, *rest)
            inside = view(source.read(), self.in_origin, self.shape, self.in_strides)
            wanted = view(self.expected, self.out_origin, self.shape, self.out_strides)
            model.assert_same(inside.copy(), wanted.copy(), dtype)
        if dtype >= 2:
            out = model.Memory(np.zeros(self.keep.size, self.slopes.dtype))
            kernel.fill_slopes(dtype, self.shape, out.address, *rest)
            model.assert_same(out.read(), self.slopes.reshape(-1), dtype)


def transposed(shape, order, gap=0):
    """Strides of a tensor whose memory order is `order` (outermost first)."""
    strides, step = [0] * len(shape), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= shape[axis] + gap
    return tuple(strides)


@pytest.mark.parametrize("rows", [1, 2, 8, 31, 32, 33, 70])
@pytest.mark.parametrize("columns", [1, 3, 8, 49, 127, 128, 130, 255, 256, 257, 300, 520])
def test_transposed(model, kernel, rows, columns):
    """Around every boundary of a tile, to a transposed output and to a contiguous one."""
    shape = (rows, columns)
    strides = transposed(shape, (1, 0))
    for dtype in range(4) if columns < 257 else (2,):
        Case(model, dtype, shape, strides, strides).check(kernel)
        Case(model, dtype, shape, strides, c_strides(shape), start=5).check(kernel)
        Case(model, dtype, shape, c_strides(shape), strides).check(kernel)


@pytest.mark.parametrize("side", [1, 7, 8, 13, 17, 20])
@pytest.mark.parametrize("channels", [1, 3, 40])
def test_channels_last(model, kernel, dtype, side, channels):
    shape = (3, channels, side, side)
    strides = transposed(shape, (0, 2, 3, 1))
    Case(model, dtype, shape, strides, strides, start=2**34 - 700).check(kernel)
    wide = transposed(shape, (0, 2, 3, 1), gap=1)
    Case(model, dtype, shape, wide, strides).check(kernel)


LAYOUTS = {
    "0-d": ((), (), ()),
    "one": ((1, 1, 1), (5, 7, 9), (0, 0, 0)),
    "every second": ((50, 70), (140, 2), (70, 1)),
    "left half": ((50, 70), (140, 1), (70, 1)),
    "rows of 3": ((900, 3), (5, 1), (3, 1)),
    "rows of 1": ((3000, 1, 1), (3, 1, 1), (2, 1, 1)),
    "flipped": ((40, 60), (-60, -1), (60, 1)),
    "flipped columns": ((40, 60), (60, -1), (60, -1)),
    "flipped rows, transposed": ((40, 60), (-1, 40), (1, 40)),
    "expanded rows": ((40, 60), (0, 1), (60, 1)),
    "expanded columns": ((40, 60), (1, 0), (60, 1)),
    "expanded, out transposed": ((40, 60), (0, 0), (1, 40)),
    "long rows": ((3, 5000), (6000, 1), (5000, 1)),
    "long row, stride 3": ((5000,), (3,), (1,)),
    "heads": ((2, 9, 17, 8), (1224, 8, 72, 1), (1224, 136, 8, 1)),
    "five dimensions": ((3, 4, 5, 6, 7), (840, 7, 28, 140, 1), (1, 3, 12, 60, 360)),
    "ends as 3d": ((2, 65, 33), (1, 2, 130), (1, 66, 2)),
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("bounds", [(LOWER, UPPER), (0.3, 0.3)], ids=["train", "equal"])
def test_layouts(model, kernel, dtype, name, bounds):
    shape, in_strides, out_strides = LAYOUTS[name]
    lower, upper = bounds
    for start in (0, 2**64 - 301):
        Case(
            model, dtype, shape, in_strides, out_strides, start=start, lower=lower, upper=upper
        ).check(kernel)


INDICES = {
    "batch last": ((30, 20), (1, 30)),
    "shared by the batch": ((6, 500), (0, 1)),
    "shared by the last": ((500, 6), (1, 0)),
    "all alike": ((40, 50), (0, 0)),
    "column shard": ((30, 40), (1000, 1)),
    "row of a 3-d shard": ((5, 6, 70), (9000, 300, 1)),
    "every third": ((40, 50), (150, 3)),
    "backwards": ((40, 50), (-50, -1)),
    "huge": ((4, 50), (2**62, 2**60 + 1)),
    "0-d": ((), ()),
    "wide rows": ((3, 3000), (2**40, 1)),
}


@pytest.mark.parametrize("name", INDICES)
def test_index_strides(model, kernel, dtype, name):
    """What vmap and sharded tensors need, for contiguous, transposed and gapped memory."""
    shape, index = INDICES[name]
    natural = c_strides(shape)
    turned = transposed(shape, tuple(range(len(shape)))[::-1])
    gapped = transposed(shape, tuple(range(len(shape))), gap=2)
    for start in (0, 2**34 - 100, 2**64 - 10):
        Case(model, dtype, shape, natural, natural, index, start=start).check(kernel)
        Case(model, dtype, shape, turned, turned, index, start=start).check(kernel)
        Case(model, dtype, shape, gapped, turned, index, start=start).check(kernel)


@st.composite
def layouts(draw):
    """Shapes up to four dimensions; permuted, gapped, flipped and expanded strides; any indices."""
    sizes = st.one_of(st.integers(1, 9), st.integers(1, 70))
    shape = tuple(draw(st.lists(sizes, max_size=4).filter(lambda s: math.prod(s) <= 20000)))

    def strides(expandable):
        order = draw(st.permutations(range(len(shape))))
        result, step = [0] * len(shape), draw(st.integers(1, 2))
        for axis in order:
            result[axis] = step * draw(st.sampled_from((1, 1, 1, -1)))
            step *= shape[axis] + draw(st.sampled_from((0, 0, 0, 1, 3)))
            if expandable and draw(st.integers(0, 7)) == 0:
                result[axis] = 0
        return tuple(result)

    index = draw(st.sampled_from(("natural", "strides", "ending in 1")))
    chosen = None if index == "natural" else strides(True)
    if index == "ending in 1" and shape:
        chosen = (*chosen[:-1], 1)
    source = strides(True)
    target = source if 0 not in source and draw(st.booleans()) else strides(False)
    return shape, source, target, chosen


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(layout=layouts(), dtype=st.integers(0, 3), start=st.integers(0, 2**64 - 1))
def test_any_layout(model, kernel, layout, dtype, start):
    # The fixtures only name the path, which no example changes.
    shape, source, target, index = layout
    Case(model, dtype, shape, source, target, index, start=start).check(kernel)


def test_empty(model, kernel, dtype):
    """No element: nothing is read or written, whatever the addresses."""
    for shape in ((0,), (3, 0, 2), (0, 0)):
        strides = c_strides(shape)
        bits = model.bit_memory(0)
        rest = (bits.address, None, 1, 2, 3, LOWER, UPPER, 1)
        kernel.forward_strided(dtype, shape, 0, strides, 0, strides, *rest)
        kernel.backward_strided(dtype, shape, 0, strides, 0, strides, *rest)
        bits.read()


@pytest.mark.parametrize(
    ("shape", "in_strides", "out_strides", "index"),
    [
        ((1024, 1111), (1, 1024), (1, 1024), None),
        ((1111, 1024), (2048, 2), (1024, 1), None),
        ((2, 1000, 23, 23), (529000, 1, 23000, 1000), (529000, 1, 23000, 1000), None),
        ((1024, 1024), (1024, 1), (1024, 1), (4096, 1)),
        ((1024, 1024), (1024, 1), (1024, 1), (1, 1024)),
    ],
    ids=["transposed", "every second", "channels last, odd rows", "shard", "batch last"],
)
def test_threads(model, kernel, shape, in_strides, out_strides, index):
    """Splits between threads, with bits that two threads' pieces share a byte of."""
    for dtype in (1, 2):
        case = Case(model, dtype, shape, in_strides, out_strides, index, start=9)
        for threads in (1, 2, 3, 7) if kernel is not model.fallback else (1,):
            case.check(kernel, threads)
