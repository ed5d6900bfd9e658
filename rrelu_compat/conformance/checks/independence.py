"""Slopes tell nothing about each other: elements, calls, layers.

Statistical, as `rrelu_compat.conformance.checks.distribution`: the same false-alarm rate for each check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.checks.distribution import FALSE_ALARM, uniforms
from rrelu_compat.conformance.extra import require
from rrelu_compat.conformance.registry import TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array
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


def _unrelated(t: Trial, a: Array, b: Array, what: str) -> None:
    """Fail if `a` and `b` correlate at any shift, of either against the other."""
    _uncorrelated(t, _correlations(a, b), 0, what)
    _uncorrelated(t, _correlations(b, a), 0, f"{what}, the other way round,")


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
def no_long_period(t: Trial) -> None:
    """The slopes of a large tensor do not repeat after any power of two."""
    y = t.forward(t.minus_ones(2**20), 0.0, 1.0)
    for exponent in range(10, 20):
        step = 2**exponent
        # Of 2048 pairs, one in 128 is equal by chance in bfloat16.
        same = int((y[:2048] == y[step : step + 2048]).sum())
        t.ensure(same < 1024, f"{same} of 2048 slopes return after 2**{exponent} elements")


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
    _unrelated(t, a, b, "two calls")


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
    _unrelated(t, a, b, "two layers")


@check(modes=TRAIN, needs=("seeding",), once=True)
def seeds(t: Trial) -> None:
    """Streams of neighbouring seeds are not correlated."""
    x = t.minus_ones(COUNT)
    a, b = (
        -t.forward(x, 0.0, 1.0, generator=t.generator(t.seed + k)).astype(np.float64)
        for k in range(2)
    )
    _unrelated(t, a, b, "two seeds")


_WINDOW = 16


def _returns(y: Array, window: int = _WINDOW) -> tuple[int, int] | None:
    """Return the starts of two equal runs of `window` elements, None if there are none."""
    words = np.ascontiguousarray(y).view(f"u{y.dtype.itemsize}").astype(np.uint64)
    count = words.size - window + 1
    key = np.zeros(count, np.uint64)
    for k in range(window):
        key = key * np.uint64(0x9E3779B97F4A7C15) + words[k : k + count]
        key ^= key >> np.uint64(29)
    order = np.argsort(key, kind="stable")
    same = np.flatnonzero(key[order][1:] == key[order][:-1])
    for place in same:
        first, second = sorted((int(order[place]), int(order[place + 1])))
        if bool((words[first : first + window] == words[second : second + window]).all()):
            return first, second
    return None


@check(modes=TRAIN, once=True)
def never_returns(t: Trial) -> None:
    """No run of 16 slopes occurs twice in a tensor of 1.1 million elements (4.4 million in `ci`)."""
    y = t.forward(t.minus_ones((2**22 + 2**18) if t.large else 2**20 + 2**17), 0.0, 1.0)
    if found := _returns(y):
        t.fail(f"the slopes from element {found[0]} on return at element {found[1]}")


@check(modes=TRAIN, once=True)
def calls_share_nothing(t: Trial) -> None:
    """No run of 16 slopes occurs in two calls, at whatever place."""
    size = 2**18
    x = t.minus_ones(size)
    if found := _returns(np.concatenate([t.forward(x, 0.0, 1.0) for _ in range(4)])):
        (a, i), (b, j) = (divmod(at, size) for at in found)
        t.fail(f"the slopes of call {a} from element {i} on are those of call {b} from {j} on")


@check(modes=TRAIN, needs=("seeding",), once=True)
def seeds_share_nothing(t: Trial) -> None:
    """No run of 16 slopes occurs in the streams of two of four neighbouring seeds."""
    size = 2**18
    x = t.minus_ones(size)
    every = [t.forward(x, 0.0, 1.0, generator=t.generator(t.seed + k)) for k in range(4)]
    if found := _returns(np.concatenate(every)):
        (a, i), (b, j) = (divmod(at, size) for at in found)
        t.fail(
            f"the slopes of seed {t.seed + a} from {i} on are those of seed {t.seed + b} from {j}"
        )
