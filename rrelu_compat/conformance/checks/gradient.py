"""The gradient: that of the slopes the forward used, 1 where x >= 0.

The sign of a gradient that is 0 is not looked at: a sum of two branches is as right as a choice
between them. `portable.gradient` demands the bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope, product, same_bits
from rrelu_compat.conformance.registry import BOTH, EVAL, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array
    from rrelu_compat.conformance.trial import Trial

NEEDS = ("gradients",)
#: Several gradients of one forward.
PULLBACKS = ("pullbacks",)


@check(modes=TRAIN, needs=NEEDS)
def equals_slope_used(t: Trial) -> None:
    """For the output gradient x the input gradient is y, up to rounding: the slopes are the same ones."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    y, gx = t.gradient(x, x, lower, upper)
    t.close(gx, y, "the gradient for g = x")


@check(modes=BOTH, needs=(*NEEDS, "compute_rounding"))
def rounded_like_forward(t: Trial) -> None:
    """a * g is rounded like a * x: for the output gradient x the input gradient has the bits of y."""
    x = t.draw_array("any")
    lower, upper = t.draw_bounds()
    y, gx = t.gradient(x, x, lower, upper)
    t.specified(gx, y, what="the gradient for g = x")


@check(modes=BOTH, needs=NEEDS)
def positive_side(t: Trial) -> None:
    """Where x > 0 the gradient is the output gradient, the same bits."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    g = t.draw_values("any", x.shape)
    _, gx = t.gradient(x, g, lower, upper)
    t.like(gx, x, "the gradient")
    side = x > 0
    t.specified(gx[side], g[side], what="gradient[x > 0]")


@check(modes=BOTH, needs=NEEDS)
def at_zero(t: Trial) -> None:
    """At 0 and at -0.0 the gradient is 1 in every mode."""
    x = np.array([0.0, -0.0] * (1 + sum(t.draw_small(2)))).astype(t.dtype)
    lower, upper = t.draw_bounds()
    g = t.draw_values("moderate", x.shape)
    _, gx = t.gradient(x, g, lower, upper)
    t.equal(gx, g, "the gradient", x)


@check(modes=EVAL, needs=NEEDS)
def evaluation(t: Trial) -> None:
    """In evaluation the gradient is m * g where x < 0, m the mean of the bounds."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    g = t.draw_values("moderate", x.shape)
    _, gx = t.gradient(x, g, lower, upper)
    slope = product(mean_slope(lower, upper), g)
    t.specified(gx, np.where(x >= 0, g, slope).astype(g.dtype), what="the gradient")


@check(modes=TRAIN, needs=NEEDS)
def within_bounds(t: Trial) -> None:
    """Where x < 0 the gradient for g = 1 lies between the bounds, rounded to the dtype."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    ones = np.ones_like(x)
    _, gradient = t.gradient(x, ones, lower, upper)
    low, high = product(lower, ones), product(upper, ones)
    t.like(gradient, x, "the gradient")
    t.holds(
        (x >= 0) | ((low <= gradient) & (gradient <= high)),
        lambda at: (
            f"gradient{at} = {gradient[at]} for g = 1, x{at} = {x[at]}, bounds {lower}, {upper}"
        ),
    )


@check(modes=BOTH, needs=PULLBACKS)
def twice(t: Trial) -> None:
    """The same graph can be gone back through twice, with the same result."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, 0.125, 0.25)
    first = pullback(g)
    t.equal(pullback(g), first, "the second gradient")


