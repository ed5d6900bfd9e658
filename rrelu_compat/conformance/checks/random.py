"""Training draws: for each element, at each call, whatever the other arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.draws import lay_out
from rrelu_compat.conformance.registry import TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array
    from rrelu_compat.conformance.trial import Trial


def _along(t: Trial, axis: int, what: str) -> None:
    y = t.forward(t.minus_ones(16, 16, 16), 0.0, 1.0)
    lines = np.moveaxis(y, axis, -1).reshape(-1, 16)
    alike = (lines == lines[:, :1]).all(axis=1)
    # 16 draws of at least 256 values are all equal with probability 2**-120.
    t.ensure(not alike.any(), f"{int(alike.sum())} of 256 lines along {what} have one slope")


@check(modes=TRAIN, inplace=(False, True), once=True)
def per_element(t: Trial) -> None:
    """Elements have slopes of their own: not one for the tensor."""
    y = t.forward(t.minus_ones(4096), 0.0, 1.0)
    distinct = np.unique(y.astype(np.float64)).size
    t.ensure(distinct > 128, f"4096 elements have {distinct} different slopes")


@check(modes=TRAIN, once=True)
def along_first_axis(t: Trial) -> None:
    """Slopes differ along the first axis: not one for each position of a sample."""
    _along(t, 0, "axis 0")


@check(modes=TRAIN, once=True)
def along_middle_axis(t: Trial) -> None:
    """Slopes differ along the axis of the channels."""
    _along(t, 1, "axis 1")


@check(modes=TRAIN, once=True)
def along_last_axis(t: Trial) -> None:
    """Slopes differ along the last axis: not one for each channel."""
    _along(t, 2, "axis 2")


@check(modes=TRAIN, inplace=(False, True), once=True)
def fresh_each_call(t: Trial) -> None:
    """Two calls use different slopes."""
    x = t.minus_ones(64)
    first = t.forward(x, 0.0, 1.0)
    second = t.forward(x, 0.0, 1.0)
    t.ensure(bool((first != second).any()), "two calls on 64 elements gave the same slopes")


@check(modes=TRAIN, once=True)
def calls_never_repeat(t: Trial) -> None:
    """Among 1500 calls (9000 in `ci`) no two use the same slopes."""
    x = t.tensor(t.minus_ones(64))
    seen: dict[bytes, int] = {}
    steps = len(t.steps)
    for k in range(9000 if t.large else 1500):
        slopes = t.numpy(t.apply(x, 0.0, 1.0)).tobytes()
        if slopes in seen:
            t.fail(f"calls {seen[slopes]} and {k} used the same slopes")
        seen[slopes] = k
        del t.steps[steps + 2 :]


@check(modes=TRAIN, once=True)
def shape_changes(t: Trial) -> None:
    """A call on another shape also has fresh slopes."""
    first = t.forward(t.minus_ones(8, 8), 0.0, 1.0).reshape(-1)
    second = t.forward(t.minus_ones(64), 0.0, 1.0)
    t.ensure(bool((first != second).any()), "calls on (8, 8) and (64,) gave the same slopes")


@check(modes=TRAIN, once=True)
def small_tensors(t: Trial) -> None:
    """Small tensors have a slope for each element too, from 4 elements on."""
    for size in (4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33):
        x = t.minus_ones(size)
        # Four slopes of bfloat16 are alike once in a million; two such calls are none.
        alike = [bool((y == y[0]).all()) for y in (t.forward(x, 0.0, 1.0) for _ in range(2))]
        t.ensure(not all(alike), f"all elements of a tensor of {size} have one slope")


@check(modes=TRAIN, once=True)
def along_every_axis(t: Trial) -> None:
    """Slopes differ along each axis of tensors of 2, 4, 5 and 6 dimensions."""
    for shape in ((64, 64), (4, 8, 8, 8), (4, 4, 4, 4, 8), (4, 4, 4, 4, 4, 4)):
        _every_axis(t, t.forward(t.minus_ones(*shape), 0.0, 1.0))


@check(modes=TRAIN, needs=("strided",), once=True)
def along_every_axis_channels_last(t: Trial) -> None:
    """Slopes differ along each axis of channels-last tensors of 4 and 5 dimensions."""
    for shape in ((4, 8, 8, 8), (4, 4, 4, 4, 8)):
        x = lay_out(t.minus_ones(*shape), "channels-last")
        _every_axis(t, t.forward(x, 0.0, 1.0))


def _every_axis(t: Trial, y: Array) -> None:
    for axis in range(y.ndim):
        lines = np.moveaxis(y, axis, -1)
        alike = float((lines == lines[..., :1]).all(axis=-1).mean())
        t.ensure(
            alike < 0.01, f"{alike:.0%} of the lines along axis {axis} of {y.shape} are one slope"
        )
        neighbours = float((lines[..., 1:] == lines[..., :-1]).mean())
        t.ensure(
            neighbours < 0.1,
            f"{neighbours:.0%} of the neighbours along axis {axis} of {y.shape} have one slope",
        )
