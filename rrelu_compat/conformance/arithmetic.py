"""What the specification makes of numbers: dtypes, rounded products, comparison of bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from rrelu_compat.conformance.extra import require

Array = np.ndarray[Any, Any]

_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def dtype_of(name: str) -> np.dtype[Any]:
    """Return the NumPy dtype of one of the suite's four names."""
    if name == "bfloat16":
        bfloat16: np.dtype[Any] = np.dtype(require("ml_dtypes").bfloat16)
        return bfloat16
    return np.dtype(name)


def compute_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that the arithmetic of tensors of `dtype` is done in."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def product(slope: Any, x: Array) -> Array:
    """Return ``slope * x`` as specified: both in the compute dtype, the product rounded, then converted."""
    compute = compute_dtype(x.dtype)
    with np.errstate(all="ignore"):
        result = np.multiply(np.asarray(slope).astype(compute), x.astype(compute))
        return np.asarray(result).astype(x.dtype)


def branch(x: Array, slope: Any) -> Array:
    """Return `x` where ``x >= 0`` and the rounded ``slope * x`` elsewhere, NaN included."""
    return np.where(x >= 0, x, product(slope, x)).astype(x.dtype)


def mean_slope(lower: float, upper: float) -> float:
    """Return the slope of evaluation, in double precision."""
    return (lower + upper) / 2


def bits(array: Array) -> Array:
    """Return the bit patterns of a float array, every NaN as one."""
    canonical = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
    return np.ascontiguousarray(canonical.astype(array.dtype)).view(_BITS[array.dtype.itemsize])


def same_bits(a: Array, b: Array) -> Array:
    """Return where two arrays of one shape and dtype are equal, signs of zero told apart, any NaN alike."""
    return np.asarray(np.asarray(bits(a) == bits(b)).reshape(a.shape))


def ordered(a: Array, b: Array) -> tuple[Array, Array]:
    """Return the smaller and the larger of two arrays, element by element."""
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    return np.where(wide_a <= wide_b, a, b), np.where(wide_a <= wide_b, b, a)


def epsilon(dtype: np.dtype[Any]) -> float:
    """Return the distance from 1 to the next larger number of `dtype`."""
    return float(2.0**-7) if dtype.name == "bfloat16" else float(np.finfo(dtype).eps)


def tiny(dtype: np.dtype[Any]) -> float:
    """Return the smallest normal number of `dtype`."""
    return float(2.0**-126) if dtype.name == "bfloat16" else float(np.finfo(dtype).tiny)
