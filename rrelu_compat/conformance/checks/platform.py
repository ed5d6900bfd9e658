"""What a subject says that its platform lacks is so: a limit that is claimed without need hides faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope, same_bits
from rrelu_compat.conformance.draws import extremes
from rrelu_compat.conformance.registry import TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial


@check(modes=TRAIN, needs=("flushes_subnormals",), once=True)
def flushes_subnormals(t: Trial) -> None:
    """A subnormal result is 0, as the subject says of its platform."""
    values = extremes(t.dtype)
    x = -np.abs(values[np.abs(values.astype(np.float64)) < 1e-4])
    y = t.forward(x, 0.5, 0.5)
    # Half of the smallest number is 0 everywhere.
    flushed = (y == 0) & (branch(x, 0.5) != 0)
    t.ensure(
        bool(flushed.any()), f"y = {y} for x = {x}: flushes_subnormals is claimed without need"
    )


@check(modes=TRAIN, needs=("rounds_in_dtype",), once=True)
def rounds_in_dtype(t: Trial) -> None:
    """Products are rounded in the dtype itself, as the subject says of its platform."""
    x = t.spread((4096,), -2.0, -1.0)
    y = t.forward(x, 0.3, 0.3)
    t.close(y, branch(x, 0.3), "y")
    t.ensure(
        not same_bits(y, branch(x, 0.3)).all(),
        "4096 products are those of the compute dtype: rounds_in_dtype is claimed without need",
    )


@check(modes=TRAIN, needs=("no_negative_zero",), once=True)
def no_negative_zero(t: Trial) -> None:
    """-0.0 comes out as 0.0, as the subject says of its platform."""
    y = t.forward(np.array([0.0, -0.0]).astype(t.dtype), 0.125, 0.25)
    t.equal(y, np.zeros(2, t.dtype), "y for x = [0.0, -0.0]")


@check(needs=("no_evaluation",), once=True)
def no_evaluation(t: Trial) -> None:
    """training=False does not give the mean slope, as the subject says."""
    x = t.minus_ones(64)
    try:
        y = t.forward(x, 0.0, 1.0, training=False)
    except Exception:
        return
    t.ensure(
        not same_bits(y, branch(x, mean_slope(0.0, 1.0))).all(),
        "training=False gives the mean slope: no_evaluation is claimed without need",
    )


@check(modes=TRAIN, dtypes=("",), needs=("unchecked_bounds",), once=True)
def unchecked_bounds(t: Trial) -> None:
    """lower > upper is taken, as the subject says."""
    x = t.tensor(t.minus_ones(4))
    try:
        t.apply(x, 0.5, 0.25)
    except Exception as error:
        t.fail(
            f"lower=0.5, upper=0.25 raised {type(error).__name__}: unchecked_bounds is claimed without need"
        )
