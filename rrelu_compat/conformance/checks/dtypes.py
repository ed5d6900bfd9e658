"""Each dtype runs at all, in each mode: the checks that dtypes offered in part are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.registry import BOTH, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial


@check(modes=BOTH, partial=True, once=True)
def forward(t: Trial) -> None:
    """The forward runs in this dtype and returns it."""
    x = np.array([-2.0, -1.0, 0.0, 1.0]).astype(t.dtype)
    t.like(t.forward(x, 0.125, 0.25), x, "y")


@check(modes=BOTH, needs=("gradients",), partial=True, once=True)
def gradient(t: Trial) -> None:
    """The gradient runs in this dtype and returns it."""
    x = np.array([-2.0, -1.0, 0.5, 1.0]).astype(t.dtype)
    _, gx = t.gradient(x, np.ones_like(x), 0.125, 0.25)
    t.like(gx, x, "the gradient")
