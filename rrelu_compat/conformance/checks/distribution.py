"""The slopes are uniform between the bounds.

Statistical: each check raises a false alarm with probability `FALSE_ALARM` for a subject whose stream is
not seeded; with a seeded one the result is the same at each run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import Array, epsilon
from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.registry import TRAIN, check

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
    x = -t.spread(shape, 1.0, 2.0)
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
    """Slopes come within 0.02 % of the width of either bound."""
    u = uniforms(t, (COUNT,))
    # (1 - 2e-4)**131072 is 4e-12.
    t.ensure(float(u.min()) < 2e-4, f"the smallest of {COUNT} slopes is {u.min():.2g} of the width")
    t.ensure(float(u.max()) > 1 - 2e-4, f"the largest of {COUNT} is {u.max():.5f} of the width")


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


@check(modes=TRAIN, dtypes=("float32", "float64"), once=True)
def granularity(t: Trial) -> None:
    """Slopes have at least 21 bits: of 2**17 between 0 and 1, at least 97 % differ."""
    # Of numbers of 24 bits 99.6 % differ, of 20 bits 94 %, of 16 bits 43 %.
    y = t.forward(t.minus_ones(COUNT), 0.0, 1.0)
    share = np.unique(y).size / COUNT
    t.ensure(share >= 0.97, f"{COUNT} slopes have {share:.1%} different values: too few bits")


@check(modes=TRAIN, needs=("subnormals",), once=True)
def small_slopes(t: Trial) -> None:
    """Of 2**18 slopes between 0 and 1 some are below 2**-14, and none is exactly 0 many times."""
    u = -t.forward(t.minus_ones(2**18), 0.0, 1.0).astype(np.float64)
    # 16 are expected; none has probability 1e-7.
    smallest = float(u[u > 0].min(initial=1.0))
    t.ensure(smallest < 2.0**-14, f"the smallest of 2**18 slopes is {smallest:.3g}")
    zeros = int((u == 0).sum())
    t.ensure(zeros <= 12, f"{zeros} of 2**18 slopes are exactly the lower bound 0")


@check(modes=TRAIN, dtypes=("float32", "float64"), once=True)
def no_atom(t: Trial) -> None:
    """No slope occurs often: among 2**20 none more than 16 times, and few equal their neighbour."""
    y = t.forward(t.minus_ones(2**20), 0.0, 1.0)
    values, counts = np.unique(y, return_counts=True)
    most = int(counts.max())
    t.ensure(most <= 16, f"the slope {-values[counts.argmax()]} occurs {most} times in 2**20")
    # Of numbers of 21 bits half a pair is expected.
    alike = np.flatnonzero(y[1:] == y[:-1])
    t.ensure(
        alike.size <= 12,
        f"{alike.size} of 2**20 elements have the slope of the one before, the first at {alike[:1]}",
    )


@check(modes=TRAIN, once=True)
def magnitude_does_not_matter(t: Trial) -> None:
    """Elements near 0 and far from it have slopes of the same distribution."""
    stats = require("scipy.stats")
    count = 2**14
    x = -np.tile(np.array([2.0**-8, 1.0, 2.0**6]).astype(t.dtype), count)
    u = (t.forward(x, 0.0, 1.0).astype(np.float64) / x.astype(np.float64)).reshape(count, 3)
    critical = float(stats.kstwo.isf(FALSE_ALARM / 3, count)) + epsilon(t.dtype)
    for column, size in zip(u.T, ("2**-8", "1", "2**6"), strict=True):
        distance = float(stats.kstest(np.clip(column, 0, 1), "uniform").statistic)
        t.ensure(
            distance <= critical,
            f"the slopes where x is -{size} are {distance:.3f} from uniform, allowed {critical:.3f}",
        )


@check(modes=TRAIN, once=True)
def not_too_even(t: Trial) -> None:
    """Slopes are as uneven as chance makes them: not stratified, over the tensor or over blocks."""
    stats = require("scipy.stats")
    u = uniforms(t, (COUNT,))
    distance = float(stats.kstest(np.clip(u, 0, 1), "uniform").statistic)
    least = float(stats.kstwo.ppf(FALSE_ALARM, COUNT))
    t.ensure(distance >= least, f"{distance:.2e} from uniform: nearer than chance ({least:.2e})")
    sizes = (4, 16, 64, 256, 1024)
    for size in sizes:
        means = u.reshape(-1, size).mean(axis=1)
        freedom = means.size - 1
        ratio = float(means.var(ddof=1)) * 12 * size
        # The rounding of the half types is noise that the means have too.
        low = stats.chi2.ppf(FALSE_ALARM / 10, freedom) / freedom
        high = stats.chi2.isf(FALSE_ALARM / 10, freedom) / freedom + 12 * _rounding(t) ** 2
        t.ensure(
            low <= ratio <= high,
            f"means of {size} elements have {ratio:.3f} of the variance of independent numbers, "
            f"allowed {low:.3f} to {high:.3f}",
        )
