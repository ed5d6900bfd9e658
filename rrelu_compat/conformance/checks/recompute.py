"""Recomputation (gradient checkpointing): the repeated forward has the slopes of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance.registry import RECOMPUTE, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array
    from rrelu_compat.conformance.recorder import Pullback
    from rrelu_compat.conformance.trial import Trial

NEEDS = ("recompute",)
BOUNDS = (0.125, 0.875)


def _right(t: Trial, y: Array, pullback: Pullback, x: Array) -> None:
    t.close(pullback(x), y, "the gradient for g = x")


@check(modes=RECOMPUTE, needs=NEEDS)
def gradient(t: Trial) -> None:
    """The gradient of a recomputed call equals the slope that its forward used."""
    x = t.draw_values("moderate", (4,))
    y, pullback = t.recomputed(x, *BOUNDS)
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=NEEDS)
def draws_between(t: Trial) -> None:
    """Other training calls between the forward and the gradient change nothing."""
    x = t.draw_values("moderate", (4,))
    y, pullback = t.recomputed(x, *BOUNDS)
    t.forward(x, *BOUNDS)
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=NEEDS)
def two_segments(t: Trial) -> None:
    """Two segments, gone back through in the order of their forwards, have each their own slopes."""
    x = t.draw_values("moderate", (4,))
    first = t.recomputed(x, *BOUNDS)
    second = t.recomputed(x, *BOUNDS)
    _right(t, *first, x)
    _right(t, *second, x)


@check(modes=RECOMPUTE, needs=("recompute", "seeding"))
def generator(t: Trial) -> None:
    """The gradient is right when the slopes come from a generator."""
    x = t.draw_values("moderate", (4,))
    generator = t.generator(t.seed)
    y, pullback = t.recomputed(x, *BOUNDS, generator=generator)
    t.forward(x, *BOUNDS, generator=generator)
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=("recompute", "seeding"), once=True)
def stream_goes_on(t: Trial) -> None:
    """A recomputation takes nothing from a generator: the next call is the one without it."""
    x = t.minus_ones(32)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    t.forward(x, *BOUNDS, generator=plain)
    expected = t.forward(x, *BOUNDS, generator=plain)
    y, pullback = t.recomputed(x, *BOUNDS, generator=disturbed)
    _right(t, y, pullback, x)
    t.equal(t.forward(x, *BOUNDS, generator=disturbed), expected, "y after a recomputation")


@check(modes=RECOMPUTE, needs=NEEDS)
def two_segments_backwards(t: Trial) -> None:
    """Two segments, gone back through from the last to the first, have each their own slopes."""
    x = t.draw_values("moderate", (4,))
    first = t.recomputed(x, *BOUNDS)
    second = t.recomputed(x, *BOUNDS)
    _right(t, *second, x)
    _right(t, *first, x)
