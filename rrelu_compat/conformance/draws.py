"""What is drawn for an example: values, shapes, layouts and bounds, from a source of our own.

An example follows from the seed, the id of the case and its number alone: from no module that is
loaded, no library of random numbers and no version of one. It is a list of small integers, the
choices; smaller ones mean simpler examples, which is what `shrink` makes use of.
"""

from __future__ import annotations

import functools
import math
import random
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.arithmetic import Array, dtype_of, tiny

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Choices = list[list[int]]

_SIMPLE = (-1.0, 1.0, 0.0, -0.0, -2.0, 2.0, -0.5, 0.5, -3.0, 3.0, -0.1, 0.1, -100.0, 100.0)
_TABLE = 65536


class Source:
    """Where an example's choices come from.

    Parameters
    ----------
    seed : str or None
        Of random choices; None for the simplest ones, which are all 0.
    replay : list of list of int, optional
        Choices to repeat; 0 where there are none.

    Attributes
    ----------
    choices : list of list of int
        What was chosen.
    """

    def __init__(self, seed: str | None = None, replay: Choices | None = None) -> None:
        self._random = None if seed is None else random.Random(seed)
        self._replay = replay
        self.choices: Choices = []

    def many(self, count: int, bound: int) -> Array:
        """Return `count` integers from 0 to ``bound - 1``."""
        if self._replay is not None:
            at = len(self.choices)
            old = self._replay[at][:count] if at < len(self._replay) else []
            numbers = np.zeros(count, np.int64)
            numbers[: len(old)] = np.minimum(old, bound - 1)
        elif self._random is None:
            numbers = np.zeros(count, np.int64)
        else:
            # randbytes is the same in every version of Python.
            words = np.frombuffer(self._random.randbytes(4 * count), "<u4")
            numbers = (words % bound).astype(np.int64)
        self.choices.append(numbers.tolist())
        return numbers

    def one(self, bound: int) -> int:
        """Return an integer from 0 to ``bound - 1``."""
        return int(self.many(1, bound)[0])


def shrink(choices: Choices, fails: Callable[[Choices], Choices | None], attempts: int) -> Choices:
    """Return simpler choices with which the example still fails.

    Parameters
    ----------
    choices : list of list of int
        Those of an example that fails.
    fails : callable
        Tries choices; returns those that were used if the example fails, None if it holds.
    attempts : int
        How often `fails` may be called.
    """
    best, left = choices, attempts

    def attempt(block: int, numbers: list[int]) -> bool:
        nonlocal best, left
        if left == 0 or best[block] == numbers:
            return False
        left -= 1
        used = fails([*best[:block], numbers, *best[block + 1 :]])
        if used is None or _size(used) >= _size(best):
            return False
        best = used
        return True

    while left:
        before = best
        block = 0
        while block < len(best):
            numbers = best[block]
            if not attempt(block, [0] * len(numbers)):
                _shrink_block(block, len(numbers), lambda: best, attempt)
            block += 1
        if best == before:
            break
    return best


def _size(choices: Choices) -> tuple[int, int]:
    return sum(map(len, choices)), sum(map(sum, choices))


def _shrink_block(
    block: int,
    count: int,
    best: Callable[[], Choices],
    attempt: Callable[[int, list[int]], bool],
) -> None:
    """Make the numbers of one block 0 in runs of halving length, and what is left smaller."""
    run = count // 2
    while run:
        for start in range(0, count, run):
            if block >= len(best()) or len(best()[block]) != count:
                return
            numbers = list(best()[block])
            if any(numbers[start : start + run]):
                numbers[start : start + run] = [0] * len(numbers[start : start + run])
                attempt(block, numbers)
        run //= 2
    for k in range(min(count, 16)):
        step = 1 << 16
        while step:
            if block >= len(best()) or len(best()[block]) != count:
                return
            numbers = list(best()[block])
            if numbers[k] >= step and attempt(
                block, [*numbers[:k], numbers[k] - step, *numbers[k + 1 :]]
            ):
                continue
            step //= 2


def spread(seed: int, shape: tuple[int, ...], low: float, high: float) -> Array:
    """Return numbers between `low` and `high`, float64, the same in every version of anything."""
    count = math.prod(shape)
    words = np.frombuffer(random.Random(f"spread {seed}").randbytes(4 * count), "<u4")
    return (low + (high - low) * (words.astype(np.float64) + 0.5) * 2.0**-32).reshape(shape)


