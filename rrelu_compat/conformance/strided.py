"""Taking a NumPy view apart, so that a framework can rebuild it with the same strides."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def as_strided_parts(array: Array) -> tuple[Array, tuple[int, ...], tuple[int, ...], int]:
    """Return ``(base, shape, strides, offset)`` of `array`, strides and offset in elements.

    ``base`` is a contiguous copy of the memory that the array spans. Most frameworks have an
    ``as_strided(base, shape, strides, offset)`` that makes the same view of it.

    Parameters
    ----------
    array : numpy.ndarray
        Any view whose strides are whole numbers of elements.

    Examples
    --------
    >>> base, shape, strides, offset = as_strided_parts(np.arange(6.0).reshape(2, 3)[:, ::-2])
    >>> shape, strides, offset, base.size
    ((2, 2), (3, -2), 2, 6)
    """
    item = array.dtype.itemsize
    strides = tuple(s // item for s in array.strides)
    if array.size == 0:
        return array.reshape(-1).copy(), array.shape, strides, 0
    steps = [(n - 1) * s for n, s in zip(array.shape, strides, strict=True)]
    offset = -sum(step for step in steps if step < 0)
    forward = array[tuple(slice(None, None, -1 if s < 0 else 1) for s in strides)]
    count = sum(abs(step) for step in steps) + 1
    base = np.lib.stride_tricks.as_strided(forward, (count,), (item,)).copy()
    return base, array.shape, strides, offset


def rebuild(base: Array, shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> Array:
    """Return the view of `base` that `as_strided_parts` took apart."""
    item = base.dtype.itemsize
    if 0 in shape:
        return np.empty(shape, base.dtype)
    return np.lib.stride_tricks.as_strided(base[offset:], shape, [s * item for s in strides])
