"""The slopes are uniform between the bounds.

Statistical: each check raises a false alarm with probability `FALSE_ALARM` for a subject whose stream is
not seeded; with a seeded one the result is the same at each run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.case import TRAIN, check
from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.numerics import Array, epsilon

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

FALSE_ALARM = 1e-7
LOWER, UPPER = 0.25, 0.75
COUNT = 2**17


def uniforms(t: Trial, shape: tuple[int, ...]) -> Array:
    """Return one call's slopes in double precision, mapped to [0, 1].

    The inputs have random mantissas, so that the rounding of the half types is noise of at most one
    rounding around the slope and not a grid, which a test of uniformity would see.
    """
    x = -t.rng().uniform(1.0, 2.0, shape).astype(t.dtype)
    y = t.forward(x, LOWER, UPPER)
    t.like(y, x, "y")
    slope = y.astype(np.float64) / x.astype(np.float64)
    return np.asarray((slope - LOWER) / (UPPER - LOWER))


def _rounding(t: Trial) -> float:
    """Return how far rounding can move a slope, in units of the width."""
    return epsilon(t.dtype) * UPPER / (UPPER - LOWER)


@check(modes=TRAIN, once=True)
def uniform(t: Trial) -> None:
    """The slopes of a tensor pass the Kolmogorov-Smirnov test for the uniform distribution."""
    stats = require("scipy.stats")
    u = np.clip(uniforms(t, (COUNT,)), 0, 1)
    distance = float(stats.kstest(u, "uniform").statistic)
    critical = float(stats.kstwo.isf(FALSE_ALARM, COUNT)) + _rounding(t) / 4
    t.ensure(
        distance <= critical,
        f"the distribution is {distance:.4f} from uniform, allowed {critical:.4f}",
    )


@check(modes=TRAIN, once=True)
def mean(t: Trial) -> None:
    """The mean slope is that of the bounds."""
    u = uniforms(t, (COUNT,))
    _near(
        t, float(u.mean()), 0.5, (1 / 12) ** 0.5, _rounding(t) ** 2, "the mean of (a - l) / (u - l)"
    )


@check(modes=TRAIN, once=True)
def variance(t: Trial) -> None:
    """The variance of the slopes is that of the uniform distribution."""
    u = uniforms(t, (COUNT,))
    got = float(((u - 0.5) ** 2).mean())
    _near(t, got, 1 / 12, (1 / 180) ** 0.5, _rounding(t) ** 2, "the variance of (a - l) / (u - l)")


def _near(
    t: Trial, got: float, expected: float, deviation: float, rounding: float, what: str
) -> None:
    stats = require("scipy.stats")
    allowed = float(stats.norm.isf(FALSE_ALARM / 2)) * deviation / COUNT**0.5 + rounding
    t.ensure(
        abs(got - expected) <= allowed,
        f"{what} is {got:.5f}, {expected:.5f} +- {allowed:.5f} allowed",
    )


@check(modes=TRAIN, once=True)
def both_ends(t: Trial) -> None:
    """Slopes come within 1 % of the width of either bound."""
    u = uniforms(t, (2**14,))
    # (1 - 0.01)**16384 is 1e-71.
    t.ensure(float(u.min()) < 0.01, f"the smallest of 16384 slopes is {u.min():.3f} of the width")
    t.ensure(float(u.max()) > 0.99, f"the largest of 16384 slopes is {u.max():.3f} of the width")


@check(modes=TRAIN, once=True)
def over_calls(t: Trial) -> None:
    """The slopes of one element over many calls are uniform too."""
    stats = require("scipy.stats")
    x = t.tensor(t.minus_ones(4))
    steps = len(t.steps)
    slopes = []
    for _ in range(400):
        slopes.append(-t.numpy(t.apply(x, 0.0, 1.0)).astype(np.float64))
        del t.steps[steps + 2 :]
    for position, u in enumerate(np.array(slopes).T):
        distance = float(stats.kstest(np.clip(u, 0, 1), "uniform").statistic)
        critical = float(stats.kstwo.isf(FALSE_ALARM / 4, 400)) + epsilon(t.dtype)
        t.ensure(
            distance <= critical,
            f"element {position} over 400 calls is {distance:.3f} from uniform, allowed {critical:.3f}",
        )
