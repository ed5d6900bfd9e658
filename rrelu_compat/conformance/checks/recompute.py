"""Recomputation (gradient checkpointing): the repeated forward has the slopes of the first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.case import RECOMPUTE, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.numerics import Array
    from rrelu_compat.conformance.trial import Trial

NEEDS = ("recompute",)


def _segment(t: Trial, x: Array, generator: Any, name: str) -> tuple[Any, Any]:
    return t.special(  # type: ignore[no-any-return]
        "recomputed_vjp",
        f"{name}, pullback_{name}",
        t.tensor(x),
        0.125,
        0.875,
        training=True,
        variant=t.mode,
        **({} if generator is None else {"generator": generator}),
    )


def _right(t: Trial, y: Any, pullback: Any, x: Array) -> None:
    gradient = t.numpy(pullback(t.tensor(x, "g")))
    t.close(gradient, t.numpy(y), "the gradient for g = x")


@check(modes=RECOMPUTE, needs=NEEDS)
def gradient(t: Trial) -> None:
    """The gradient of a recomputed call equals the slope that its forward used."""
    x = t.draw_values("moderate", (7,))
    y, pullback = _segment(t, x, None, "y")
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=NEEDS)
def draws_between(t: Trial) -> None:
    """Other training calls between the forward and the gradient change nothing."""
    x = t.draw_values("moderate", (7,))
    y, pullback = _segment(t, x, None, "y")
    t.forward(x, 0.125, 0.875)
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=NEEDS)
def two_segments(t: Trial) -> None:
    """Two segments, gone back through in the order of their forwards, have each their own slopes."""
    x = t.draw_values("moderate", (7,))
    first = _segment(t, x, None, "first")
    second = _segment(t, x, None, "second")
    _right(t, *first, x)
    _right(t, *second, x)


@check(modes=RECOMPUTE, needs=("recompute", "seeding"))
def generator(t: Trial) -> None:
    """The gradient is right when the slopes come from a generator."""
    x = t.draw_values("moderate", (7,))
    generator = t.generator(t.seed)
    y, pullback = _segment(t, x, generator, "y")
    t.forward(x, 0.125, 0.875, generator=generator)
    _right(t, y, pullback, x)


@check(modes=RECOMPUTE, needs=("recompute", "seeding"), once=True)
def stream_goes_on(t: Trial) -> None:
    """A recomputation takes nothing from a generator: the next call is the one without it."""
    x = t.minus_ones(32)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    t.forward(x, 0.125, 0.875, generator=plain)
    expected = t.forward(x, 0.125, 0.875, generator=plain)
    y, pullback = _segment(t, x, disturbed, "y")
    _right(t, y, pullback, x)
    t.equal(t.forward(x, 0.125, 0.875, generator=disturbed), expected, "y after a recomputation")
