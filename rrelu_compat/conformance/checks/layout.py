"""Memory layout: how the input lies in memory changes no value, and the result lies the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.conformance.arithmetic import Array, branch, mean_slope
from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.draws import LAYOUTS, lay_out
from rrelu_compat.conformance.registry import BOTH, EVAL, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

DENSE = ("contiguous", "transposed", "channels-last")
WRITABLE = tuple(layout for layout in LAYOUTS if layout != "expanded")


def element_strides(array: Array) -> tuple[int, ...]:
    """Return the strides of an array in elements."""
    return tuple(s // array.dtype.itemsize for s in array.strides)


def _significant(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    # The stride of an axis of length 1 says nothing; frameworks differ about it.
    return tuple(s for n, s in zip(shape, strides, strict=True) if n > 1)


@check(modes=BOTH, needs=("strided",))
def strides_arrive(t: Trial) -> None:
    """The subject's tensors have the strides of the arrays they are made of (the claim "strided")."""
    x = lay_out(t.draw_values("moderate", (2, 3, 4)), t.draw_choice(("transposed", "sliced")))
    got = tuple(t.subject.strides(t.tensor(x)))
    t.ensure(
        got == element_strides(x), f"the tensor has strides {got}, the array {element_strides(x)}"
    )


@check(modes=EVAL, needs=("strided",))
def evaluation(t: Trial) -> None:
    """In evaluation every layout gives the specified values."""
    x = t.draw_layout(t.draw_array("finite"))
    lower, upper = t.draw_bounds()
    t.specified(t.forward(x, lower, upper), branch(x, mean_slope(lower, upper)), x)


@check(modes=EVAL, inplace=(True,), needs=("strided",))
def evaluation_inplace(t: Trial) -> None:
    """In evaluation, in place, every layout that does not overlap itself gives the specified values."""
    x = t.draw_layout(t.draw_array("finite"), WRITABLE)
    lower, upper = t.draw_bounds()
    t.specified(t.forward(x, lower, upper), branch(x, mean_slope(lower, upper)), x)


@check(modes=TRAIN, needs=("strided",))
def training(t: Trial) -> None:
    """In training every layout gives results within the bounds."""
    x = t.draw_layout(t.draw_array("finite"))
    lower, upper = t.draw_bounds()
    y = t.forward(x, lower, upper)
    between(t, y, x, lower, upper)
    side = x >= 0
    t.specified(y[side], x[side], x[side], "y[x >= 0]")


@check(modes=TRAIN, inplace=(True,), needs=("strided",))
def training_inplace(t: Trial) -> None:
    """In training, in place, every layout that does not overlap itself gives results within the bounds."""
    x = t.draw_layout(t.draw_array("finite"), WRITABLE)
    lower, upper = t.draw_bounds()
    y = t.forward(x, lower, upper)
    between(t, y, x, lower, upper)
    side = x >= 0
    t.specified(y[side], x[side], x[side], "y[x >= 0]")


@check(modes=BOTH, needs=("memory_format",))
def memory_format(t: Trial) -> None:
    """The result of a dense input has its strides: transposed and channels-last inputs stay that."""
    sides = tuple(2 + k for k in t.draw_small(4))
    x = t.draw_layout(t.draw_values("moderate", sides), DENSE)
    got = tuple(t.subject.strides(t.apply(t.tensor(x), 0.125, 0.25)))
    expected = element_strides(x)
    t.ensure(
        _significant(x.shape, got) == _significant(x.shape, expected),
        f"y has strides {got}, x has shape {x.shape} and strides {expected}",
    )


@check(modes=TRAIN, needs=("gradients", "strided"))
def gradient_of_strided(t: Trial) -> None:
    """In every layout the gradient uses the slopes of the forward."""
    x = t.draw_layout(t.draw_array("moderate"))
    y, gx = t.gradient(x, x, 0.125, 0.25)
    t.close(gx, y, "the gradient for g = x")


@check(modes=BOTH, needs=("pullbacks", "strided"))
def strided_gradient(t: Trial) -> None:
    """An output gradient that is not contiguous gives the same input gradient as a contiguous one."""
    x = t.draw_array("moderate")
    g = t.draw_values("moderate", x.shape)
    _, pullback = t.vjp(x, 0.125, 0.25)
    expected = pullback(g)
    t.equal(pullback(t.draw_layout(g, WRITABLE)), expected, "the gradient")


@check(modes=BOTH, once=True)
def read_only(t: Trial) -> None:
    """A read-only array is taken."""
    x = t.minus_ones(5)
    x.flags.writeable = False
    between(t, t.forward(x, 0.125, 0.25), x, 0.125, 0.25)
