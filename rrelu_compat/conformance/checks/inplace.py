"""In place: the result is the input object, the values and gradients are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope
from rrelu_compat.conformance.registry import BOTH, EVAL, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

HERE = (True,)


@check(modes=BOTH, inplace=HERE)
def same_object(t: Trial) -> None:
    """The result is the input object."""
    x = t.tensor(t.draw_array("moderate"))
    t.ensure(t.apply(x, 0.125, 0.25) is x, "y is not x")


@check(modes=BOTH, inplace=HERE)
def written(t: Trial) -> None:
    """The input holds the result afterwards."""
    array = t.draw_array("any")
    lower, upper = t.draw_bounds()
    x = t.tensor(array)
    y = t.apply(x, lower, upper)
    t.equal(t.numpy(x), t.numpy(y), "x after the call")
    if not t.training:
        t.specified(t.numpy(x), branch(array, mean_slope(lower, upper)), array, "x after the call")


@check(modes=TRAIN, inplace=HERE, needs=("seeding",))
def same_slopes(t: Trial) -> None:
    """With the same seed, in place and not in place give the same bits."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    expected = t.forward(x, lower, upper, inplace=False, generator=t.generator(t.seed))
    t.equal(t.forward(x, lower, upper, generator=t.generator(t.seed)), expected, "y in place", x)


@check(modes=BOTH, inplace=HERE, needs=("gradients",))
def gradient(t: Trial) -> None:
    """The gradient of an in-place call uses the slopes of its forward, for positive bounds."""
    x = t.draw_array("moderate")
    y, gx = t.gradient(x, x, 0.125, 0.25)
    t.close(gx, y, "the gradient for g = x")


@check(modes=BOTH, inplace=HERE, needs=("gradients", "negative_bounds"))
def gradient_negative_bounds(t: Trial) -> None:
    """The gradient of an in-place call is right when the slopes are negative, where signs flip."""
    x = t.draw_array("moderate")
    y, gx = t.gradient(x, x, -0.75, -0.5)
    t.close(gx, y, "the gradient for g = x")


@check(modes=EVAL, inplace=HERE, needs=("gradients",))
def gradient_zero_bounds(t: Trial) -> None:
    """The gradient of an in-place call is right when the slope is 0, where the sign is lost."""
    x = t.draw_array("moderate")
    _, gx = t.gradient(x, x, 0.0, 0.0)
    expected = np.where(x >= 0, x, 0 * x).astype(x.dtype)
    t.equal(np.abs(gx), np.abs(expected), "|the gradient for g = x|", x)


@check(modes=BOTH, inplace=HERE, needs=("strided",), once=True)
def overlapping(t: Trial) -> None:
    """A tensor whose elements share memory (an expanded one) is refused."""
    x = t.tensor(np.broadcast_to(t.minus_ones(1), (4,)))
    if 0 not in tuple(t.subject.strides(x)):
        return  # the framework has no such tensors
    try:
        y = t.apply(x, 0.125, 0.25)
    except Exception:
        return
    t.fail(f"an expanded tensor was written to in place, y = {t.numpy(y)}: an error is expected")
