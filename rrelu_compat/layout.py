"""Strides and words: what every adapter has to know of memory, whatever its framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence


def c_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the strides, in elements, of a contiguous tensor of `shape` in C order.

    Examples
    --------
    >>> c_strides((2, 3, 4))
    (12, 4, 1)
    """
    strides = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def overlaps_itself(shape: Sequence[int], strides: Sequence[int], itemsize: int = 1) -> bool:
    """Whether two elements of a tensor share memory.

    Parameters
    ----------
    shape : sequence of int
    strides : sequence of int
        In any unit; negative ones and 0 included.
    itemsize : int
        How many of these units an element takes.

    Examples
    --------
    >>> overlaps_itself((3, 2), (2, 3)), overlaps_itself((3, 2), (2, 2))
    (False, True)
    """
    if 0 in shape:
        return False
    axes = sorted(
        (abs(stride), size) for stride, size in zip(strides, shape, strict=True) if size > 1
    )
    # An axis that steps over everything the smaller ones reach meets nothing.
    while axes and axes[-1][0] >= itemsize + sum(stride * (size - 1) for stride, size in axes[:-1]):
        axes.pop()
    if not axes:
        return False
    if axes[0][0] < itemsize:
        return True
    # Strides interleave, so the places are counted.
    places = np.zeros(1, dtype=np.int64)
    for stride, size in axes:
        places = np.add.outer(places, np.arange(size, dtype=np.int64) * stride).reshape(-1)
    places.sort()
    return bool((np.diff(places) < itemsize).any())


def signed(word: int) -> int:
    """Return a 64-bit word as the int64 of the same bits, the form in which tensors carry it."""
    return word - 2**64 if word >= 2**63 else word
