"""Slopes tell nothing about each other: elements, calls, layers.

Statistical, as `rrelu_compat.conformance.checks.distribution`: the same false-alarm rate for each check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.case import TRAIN, check
from rrelu_compat.conformance.checks.distribution import FALSE_ALARM, uniforms
from rrelu_compat.conformance.extra import require

if TYPE_CHECKING:
    from rrelu_compat.conformance.numerics import Array
    from rrelu_compat.conformance.trial import Trial

COUNT = 2**15


def _correlations(a: Array, b: Array) -> Array:
    """Return the normalised correlations of `a` with `b` shifted by 0 to half the length, N(0, 1) each."""
    n = a.size
    a, b = a - a.mean(), b - b.mean()
    padded = 2 * n
    raw = np.fft.irfft(np.conj(np.fft.rfft(a, padded)) * np.fft.rfft(b, padded), padded)
    lags = np.arange(n // 2)
    return np.asarray(raw[: n // 2] / (a.std() * b.std() * np.sqrt(n - lags)))


def _uncorrelated(t: Trial, scores: Array, first: int, what: str) -> None:
    limit = float(require("scipy.stats").norm.isf(FALSE_ALARM / 2 / scores.size))
    worst = int(np.argmax(np.abs(scores)))
    t.ensure(
        abs(scores[worst]) <= limit,
        f"{what} correlate at distance {first + worst}: "
        f"{scores[worst]:.1f} standard deviations, allowed {limit:.1f}",
    )


@check(modes=TRAIN, once=True)
def neighbours(t: Trial) -> None:
    """Elements at distances 1 to 64 are not correlated."""
    u = uniforms(t, (COUNT,))
    _uncorrelated(t, _correlations(u, u)[1:65], 1, "slopes")


@check(modes=TRAIN, once=True)
def no_period(t: Trial) -> None:
    """Elements at any distance are not correlated: the stream has no short period."""
    u = uniforms(t, (COUNT,))
    _uncorrelated(t, _correlations(u, u)[1:], 1, "slopes")


@check(modes=TRAIN, once=True)
def rows(t: Trial) -> None:
    """The rows of a matrix are not correlated with each other."""
    u = uniforms(t, (48, 512))
    u = (u - u.mean(axis=1, keepdims=True)) / u.std(axis=1, keepdims=True)
    scores = (u @ u.T) / 512**0.5
    _uncorrelated(t, scores[np.triu_indices(48, 1)], 0, "rows")


@check(modes=TRAIN, once=True)
def calls(t: Trial) -> None:
    """Two calls are not correlated, at any shift: a call is no later part of another."""
    a, b = uniforms(t, (COUNT,)), uniforms(t, (COUNT,))
    _uncorrelated(t, _correlations(a, b), 0, "two calls")
    _uncorrelated(t, _correlations(b, a), 0, "two calls, the other way,")


@check(modes=TRAIN, once=True)
def squares(t: Trial) -> None:
    """The distances of neighbouring slopes from the mean are not correlated."""
    u = (uniforms(t, (COUNT,)) - 0.5) ** 2
    _uncorrelated(t, _correlations(u, u)[1:65], 1, "squared slopes")


@check(modes=TRAIN, needs=("layers",), once=True)
def layers(t: Trial) -> None:
    """Two layers are not correlated."""
    x = t.minus_ones(COUNT)
    a, b = (
        -t.call_array(t.layer(0.0, 1.0), x).astype(np.float64),
        -t.call_array(t.layer(0.0, 1.0), x).astype(np.float64),
    )
    _uncorrelated(t, _correlations(a, b), 0, "two layers")


@check(modes=TRAIN, needs=("seeding",), once=True)
def seeds(t: Trial) -> None:
    """Streams of neighbouring seeds are not correlated."""
    x = t.minus_ones(COUNT)
    a, b = (
        -t.forward(x, 0.0, 1.0, generator=t.generator(t.seed + k)).astype(np.float64)
        for k in range(2)
    )
    _uncorrelated(t, _correlations(a, b), 0, "seeds")
