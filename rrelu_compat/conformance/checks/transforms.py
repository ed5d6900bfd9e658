"""Gradients of gradients, forward mode, mapping over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope, product
from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

FULL = ("float32", "float64")


@check(modes=BOTH, needs=("double_gradients",), dtypes=FULL)
def double_gradient(t: Trial) -> None:
    """The gradient is linear in g with the same slopes: its own gradient for h = x is y."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    y, _, second = t.double_vjp(x, g, 0.125, 0.25)
    t.close(second(x), y, "the gradient of sum(gradient * x) for g")


@check(modes=BOTH, needs=("forward_mode",), dtypes=FULL)
def forward_mode(t: Trial) -> None:
    """The forward-mode derivative in the direction x is y."""
    x = t.draw_array("moderate")
    y, tangent = t.jvp(x, x, 0.125, 0.25)
    t.close(tangent, y, "the tangent for direction x")


@check(modes=BOTH, needs=("batching",), dtypes=FULL)
def batching(t: Trial) -> None:
    """Mapped over the first axis, values are within the bounds and rows have slopes of their own."""
    x = -np.ones((3 + t.draw_small(1)[0], 8), t.dtype)
    y = t.vmap(x, 0.125, 0.25)
    between(t, y, x, 0.125, 0.25)
    if t.training:
        t.ensure(bool((y[0] != y[1]).any()), "two rows of the batch have the same slopes")


@check(modes=TRAIN, needs=("gradients", "seeding"), dtypes=FULL)
def gradient_keeps_slopes(t: Trial) -> None:
    """With the same seed, a call that records a gradient gives the bits of one that does not."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    plain = t.forward(x, lower, upper, generator=t.generator(t.seed))
    recorded, _ = t.gradient(x, x, lower, upper, generator=t.generator(t.seed))
    t.equal(recorded, plain, "y of the recorded call", x)


@check(modes=BOTH, needs=("double_gradients",), dtypes=FULL)
def double_gradient_first(t: Trial) -> None:
    """The gradient itself is right when its own gradient is wanted: for g = x it is y."""
    x = t.draw_array("moderate")
    y, gx, _ = t.double_vjp(x, x, 0.125, 0.25)
    t.close(gx, y, "the gradient for g = x")


@check(modes=BOTH, needs=("double_gradients",), dtypes=FULL)
def double_gradient_linear(t: Trial) -> None:
    """The gradient of the gradient is linear in what is pulled back."""
    x = t.draw_array("moderate")
    _, _, second = t.double_vjp(x, x, 0.125, 0.25)
    once = second(x)
    t.close(second((2 * x).astype(x.dtype)), (2 * once).astype(x.dtype), "the gradient for 2 * h")


@check(modes=BOTH, needs=("forward_mode",), dtypes=FULL)
def forward_mode_linear(t: Trial) -> None:
    """The forward-mode derivative is the direction where x > 0, and the slope times it where x < 0."""
    x = t.draw_array("moderate")
    v = t.draw_values("moderate", x.shape)
    lower = 0.25
    _, tangent = t.jvp(x, v, lower, lower)
    t.close(tangent, np.where(x >= 0, v, product(lower, v)).astype(x.dtype), "the tangent")


@check(modes=BOTH, needs=("batching",), dtypes=FULL)
def batching_rows(t: Trial) -> None:
    """Mapped over the first axis, the elements of each row have slopes of their own, no rows are alike."""
    x = t.minus_ones(16, 32)
    y = t.vmap(x, 0.0, 1.0)
    if not t.training:
        t.specified(y, branch(x, mean_slope(0.0, 1.0)), x)
        return
    t.ensure(len({row.tobytes() for row in y}) == 16, "rows of the batch have the same slopes")
    t.ensure(min(np.unique(row).size for row in y) > 16, "a row of the batch has one slope")


@check(modes=BOTH, needs=("forward_mode",), dtypes=FULL, once=True)
def forward_mode_at_zero(t: Trial) -> None:
    """At 0 and at -0.0 the forward-mode derivative is the direction."""
    x, v = np.array([0.0, -0.0]).astype(t.dtype), np.array([2.0, 3.0]).astype(t.dtype)
    t.equal(t.jvp(x, v, 0.125, 0.25)[1], v, "the tangent", x)
