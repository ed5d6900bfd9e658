"""Gradients of gradients, forward mode, mapping over a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.case import BOTH, TRAIN, check
from rrelu_compat.conformance.checks.forward import between

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
    recorded, _ = t.vjp(x, lower, upper, generator=t.generator(t.seed))
    t.equal(recorded, plain, "y of the recorded call", x)
