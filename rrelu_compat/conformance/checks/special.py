"""NaN, infinities, signed zeros, subnormals, the largest numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import Array, branch, mean_slope
from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.draws import extremes
from rrelu_compat.conformance.registry import BOTH, EVAL, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

OUT_AND_IN = (False, True)


def _array(t: Trial, *values: float) -> Array:
    return np.array(values).astype(t.dtype)


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def nan(t: Trial) -> None:
    """NaN stays NaN."""
    y = t.forward(_array(t, np.nan, -1, np.nan), 0.125, 0.25)
    t.ensure(bool(np.isnan(y[[0, 2]]).all()) and not np.isnan(y[1]), f"y = {y} for [nan, -1, nan]")


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def infinity(t: Trial) -> None:
    """Infinities stay what they are when the bounds are positive."""
    x = _array(t, -np.inf, np.inf)
    t.equal(t.forward(x, 0.125, 0.25), x, "y", x)


@check(modes=EVAL, inplace=OUT_AND_IN, once=True)
def infinity_times_zero(t: Trial) -> None:
    """With the slope 0, minus infinity gives NaN, as 0 * inf does."""
    y = t.forward(_array(t, -np.inf, -1, np.inf), 0.0, 0.0)
    t.ensure(bool(np.isnan(y[0])), f"y[0] = {y[0]} for x[0] = -inf and slope 0, expected nan")


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("negative_zero",), once=True)
def signed_zeros(t: Trial) -> None:
    """Both zeros keep their sign."""
    x = _array(t, 0.0, -0.0)
    t.equal(t.forward(x, 0.125, 0.25), x, "y", x)


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("negative_zero",), once=True)
def signed_zeros_flat(t: Trial) -> None:
    """Both zeros keep their sign when the slope is 0."""
    x = _array(t, 0.0, -0.0)
    t.equal(t.forward(x, 0.0, 0.0), x, "y", x)


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("negative_bounds", "negative_zero"), once=True)
def signed_zeros_negative_slope(t: Trial) -> None:
    """Both zeros keep their sign when the slopes are negative."""
    x = _array(t, 0.0, -0.0)
    t.equal(t.forward(x, -0.5, -0.25), x, "y", x)


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("subnormals",), once=True)
def subnormals(t: Trial) -> None:
    """Subnormal inputs are not flushed to zero, nor are subnormal results."""
    values = extremes(t.dtype)
    x = -np.abs(values[np.abs(values.astype(np.float64)) < 1e-4])
    y = t.forward(x, 0.5, 0.75)
    between(t, y, x, 0.5, 0.75)
    if not t.training:
        t.specified(y, branch(x, mean_slope(0.5, 0.75)), x)


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def largest(t: Trial) -> None:
    """The largest numbers do not overflow when the slopes are at most 1."""
    values = extremes(t.dtype)
    x = -np.abs(values[np.abs(values.astype(np.float64)) > 1e4])
    y = t.forward(x, 0.5, 1.0)
    t.ensure(bool(np.isfinite(y).all()), f"y = {y} for x = {x}")
    between(t, y, x, 0.5, 1.0)


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("negative_bounds",), once=True)
def infinity_negative_slope(t: Trial) -> None:
    """Minus infinity becomes infinity when the slopes are negative."""
    y = t.forward(_array(t, -np.inf, 1.0), -0.5, -0.25)
    t.equal(y, _array(t, np.inf, 1.0), "y for x = [-inf, 1]")
