"""The kernels in NumPy: what serves where the extension was not compiled."""

from __future__ import annotations

import ctypes
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.layout import c_strides
from rrelu_compat.slopes import words, words_at, words_to_slopes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_F16, _BF16, _F32, _F64 = range(4)
# bfloat16 is stored as uint16: NumPy itself has no such dtype.
_STORAGE = [np.dtype(name) for name in ("float16", "uint16", "float32", "float64")]
_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
# Elements made at a time: Philox needs a few temporaries of 8 bytes for each.
_CHUNK = 1 << 15

Ints = tuple[int, ...]


def path() -> str:
    """Return "numpy"."""
    return "numpy"


def _array(address: int, shape: Ints, strides: Ints, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array of `shape` at `address`; strides in elements, maybe negative."""
    if 0 in shape:
        return np.empty(shape, dtype)
    ends = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    low, high = sum(min(0, end) for end in ends), sum(max(0, end) for end in ends)
    size = dtype.itemsize
    memory = (ctypes.c_char * ((high - low + 1) * size)).from_address(address + low * size)
    array: NDArray[Any] = np.ndarray(
        shape,
        dtype,
        memory,  # type: ignore[arg-type]
        offset=-low * size,
        strides=[stride * size for stride in strides],
    )
    return array


def _widen(stored: NDArray[Any], dtype: int) -> NDArray[Any]:
    """Convert stored elements to the compute dtype, exactly."""
    if dtype == _BF16:
        wide: NDArray[Any] = (stored.astype(np.uint32) << np.uint32(16)).view(np.float32)
        return wide
    return np.asarray(stored, _DOUBLE if dtype == _F64 else _SINGLE)


def _narrow(values: NDArray[Any], dtype: int) -> NDArray[Any]:
    """Convert results to the stored dtype, to nearest even."""
    if dtype != _BF16:
        return np.asarray(values, _STORAGE[dtype])
    raw = values.view(np.uint32)
    rounded = (raw + np.uint32(0x7FFF) + ((raw >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
    # Rounding could carry a NaN's payload into the exponent or out of the mantissa.
    quiet = (raw >> np.uint32(16)) | np.uint32(0x0040)
    return np.asarray(np.where(np.isnan(values), quiet, rounded), np.uint16)


def _slope(r: NDArray[np.uint32] | None, lower: float, upper: float, dtype: int) -> Any:
    compute = _DOUBLE if dtype == _F64 else _SINGLE
    return compute.type(upper) if r is None else words_to_slopes(r, lower, upper, compute)


def _scaled(stored: NDArray[Any], slope: Any, dtype: int) -> NDArray[Any]:
    with np.errstate(all="ignore"):
        return _narrow(np.asarray(_widen(stored, dtype) * slope), dtype)


def _chunks(n: int) -> Iterator[slice]:
    for begin in range(0, n, _CHUNK):
        yield slice(begin, min(begin + _CHUNK, n))


def _draw(
    chunk: slice, constant: bool, seed: int, call: int, start: int
) -> NDArray[np.uint32] | None:
    if constant:
        return None
    return words((start + chunk.start) % 2**64, chunk.stop - chunk.start, seed, call)


def _draw_at(
    shape: Ints,
    index_strides: Ints | None,
    constant: bool,
    seed: int,
    call: int,
    start: int,
) -> NDArray[np.uint32] | None:
    if constant:
        return None
    if index_strides is None:
        return words(start, math.prod(shape), seed, call).reshape(shape)
    index = np.full(shape, start, dtype=np.uint64)
    for axis, (n, stride) in enumerate(zip(shape, index_strides, strict=True)):
        steps = np.arange(n, dtype=np.uint64) * np.uint64(stride % 2**64)
        index += steps.reshape([-1 if k == axis else 1 for k in range(len(shape))])
    return words_at(index, seed, call)


def _nonnegative(stored: NDArray[Any], dtype: int) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore"):  # a signalling NaN
        result: NDArray[np.bool_] = np.asarray(_widen(stored, dtype) >= 0)
    return result


def _write_bits(bits: int, passes: NDArray[np.bool_]) -> None:
    packed = np.packbits(passes.reshape(-1), bitorder="little")
    _array(bits, packed.shape, (1,), np.dtype(np.uint8))[...] = packed


def _read_bits(bits: int, n: int) -> NDArray[np.bool_]:
    packed = _array(bits, ((n + 7) // 8,), (1,), np.dtype(np.uint8))
    return np.unpackbits(packed, count=n, bitorder="little").view(np.bool_)


def use_team(address: int | None) -> None:
    """Nothing: this path runs on the calling thread."""


def forward(
    dtype: int, n: int, x: int, y: int, bits: int, seed: int, call: int, start: int,
    lower: float, upper: float, threads: int,
) -> None:  # fmt: skip
    """Contiguous forward: see `rrelu_compat.kernels`."""
    source = _array(x, (n,), (1,), _STORAGE[dtype])
    target = _array(y, (n,), (1,), _STORAGE[dtype])
    for chunk in _chunks(n):
        part = source[chunk]
        passes = _nonnegative(part, dtype)
        slope = _slope(_draw(chunk, lower == upper, seed, call, start), lower, upper, dtype)
        target[chunk] = np.where(passes, part, _scaled(part, slope, dtype))
        if bits:
            _write_bits(bits + chunk.start // 8, passes)


def backward(
    dtype: int, n: int, g: int, out: int, bits: int, seed: int, call: int, start: int,
    lower: float, upper: float, threads: int,
) -> None:  # fmt: skip
    """Contiguous backward: see `rrelu_compat.kernels`."""
    source = _array(g, (n,), (1,), _STORAGE[dtype])
    target = _array(out, (n,), (1,), _STORAGE[dtype])
    for chunk in _chunks(n):
        part = source[chunk]
        passes = _read_bits(bits + chunk.start // 8, part.size)
        slope = _slope(_draw(chunk, lower == upper, seed, call, start), lower, upper, dtype)
        target[chunk] = np.where(passes, part, _scaled(part, slope, dtype))


def forward_strided(
    dtype: int, shape: Ints, x: int, x_strides: Ints, y: int, y_strides: Ints, bits: int,
    index_strides: Ints | None, seed: int, call: int, start: int, lower: float, upper: float,
    threads: int,
) -> None:  # fmt: skip
    """Forward for any layout: see `rrelu_compat.kernels`."""
    source = _array(x, shape, x_strides, _STORAGE[dtype])
    passes = _nonnegative(source, dtype)
    r = _draw_at(shape, index_strides, lower == upper, seed, call, start)
    scaled = _scaled(source, _slope(r, lower, upper, dtype), dtype)
    _array(y, shape, y_strides, _STORAGE[dtype])[...] = np.where(passes, source, scaled)
    if bits:
        _write_bits(bits, passes)


def backward_strided(
    dtype: int, shape: Ints, g: int, g_strides: Ints, out: int, out_strides: Ints, bits: int,
    index_strides: Ints | None, seed: int, call: int, start: int, lower: float, upper: float,
    threads: int,
) -> None:  # fmt: skip
    """Backward for any layout: see `rrelu_compat.kernels`."""
    source = _array(g, shape, g_strides, _STORAGE[dtype])
    passes = _read_bits(bits, math.prod(shape)).reshape(shape)
    r = _draw_at(shape, index_strides, lower == upper, seed, call, start)
    scaled = _scaled(source, _slope(r, lower, upper, dtype), dtype)
    _array(out, shape, out_strides, _STORAGE[dtype])[...] = np.where(passes, source, scaled)


def fill_slopes(
    dtype: int, shape: Ints, out: int, index_strides: Ints | None, seed: int, call: int,
    start: int, lower: float, upper: float, threads: int,
) -> None:  # fmt: skip
    """The slopes themselves: see `rrelu_compat.kernels`."""
    r = _draw_at(shape, index_strides, lower == upper, seed, call, start)
    _array(out, shape, c_strides(shape), _STORAGE[dtype])[...] = _slope(r, lower, upper, dtype)