def extremes(dtype: np.dtype[Any]) -> Array:
    """Return subnormal, smallest normal, largest numbers, both signs."""
    mantissa, exponent = {
        "float16": (10, 5),
        "bfloat16": (7, 8),
        "float32": (23, 8),
        "float64": (52, 11),
    }[dtype.name]
    unsigned = np.dtype(f"u{dtype.itemsize}")
    one = 1 << mantissa
    largest = ((1 << exponent) - 1 << mantissa) - 1
    patterns = np.array([1, 2, 3, one // 2, one - 1, one, one + 1, largest - 1, largest], unsigned)
    positive = patterns.view(dtype)
    return np.concatenate([positive, -positive])


@functools.cache
def table(dtype_name: str, kind: str, normal: bool = False) -> Array:
    """Return 65536 values, simple ones first, that a choice picks from.

    Parameters
    ----------
    kind : {"any", "finite", "moderate", "negative"}
        Every float; without NaN and infinities; magnitudes from 2**-10 to 2**10; the negative of
        these.
    normal : bool
        Without subnormal numbers, for platforms that have none.
    """
    dtype = dtype_of(dtype_name)
    bits = random.Random("the tables of the conformance suite")
    words = np.frombuffer(bits.randbytes(8 * _TABLE), "<u8")
    # Exact in double precision, so that no library's power or logarithm has a say.
    moderate = np.ldexp(
        1 + (words >> 8 & 0xFFFFF).astype(np.float64) * 2.0**-20, (words % 20).astype(np.int64) - 10
    )
    moderate = np.where(words >> 40 & 1, moderate, -moderate).astype(dtype)
    simple = np.array(_SIMPLE).astype(dtype)
    if kind in ("moderate", "negative"):
        moderate[: simple.size] = np.where(simple == 0, np.array(1.5, dtype), simple)
        return -np.abs(moderate) if kind == "negative" else moderate
    special = extremes(dtype)
    if kind == "any":
        odd = np.array([np.nan, np.inf, -np.inf]).astype(dtype)
        special = np.concatenate([odd, special])
    first = np.concatenate([simple, special])
    patterns = np.frombuffer(bits.randbytes(dtype.itemsize * _TABLE), np.uint8).view(dtype)
    source = words >> 60 & 3
    picked = first[(words >> 44 & 0xFFFF) % first.size]
    values: Array = np.where(source == 0, patterns, np.where(source == 1, picked, moderate))
    if kind == "finite":
        values = np.where(np.isfinite(values), values, np.array(-1, dtype)).astype(dtype)
    values[: first.size] = first
    if normal:
        small = (np.abs(values.astype(np.float64)) < tiny(dtype)) & (values != 0)
        values = np.where(small, np.array(-1, dtype), values).astype(dtype)
    return values


#: Lengths of the axes; few are empty.
_SIDES = (1, 2, 3, 4, 5, 0, 2, 3, 1, 4, 5, 3, 2, 7, 6, 3)
#: What subjects are given for which each new shape is expensive.
FEW_SHAPES: tuple[tuple[int, ...], ...] = ((), (3,), (37,), (2, 3, 4, 5))


def draw_shape(source: Source, few: bool = False, limit: int = 400) -> tuple[int, ...]:
    """Draw a shape of at most six dimensions; one in four is a long vector, for the ends of vector loops."""
    if few:
        return FEW_SHAPES[source.one(len(FEW_SHAPES))]
    if source.one(4) == 3:
        return (1 + source.one(300),)
    sides = [_SIDES[k] for k in source.many(source.one(7), len(_SIDES))]
    while math.prod(sides) > limit:
        sides = sides[:-1]
    return tuple(sides)


LAYOUTS = ("contiguous", "transposed", "sliced", "offset", "flipped", "channels-last", "expanded")


def lay_out(array: Array, layout: str) -> Array:
    """Return the values of `array` in the memory layout of one of `LAYOUTS`.

    "expanded" repeats the first element of the first axis, so it changes values.
    """
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


def _is_exact(pair: Sequence[float]) -> bool:
    return all(bound * 1024 % 1 == 0 for bound in pair)


def draw_bounds(source: Source, interval: tuple[float, float], exact: bool) -> tuple[float, float]:
    """Draw ``(lower, upper)`` within `interval`.

    If `exact`, multiples of 1/1024: these, their sum, difference and mean are the same in every
    precision, so that what an implementation rounds does not matter.
    """
    low, high = interval
    pairs = [pair for pair in _PAIRS if low <= pair[0] and pair[1] <= high]
    if exact:
        pairs = [pair for pair in pairs if _is_exact(pair)]
    if source.one(2) == 0:
        return pairs[source.one(len(pairs))]
    steps = 1024 if exact else 2**20
    low, high = math.ceil(max(low, -64.0) * steps), math.floor(min(high, 64.0) * steps)
    # Near 0 half of the time.
    if source.one(2) == 0:
        low, high = max(low, -steps), min(high, steps)
    a, b = (low + source.one(high - low + 1) for _ in range(2))
    return min(a, b) / steps + 0.0, max(a, b) / steps + 0.0
