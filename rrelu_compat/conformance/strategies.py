"""What Hypothesis draws: values, shapes, layouts and bounds."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.numerics import Array, dtype_of

require("hypothesis")  # says how to install it
from hypothesis import strategies as st  # noqa: E402

Draw = Callable[[st.SearchStrategy[Any]], Any]

_SIMPLE = (-1.0, 1.0, 0.0, -0.0, -2.0, 2.0, -0.5, 0.5, -3.0, 3.0, -0.1, 0.1, -100.0, 100.0)
_TABLE = 65536


def _extremes(dtype: np.dtype[Any]) -> Array:
    """Return subnormal, smallest normal, largest numbers, both signs."""
    name = "bfloat16" if dtype.name == "bfloat16" else dtype.name
    mantissa, exponent = {
        "float16": (10, 5),
        "bfloat16": (7, 8),
        "float32": (23, 8),
        "float64": (52, 11),
    }[name]
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = 1 << mantissa
    largest = ((1 << exponent) - 1 << mantissa) - 1
    patterns = np.array([1, 2, 3, one // 2, one - 1, one, one + 1, largest - 1, largest], unsigned)
    positive = patterns.view(dtype)
    return np.concatenate([positive, -positive])


@functools.cache
def table(dtype_name: str, kind: str) -> Array:
    """Return 65536 values, simple ones first, that two drawn bytes choose from.

    Parameters
    ----------
    kind : {"any", "finite", "moderate", "negative"}
        Every float; without NaN and infinities; magnitudes from 1e-3 to 1e3; the negative of these.
    """
    dtype = dtype_of(dtype_name)
    random = np.random.default_rng(1505_00853)
    count = _TABLE
    moderate = (random.choice([-1.0, 1.0], count) * 10.0 ** random.uniform(-3, 3, count)).astype(
        dtype
    )
    simple = np.array(_SIMPLE).astype(dtype)
    if kind in ("moderate", "negative"):
        moderate[: simple.size] = np.where(simple == 0, np.array(1.5, dtype), simple)
        return -np.abs(moderate) if kind == "negative" else moderate
    special = _extremes(dtype)
    if kind == "any":
        odd = np.array([np.nan, np.inf, -np.inf]).astype(dtype)
        special = np.concatenate([odd, special])
    first = np.concatenate([simple, special])
    patterns = random.integers(0, 256, (count, dtype.itemsize), dtype=np.uint8).view(dtype)
    source = random.integers(0, 4, count)
    values: Array = np.where(source == 0, patterns.reshape(-1), moderate)
    values = np.where(source == 1, random.choice(first, count), values).astype(dtype)
    if kind == "finite":
        values = np.where(np.isfinite(values), values, np.array(-1, dtype)).astype(dtype)
    values[: first.size] = first
    return values


def draw_values(draw: Draw, dtype_name: str, kind: str, count: int) -> Array:
    """Draw `count` values; two bytes each, so that Hypothesis shrinks them to the simple ones."""
    raw = draw(st.binary(min_size=2 * count, max_size=2 * count))
    return np.asarray(table(dtype_name, kind)[np.frombuffer(raw, ">u2")])


_SIDES = st.lists(st.integers(0, 5), max_size=5)
_LENGTHS = st.integers(1, 300)
_COIN = st.integers(0, 3)


def draw_shape(draw: Draw, limit: int = 400) -> tuple[int, ...]:
    """Draw a shape of at most five dimensions; one in four is a long vector, for the ends of vector loops."""
    if draw(_COIN) == 3:
        return (draw(_LENGTHS),)
    sides = draw(_SIDES)
    while math.prod(sides) > limit:
        sides = sides[:-1]
    return tuple(sides)


LAYOUTS = ("contiguous", "transposed", "sliced", "offset", "flipped", "channels-last", "expanded")


def draw_layout(draw: Draw, array: Array, layouts: tuple[str, ...] = LAYOUTS) -> Array:
    """Return `array`, or an array of its shape that lies differently in memory.

    "expanded" repeats the first element of the first axis, so it changes values.
    """
    return lay_out(array, draw(st.sampled_from(layouts)))


def lay_out(array: Array, layout: str) -> Array:
    """Return the values of `array` in the memory layout of one of `LAYOUTS`."""
    if layout == "contiguous" or array.ndim == 0 or array.size == 0:
        return array
    if layout == "transposed":
        return np.asarray(np.ascontiguousarray(array.T).T)
    if layout == "flipped":
        return np.ascontiguousarray(array[::-1])[::-1]
    if layout == "channels-last":
        if array.ndim < 3:
            return array
        return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)
    if layout == "expanded":
        return np.broadcast_to(np.ascontiguousarray(array[:1]), array.shape)
    if layout == "offset":
        roomy = np.zeros((array.shape[0] + 1, *array.shape[1:]), array.dtype)
        roomy[1:] = array
        return roomy[1:]
    roomy = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    roomy[..., ::2] = array
    return roomy[..., ::2]


_PAIRS = (
    (1 / 8, 1 / 3),
    (0.1, 0.3),
    (0.0, 1.0),
    (0.25, 0.25),
    (0.0, 0.0),
    (1.0, 1.0),
    (0.0, 0.5),
    (0.7, 0.9),
    (1e-6, 1e-3),
    (-0.5, 0.5),
    (-1.0, -0.25),
    (-0.3, 0.0),
    (1.5, 3.0),
    (-2.0, 40.0),
)


@functools.cache
def _bounds(low: float, high: float, exact: bool) -> st.SearchStrategy[tuple[float, float]]:
    pairs = [pair for pair in _PAIRS if low <= pair[0] and pair[1] <= high]
    low, high = max(low, -64.0), min(high, 64.0)
    number = st.floats(low, high)
    if exact:
        pairs = [pair for pair in pairs if all(bound * 1024 % 1 == 0 for bound in pair)]
        integer = st.integers(math.ceil(low * 1024), math.floor(high * 1024))
        number = integer.map(lambda k: k / 1024)
    return st.one_of(
        st.sampled_from(pairs),
        st.tuples(number, number).map(lambda pair: (min(pair) + 0.0, max(pair) + 0.0)),
    )


def draw_bounds(draw: Draw, interval: tuple[float, float], exact: bool) -> tuple[float, float]:
    """Draw ``(lower, upper)`` within `interval`.

    If `exact`, multiples of 1/1024: these, their sum, difference and mean are the same in every
    precision, so that what an implementation rounds does not matter.
    """
    pair: tuple[float, float] = draw(_bounds(*interval, exact))
    return pair


def draw_choice(draw: Draw, options: tuple[str, ...]) -> str:
    """Draw one of `options`."""
    choice: str = draw(st.sampled_from(options))
    return choice


def draw_small(draw: Draw, count: int) -> list[int]:
    """Draw `count` integers from 0 to 3."""
    numbers: list[int] = draw(st.lists(_COIN, min_size=count, max_size=count))
    return numbers
