"""Training draws: for each element, at each call, whatever the other arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.case import TRAIN, check

if TYPE_CHECKING:
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
    """Among 300 calls no two use the same slopes."""
    x = t.tensor(t.minus_ones(64))
    seen: dict[bytes, int] = {}
    steps = len(t.steps)
    for k in range(300):
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
