"""The gradient: that of the slopes the forward used, 1 where x >= 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.case import BOTH, EVAL, TRAIN, check
from rrelu_compat.conformance.numerics import branch, mean_slope, product

if TYPE_CHECKING:
    from rrelu_compat.conformance.numerics import Array
    from rrelu_compat.conformance.trial import Trial

NEEDS = ("gradients",)


@check(modes=TRAIN, needs=NEEDS)
def equals_slope_used(t: Trial) -> None:
    """For the output gradient x the input gradient is y, up to rounding: the slopes are the same ones."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    y, pullback = t.vjp(x, lower, upper)
    t.close(pullback(x), y, "the gradient for g = x")


@check(modes=BOTH, needs=NEEDS)
def rounded_like_forward(t: Trial) -> None:
    """a * g is rounded like a * x: for the output gradient x the input gradient has the bits of y."""
    x = t.draw_array("any")
    lower, upper = t.draw_bounds()
    y, pullback = t.vjp(x, lower, upper)
    t.equal(pullback(x), y, "the gradient for g = x", x)


@check(modes=BOTH, needs=NEEDS)
def positive_side(t: Trial) -> None:
    """Where x > 0 the gradient is the output gradient, the same bits."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    g = t.draw_values("any", x.shape)
    _, pullback = t.vjp(x, lower, upper)
    side = x > 0
    t.equal(pullback(g)[side], g[side], "gradient[x > 0]")


@check(modes=BOTH, needs=NEEDS)
def at_zero(t: Trial) -> None:
    """At 0 and at -0.0 the gradient is 1 in every mode."""
    x = np.array([0.0, -0.0] * (1 + sum(t.draw_small(2)))).astype(t.dtype)
    lower, upper = t.draw_bounds()
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, lower, upper)
    t.equal(pullback(g), g, "the gradient", x)


@check(modes=EVAL, needs=NEEDS)
def evaluation(t: Trial) -> None:
    """In evaluation the gradient is m * g where x < 0, m the mean of the bounds."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, lower, upper)
    slope = product(mean_slope(lower, upper), g)
    t.equal(pullback(g), np.where(x >= 0, g, slope).astype(g.dtype), "the gradient", x)


@check(modes=TRAIN, needs=NEEDS)
def within_bounds(t: Trial) -> None:
    """Where x < 0 the gradient for g = 1 lies between the bounds, rounded to the dtype."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    _, pullback = t.vjp(x, lower, upper)
    ones = np.ones_like(x)
    gradient = pullback(ones)
    low, high = product(lower, ones), product(upper, ones)
    t.holds(
        (x >= 0) | ((low <= gradient) & (gradient <= high)),
        lambda at: (
            f"gradient{at} = {gradient[at]} for g = 1, x{at} = {x[at]}, bounds {lower}, {upper}"
        ),
    )


@check(modes=BOTH, needs=NEEDS)
def twice(t: Trial) -> None:
    """The same graph can be gone back through twice, with the same result."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, 0.125, 0.25)
    first = pullback(g)
    t.equal(pullback(g), first, "the second gradient")


@check(modes=BOTH, needs=NEEDS)
def linear(t: Trial) -> None:
    """Twice the output gradient gives twice the input gradient, to the bit."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, 0.125, 0.25)
    t.equal(pullback((2 * g).astype(g.dtype)), (2 * pullback(g)).astype(g.dtype), "the gradient")


@check(modes=BOTH, needs=NEEDS)
def same_output(t: Trial) -> None:
    """The output of a call that records a gradient has the shape, dtype and positive side of x."""
    x = t.draw_array("any")
    lower, upper = t.draw_bounds()
    y, pullback = t.vjp(x, lower, upper)
    t.like(y, x, "y")
    t.like(pullback(x), x, "the gradient")
    if not t.training:
        t.specified(y, branch(x, mean_slope(lower, upper)), x)


@check(modes=BOTH, needs=NEEDS, once=True)
def nan_input(t: Trial) -> None:
    """At NaN the gradient is a * g, as on the negative side: finite, not g itself."""
    x = np.array([np.nan, 1.0, -1.0]).astype(t.dtype)
    _, pullback = t.vjp(x, 0.25, 0.25)
    expected = np.array([0.5, 2.0, 0.5]).astype(t.dtype)
    t.equal(pullback(np.full_like(x, 2.0)), expected, "the gradient for g = 2", x)


@check(modes=EVAL, needs=NEEDS, dtypes=("float64",))
def finite_differences(t: Trial) -> None:
    """The gradient is the limit of difference quotients."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    _, pullback = t.vjp(x, lower, upper)
    _difference(t, x, lower, upper, pullback(np.ones_like(x)))


@check(modes=TRAIN, needs=("gradients", "seeding"), dtypes=("float64",))
def finite_differences_training(t: Trial) -> None:
    """The gradient is the limit of difference quotients of calls with the same seed."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    _, pullback = t.vjp(x, lower, upper, generator=t.generator(t.seed))
    _difference(t, x, lower, upper, pullback(np.ones_like(x)))


def _difference(t: Trial, x: Array, lower: float, upper: float, gradient: Array) -> None:
    step = 2.0**-12 * np.abs(x)  # keeps the sign of x

    def at(shifted: Array) -> Array:
        generator = t.generator(t.seed) if t.training else None
        return t.forward(shifted, lower, upper, generator=generator)

    quotient = (at(x + step) - at(x - step)) / (2 * step)
    scale = max(1.0, abs(lower), abs(upper))
    t.holds(
        np.abs(quotient - gradient) <= 1e-8 * scale,
        lambda k: (
            f"gradient{k} = {gradient[k]}, difference quotient {quotient[k]} at x{k} = {x[k]}"
        ),
    )
