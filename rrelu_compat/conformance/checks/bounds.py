"""Bounds that the specification allows and implementations refuse or get wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope
from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial


def _accepted(t: Trial, lower: Any, upper: Any) -> None:
    x = np.array([-3.0, -1.0, -0.5, 0.0, 2.0]).astype(t.dtype)
    y = t.forward(x, lower, upper)
    if t.training:
        between(t, y, x, float(lower), float(upper))
    else:
        t.specified(y, branch(x, mean_slope(float(lower), float(upper))), x)


@check(modes=BOTH, once=True)
def negative(t: Trial) -> None:
    """Negative bounds are taken."""
    _accepted(t, -0.5, -0.25)


@check(modes=BOTH, once=True)
def mixed_signs(t: Trial) -> None:
    """A negative lower and a positive upper bound are taken."""
    _accepted(t, -0.5, 0.25)


@check(modes=BOTH, once=True)
def above_one(t: Trial) -> None:
    """Bounds above 1 are taken."""
    _accepted(t, 1.5, 3.0)


@check(modes=BOTH, once=True)
def integer(t: Trial) -> None:
    """Python ints are taken."""
    _accepted(t, 0, 1)


@check(modes=BOTH, once=True)
def numpy_scalar(t: Trial) -> None:
    """NumPy scalars are taken."""
    _accepted(t, np.float32(0.125), np.float32(0.25))


@check(modes=BOTH, once=True)
def zero(t: Trial) -> None:
    """Both bounds 0 make a ReLU."""
    _accepted(t, 0.0, 0.0)


@check(modes=BOTH, dtypes=("float64",), once=True)
def double_precision(t: Trial) -> None:
    """In float64 the bounds are used in double precision."""
    x = np.array([-1.0]).astype(t.dtype)
    t.specified(t.forward(x, 0.1, 0.1), branch(x, 0.1), x)


@check(modes=TRAIN, dtypes=("float32", "float64"), once=True)
def tiny_width(t: Trial) -> None:
    """Bounds that are close together give different slopes between them."""
    x, lower, upper = t.minus_ones(4096), 0.5, 0.5 + 2.0**-18
    y = t.forward(x, lower, upper)
    between(t, y, x, lower, upper)
    t.ensure(np.unique(y).size > 8, f"4096 slopes have {np.unique(y).size} different values")


@check(modes=BOTH, once=True)
def large(t: Trial) -> None:
    """Bounds of 100 and 200 are taken as they are."""
    _accepted(t, 100.0, 200.0)
    if t.training:
        slopes = -t.forward(t.minus_ones(4096), 100.0, 200.0).astype(np.float64)
        t.ensure(slopes.max() > 195, f"the largest of 4096 slopes is {slopes.max():.1f}")
