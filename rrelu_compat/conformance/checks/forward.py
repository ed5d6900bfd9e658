"""The forward: the positive side, the range of the negative side, and what stays as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance.case import BOTH, TRAIN, check
from rrelu_compat.conformance.numerics import Array, ordered, product

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

OUT_AND_IN = (False, True)


def between(t: Trial, y: Array, x: Array, lower: float, upper: float) -> None:
    """Fail unless each negative element's result lies between the rounded products with the bounds."""
    t.like(y, x, "y")
    low, high = ordered(product(lower, x), product(upper, x))
    t.holds(
        (x >= 0) | ((low <= y) & (y <= high)),
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
    t.equal(y[side], expected[side], "y[x < 0]", x[side])


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
