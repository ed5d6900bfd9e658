"""Shapes at the edges: no dimension, no element, many elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

OUT_AND_IN = (False, True)


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def zero_dimensional(t: Trial) -> None:
    """A tensor of no dimension is taken and stays one."""
    x = np.array(-1.0).astype(t.dtype)
    y = t.forward(x, 0.125, 0.25)
    t.like(y, x, "y")
    between(t, y, x, 0.125, 0.25)


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def empty(t: Trial) -> None:
    """Tensors without elements are taken and keep their shape."""
    for shape in ((0,), (0, 3), (2, 0, 3)):
        x = np.zeros(shape, t.dtype)
        t.like(t.forward(x, 0.125, 0.25), x, "y")


@check(modes=BOTH, needs=("gradients",), once=True)
def empty_gradient(t: Trial) -> None:
    """The gradient of a tensor without elements is one too."""
    for shape in ((0,), (0, 3)):
        x = np.zeros(shape, t.dtype)
        _, gx = t.gradient(x, x, 0.125, 0.25)
        t.like(gx, x, "the gradient")


@check(modes=TRAIN, inplace=OUT_AND_IN, once=True)
def large(t: Trial) -> None:
    """Every element of a large tensor gets a slope of its own, the last ones too."""
    x = t.minus_ones(2**20 + 13)
    y = t.forward(x, 0.0, 1.0)
    between(t, y, x, 0.0, 1.0)
    for start in range(0, x.size - 64, 2**15 - 7):
        block = y[start : start + 64]
        spread = float(block.astype(np.float64).std())
        # 64 uniform numbers have a standard deviation of 0.29; below 0.1 has probability 1e-12.
        t.ensure(spread > 0.1, f"y[{start}:{start + 64}] has standard deviation {spread:.3g}")


@check(modes=TRAIN, needs=("gradients",), once=True)
def large_gradient(t: Trial) -> None:
    """The gradient of a large tensor uses the slopes of the forward, to the last element."""
    x = t.minus_ones(2**18 + 13)
    y, gx = t.gradient(x, np.ones_like(x), 0.0, 1.0)
    t.specified(gx, -y, what="the gradient")


@check(modes=BOTH, inplace=OUT_AND_IN, once=True)
def ones(t: Trial) -> None:
    """Axes of length 1 stay, wherever they are; six dimensions are taken."""
    for shape in ((1,), (1, 3), (3, 1), (1, 1, 2), (1, 2, 1, 2, 1, 2)):
        x = t.minus_ones(*shape)
        t.like(t.forward(x, 0.125, 0.25), x, "y")
        if t.claims("gradients") and not t.inplace:
            t.like(t.gradient(x, x, 0.125, 0.25)[1], x, "the gradient")


@check(modes=TRAIN, inplace=OUT_AND_IN, once=True)
def tail(t: Trial) -> None:
    """The last elements of tensors of many sizes have slopes of their own."""
    for size in (1000, 4097, 65536 + 7, 2**20 + 100):
        last = t.forward(t.minus_ones(size), 0.0, 1.0)[-100:].astype(np.float64)
        for part in (last[:50], last[50:]):
            spread = float(part.std())
            # 50 uniform numbers: below 0.1 has probability 1e-11.
            t.ensure(
                spread > 0.1, f"the last of {size} slopes have standard deviation {spread:.3g}"
            )