@check(modes=BOTH, needs=PULLBACKS)
def linear(t: Trial) -> None:
    """Twice the output gradient gives twice the input gradient, to the bit."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, 0.125, 0.25)
    doubled = (2 * pullback(g)).astype(g.dtype)
    t.specified(pullback((2 * g).astype(g.dtype)), doubled, what="the gradient")


@check(modes=BOTH, needs=PULLBACKS)
def two_graphs(t: Trial) -> None:
    """Two forwards, both gone back through afterwards: each has its own slopes and its own side."""
    x, other = t.draw_values("moderate", (6,)), t.draw_values("moderate", (6,))
    y, pullback = t.vjp(x, 0.0, 1.0)
    other_y, other_pullback = t.vjp(other, 0.0, 1.0)
    t.close(pullback(x), y, "the gradient of the first for g = x")
    t.close(other_pullback(other), other_y, "the gradient of the second for g = x")


@check(modes=BOTH, needs=NEEDS)
def arguments_untouched(t: Trial) -> None:
    """Neither the input nor the output gradient is written to, and a result stays as it was returned."""
    x, g = t.draw_array("moderate"), None
    g = t.draw_values("moderate", x.shape)
    tensor, given = t.tensor(x), t.tensor(g, "g")
    if t.claims("pullbacks"):
        y, pullback = t.apply_vjp(tensor, 0.125, 0.25)
        kept = t.numpy(y)
        gx = pullback(given)
        first = t.numpy(gx)
        pullback(t.tensor((g + g).astype(g.dtype), "g"))
        t.apply_vjp(t.tensor(-x), 0.125, 0.25)[1](given)
        t.equal(t.numpy(gx), first, "the gradient after another backward")
        t.equal(t.numpy(y), kept, "y after the backward")
    else:
        t.apply_gradient(tensor, given, 0.125, 0.25)
    t.equal(t.numpy(given), g, "g after the backward")
    t.equal(t.numpy(tensor), x, "x after the backward")


@check(modes=BOTH, needs=PULLBACKS)
def upstream_is_new(t: Trial) -> None:
    """The gradient is a tensor of its own, not the output gradient, also where all is positive."""
    x = np.abs(t.draw_values("negative", (4,)))
    given = t.tensor(np.ones_like(x), "g")
    _, pullback = t.apply_vjp(t.tensor(x), 0.125, 0.25)
    gx = pullback(given)
    t.ensure(gx is not given, "the gradient is g itself")


@check(modes=BOTH, needs=(*PULLBACKS, "strided"))
def broadcast_gradient(t: Trial) -> None:
    """An output gradient that is an expanded row or column, as a sum gives it, is taken as its values."""
    x = t.draw_values("moderate", (3, 5))
    _, pullback = t.vjp(x, 0.125, 0.25)
    row, column = t.draw_values("moderate", (1, 5)), t.draw_values("moderate", (3, 1))
    for g in (np.broadcast_to(row, x.shape), np.broadcast_to(column, x.shape)):
        expected = pullback(np.ascontiguousarray(g))
        t.equal(pullback(g), expected, "the gradient for an expanded g")


@check(modes=BOTH, needs=NEEDS)
def same_output(t: Trial) -> None:
    """The output of a call that records a gradient has the shape, dtype and positive side of x."""
    x = t.draw_array("any")
    lower, upper = t.draw_bounds()
    y, gx = t.gradient(x, x, lower, upper)
    t.like(y, x, "y")
    t.like(gx, x, "the gradient")
    if t.training:
        side = x >= 0
        t.specified(y[side], x[side], x[side], "y[x >= 0]")
    else:
        t.specified(y, branch(x, mean_slope(lower, upper)), x)


@check(modes=BOTH, needs=NEEDS, once=True)
def nan_input(t: Trial) -> None:
    """At NaN the gradient is a * g, as on the negative side: finite, not g itself."""
    x = np.array([np.nan, 1.0, -1.0]).astype(t.dtype)
    _, gx = t.gradient(x, np.full_like(x, 2.0), 0.25, 0.25)
    expected = np.array([0.5, 2.0, 0.5]).astype(t.dtype)
    t.equal(gx, expected, "the gradient for g = 2", x)


@check(modes=EVAL, needs=NEEDS, dtypes=("float64",))
def finite_differences(t: Trial) -> None:
    """The gradient is the limit of difference quotients."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    _, gx = t.gradient(x, np.ones_like(x), lower, upper)
    _difference(t, x, lower, upper, gx)


@check(modes=TRAIN, needs=("gradients", "seeding"), dtypes=("float64",))
def finite_differences_training(t: Trial) -> None:
    """The gradient is the limit of difference quotients of calls with the same seed."""
    x = t.draw_array("moderate")
    lower, upper = t.draw_bounds()
    _, gx = t.gradient(x, np.ones_like(x), lower, upper, generator=t.generator(t.seed))
    _difference(t, x, lower, upper, gx)


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


@check(modes=TRAIN, needs=("seeding", *PULLBACKS), once=True)
def second_backward_draws_nothing(t: Trial) -> None:
    """Going back through a graph twice moves no generator."""
    x = t.minus_ones(16)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    t.forward(x, 0.0, 1.0, generator=plain)
    expected = t.forward(x, 0.0, 1.0, generator=plain)
    _, pullback = t.vjp(x, 0.0, 1.0, generator=disturbed)
    pullback(x)
    pullback(x)
    got = t.forward(x, 0.0, 1.0, generator=disturbed)
    good = same_bits(got, expected)
    t.ensure(good.all(), "a second backward moved the generator: the next call has other slopes")
