"""The slope of an element: Philox4x32-10 and the steps from its words to slopes, in NumPy.

This module is the definition. Every kernel gives the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.spec import LOWER, UPPER, RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW32 = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_MASK32, _MASK64 = 2**32 - 1, 2**64 - 1


def philox4x32_10(
    counter: tuple[NDArray[np.uint64], ...], key: tuple[int, int]
) -> tuple[NDArray[np.uint64], ...]:
    """Philox4x32-10 on many counters at once.

    Parameters
    ----------
    counter : tuple of 4 arrays of uint64
        The four 32-bit counter words, broadcast together.
    key : tuple of 2 ints
        The two 32-bit key words.

    Returns
    -------
    tuple of 4 arrays of uint64
        The four 32-bit output words.

    References
    ----------
    Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        p0, p1 = _M0 * c0, _M1 * c2
        c0, c1, c2, c3 = (
            (p1 >> _32) ^ c1 ^ np.uint64(k0),
            p1 & _LOW32,
            (p0 >> _32) ^ c3 ^ np.uint64(k1),
            p0 & _LOW32,
        )
        k0, k1 = (k0 + _W0) & _MASK32, (k1 + _W1) & _MASK32
    return c0, c1, c2, c3


def _blocks(block: NDArray[np.uint64], seed: int, call: int) -> NDArray[np.uint32]:
    """Return the (n, 4) words of Philox blocks `block` (n,)."""
    counter = (
        block & _LOW32,
        block >> _32,
        np.uint64(call & _MASK32) + np.zeros_like(block),
        np.uint64(call >> 32) + np.zeros_like(block),
    )
    words = philox4x32_10(counter, (seed & _MASK32, seed >> 32))
    return np.stack([w.astype(np.uint32) for w in words], axis=-1)


def words(start: int, count: int, seed: int, call: int) -> NDArray[np.uint32]:
    """Return the random words of elements ``start, start + 1, ...`` (indices modulo 2**64)."""
    skip = start % 4
    blocks = np.uint64(start // 4) + np.arange((skip + count + 3) // 4, dtype=np.uint64)
    # Indices wrap at 2**64, so block numbers wrap at 2**62.
    four = _blocks(blocks & np.uint64(2**62 - 1), seed, call)
    return np.asarray(four.reshape(-1)[skip : skip + count])


def words_at(index: NDArray[np.uint64], seed: int, call: int) -> NDArray[np.uint32]:
    """Return the random words of the elements `index`, of any shape."""
    flat = index.reshape(-1)
    four = _blocks(flat >> np.uint64(2), seed, call)
    own = four[np.arange(flat.size), (flat & np.uint64(3)).astype(np.intp)]
    return np.asarray(own.reshape(index.shape))


def words_to_slopes(
    r: NDArray[np.uint32], lower: float, upper: float, dtype: np.dtype[Any]
) -> NDArray[Any]:
    """Map random words to slopes in the compute dtype (float32 or float64), each step rounded."""
    real = dtype.type
    width = real(upper - lower)
    if dtype == np.float32:
        u = (r >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
    else:
        u = r.astype(np.float64) * 2.0**-32
    s = real(lower) + width * u
    return np.asarray(np.where(s < real(upper), s, real(upper)))


def check_uint64(argument: str, value: object) -> int:
    """Return `value` as an int in ``[0, 2**64)``.

    Raises
    ------
    TypeError
        If it is not an integer (bool is not).
    ValueError
        If it is out of range.
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise TypeError(
            f"{argument} must be an integer in [0, 2**64), "
            f"got {type(value).__name__} {argument}={value!r}"
        )
    if not 0 <= value <= _MASK64:
        raise ValueError(f"{argument} must be an integer in [0, 2**64), got {argument}={value!r}")
    return int(value)


def _check_shape(shape: object) -> tuple[int, ...]:
    sizes = shape if isinstance(shape, (tuple, list)) else (shape,)
    for n in sizes:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 0:
            raise ValueError(
                f"shape must be an integer >= 0 or a sequence of integers >= 0, got shape={shape!r}"
            )
    return tuple(int(n) for n in sizes)


def slopes(
    shape: int | Sequence[int],
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    seed: int,
    call: int = 0,
    dtype: str = "float32",
) -> NDArray[Any]:
    """Return the training slopes of a tensor: the definition, runnable.

    The slope of the element with C-order index ``i`` is a pure function of ``(seed, call, i)``:
    word ``i % 4`` of Philox4x32-10 with the key ``seed`` and the counter ``(i // 4, call)``, mapped to
    ``[lower, upper]``. The first training call with ``Generator(seed)`` has ``call=0``, the next 1.

    Parameters
    ----------
    shape : int or sequence of int
        Shape of the tensor.
    lower, upper : float
        Bounds of the slopes.
    seed, call : int
        Integers in ``[0, 2**64)``.
    dtype : {"float32", "float64"}
        The *compute* dtype: float64 for float64 tensors, float32 for all others.

    Returns
    -------
    numpy.ndarray
        Slopes of shape `shape` and dtype `dtype`, within ``[lower, upper]`` as rounded to `dtype`.

    Raises
    ------
    TypeError, ValueError
        For a seed or call that is no such integer, a wrong shape or dtype.
    BoundsError
        For bounds that `RReLUSpec` refuses.

    Examples
    --------
    >>> slopes(3, 0.0, 1.0, seed=1234, call=1).dtype
    dtype('float32')

    References
    ----------
    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
    """
    sizes = _check_shape(shape)
    seed, call = check_uint64("seed", seed), check_uint64("call", call)
    if dtype not in ("float32", "float64"):
        raise ValueError(
            f"dtype must be 'float32' or 'float64' (the compute dtype), got dtype={dtype!r}"
        )
    compute = np.dtype(dtype)
    low, high = RReLUSpec(lower, upper).slope_range(True, compute == np.float32)
    random = words(0, math.prod(sizes), seed, call)
    return words_to_slopes(random, low, high, compute).reshape(sizes)
