"""The forward: the positive side, the range of the negative side, and what stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance.arithmetic import Array, branch, ordered, product
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

OUT_AND_IN = (False, True)


def between(t: Trial, y: Array, x: Array, lower: float, upper: float) -> None:
    """Fail unless each negative element's result lies between the rounded products with the bounds."""
    t.like(y, x, "y")
    low, high = ordered(product(lower, x), product(upper, x))
    good = (x >= 0) | ((low <= y) & (y <= high))
    good |= t.within_limits(y, low) | t.within_limits(y, high)
    t.holds(
        good,
        lambda at: (
            f"y{at} = {y[at]} for x{at} = {x[at]}: between {low[at]} and {high[at]} is allowed "
            f"with lower={lower!r}, upper={upper!r}"
        ),
    )


@check(modes=TRAIN, inplace=OUT_AND_IN)
def bounds(t: Trial) -> None:
    """In training a negative element lies between the rounded products lower * x and upper * x."""
    x = t.draw_array("finite")
    lower, upper = t.draw_any_bounds()
    between(t, t.forward(x, lower, upper), x, lower, upper)


@check(modes=BOTH, inplace=OUT_AND_IN)
def identity(t: Trial) -> None:
    """Where x >= 0 the result is x, the same bits (signs of zeros: special.signed-zeros)."""
    x = t.draw_array("any")
    lower, upper = t.draw_any_bounds()
    y = t.forward(x, lower, upper)
    t.like(y, x, "y")
    side = x >= 0
    t.specified(y[side], x[side], x[side], "y[x >= 0]")


@check(modes=TRAIN, inplace=OUT_AND_IN)
def equal_bounds(t: Trial) -> None:
    """With lower == upper the slope is that number: training is deterministic."""
    x = t.draw_array("finite")
    lower, _ = t.draw_bounds()
    expected = product(lower, x)
    y = t.forward(x, lower, lower)
    t.like(y, x, "y")
    side = x < 0
    t.specified(y[side], expected[side], x[side], "y[x < 0]")


@check(modes=BOTH, inplace=OUT_AND_IN)
def shape(t: Trial) -> None:
    """The result has the shape of the input."""
    x = t.draw_array("moderate")
    y = t.forward(x, 0.125, 0.25)
    t.ensure(y.shape == x.shape, f"y has shape {y.shape}, x has {x.shape}")


@check(modes=BOTH, inplace=OUT_AND_IN)
def dtype(t: Trial) -> None:
    """The result has the dtype of the input."""
    x = t.draw_array("moderate")
    y = t.forward(x, 0.125, 0.25)
    t.ensure(y.dtype == x.dtype, f"y has dtype {y.dtype}, x has {x.dtype}")


@check(modes=BOTH, inplace=OUT_AND_IN, needs=("device_names",), once=True)
def device(t: Trial) -> None:
    """The result is on the device of the input."""
    x = t.tensor(t.minus_ones(5))
    before = t.subject.device_of(x)
    after = t.subject.device_of(t.apply(x, 0.125, 0.25))
    t.ensure(before == after, f"y is on {after}, x is on {before}")


@check(modes=BOTH)
def input_untouched(t: Trial) -> None:
    """Without inplace the input keeps its bits."""
    x = t.draw_array("any")
    lower, upper = t.draw_any_bounds()
    tensor = t.tensor(x)
    t.apply(tensor, lower, upper)
    t.equal(t.numpy(tensor), x, "x after the call")


@check(modes=BOTH)
def result_is_new(t: Trial) -> None:
    """Without inplace the result is another tensor, not the input."""
    x = t.tensor(t.draw_values("moderate", (3,)))
    t.ensure(t.apply(x, 0.125, 0.25) is not x, "y is x itself without inplace")


@check(modes=TRAIN, inplace=OUT_AND_IN)
def product_rounding(t: Trial) -> None:
    """With lower == upper the product is rounded once, from the compute dtype, for any slope."""
    x = t.draw_array("moderate")
    for slope in (0.1, 1 / 3):
        t.specified(t.forward(x, slope, slope), branch(x, slope), x)


@check(modes=BOTH, once=True)
def positive_result_is_new(t: Trial) -> None:
    """Without inplace the result of an input that is all positive is another tensor too."""
    x = t.tensor(-t.minus_ones(5))
    t.ensure(t.apply(x, 0.125, 0.25) is not x, "y is x itself without inplace")


@check(modes=BOTH)
def results_are_apart(t: Trial) -> None:
    """A result stays what it is when there is another call of the same shape."""
    x = t.draw_values("moderate", (6,))
    y = t.apply(t.tensor(x), 0.0, 1.0)
    kept = t.numpy(y)
    t.apply(t.tensor((-x).astype(x.dtype)), 0.0, 1.0)
    t.equal(t.numpy(y), kept, "y after another call")
