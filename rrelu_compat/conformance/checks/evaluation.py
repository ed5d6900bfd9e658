"""Evaluation: the mean slope, nothing random."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance.arithmetic import branch, mean_slope
from rrelu_compat.conformance.registry import EVAL, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial


@check(modes=EVAL, inplace=(False, True))
def slope(t: Trial) -> None:
    """The slope is (lower + upper) / 2; the product is rounded in the compute dtype."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    y = t.forward(x, lower, upper)
    t.specified(y, branch(x, mean_slope(lower, upper)), x)


@check(modes=EVAL, once=True)
def mean_in_double_precision(t: Trial) -> None:
    """The mean of the bounds is computed in double precision, then rounded to the compute dtype."""
    low, high = t.subject.capabilities.bounds
    x = t.minus_ones(1)
    for k in range(40):
        lower, upper = (k + 1) / 97, (k + 50) / 91
        if low <= lower and upper <= high:
            t.specified(t.forward(x, lower, upper), branch(x, mean_slope(lower, upper)), x)


@check(modes=EVAL, inplace=(False, True))
def default_bounds(t: Trial) -> None:
    """With the bounds 1/8 and 1/3 the slope is 11/48."""
    x = t.draw_array("moderate")
    t.specified(t.forward(x, 1 / 8, 1 / 3), branch(x, mean_slope(1 / 8, 1 / 3)), x)


@check(modes=EVAL)
def deterministic(t: Trial) -> None:
    """Two calls give the same bits."""
    x = t.draw_array("any")
    lower, upper = t.draw_bounds()
    first = t.forward(x, lower, upper)
    t.equal(t.forward(x, lower, upper), first, "the second y", x)
