"""Every case that can run: the program before, in its framework, and after, in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rrelu_compat

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = {"torch": "paddle", "paddle": "torch"}


@pytest.fixture
def default_backend() -> Iterator[Any]:
    """Set the backend of the neutral layers, and go back to the rules afterwards."""
    yield rrelu_compat.set_default_backend
    rrelu_compat.set_default_backend(None)


def same(one: Any, other: Any, what: str) -> None:
    if isinstance(one, np.ndarray):
        np.testing.assert_allclose(other, one, rtol=3e-6, atol=1e-7, err_msg=what)
    elif isinstance(one, float):
        assert other == pytest.approx(one), what
    else:
        assert one == other, what


def check(before: Any, after: Any, source: Any, target: Any, x: Any, training: bool) -> None:
    """Compare two programs that should mean the same."""
    first, second = (source.run(before, x, training) for _ in range(2))
    got, again = (target.run(after, x, training) for _ in range(2))
    assert len(got.values) == len(first.values)
    assert (first.gradient is None) == (got.gradient is None)
    fixed = []
    for one, other, mine, repeated in zip(
        first.values, second.values, got.values, again.values, strict=True
    ):
        random = isinstance(one, np.ndarray) and not np.array_equal(one, other)
        fixed.append(not random)
        if not random:
            same(one, mine, "value")
            same(one, repeated, "value of the second run")
        else:
            assert not np.array_equal(mine, repeated), "not random any more"
            within(one, mine, x)
    if all(fixed) and first.gradient is not None:
        same(first.gradient, got.gradient, "gradient")
    if np.array_equal(first.after, second.after):
        same(first.after, got.after, "the input afterwards")
    else:
        within(first.after, got.after, x)
    if len(fixed) == 1 and not fixed[0]:
        gradient_fits(got, x)


def within(native: Any, ours: Any, x: Any) -> None:
    """The slopes fill the range that the native's fill."""
    negative = x < 0
    np.testing.assert_array_equal(ours[~negative], native[~negative])
    theirs, mine = native[negative] / x[negative], ours[negative] / x[negative]
    margin = 0.03 * (theirs.max() - theirs.min())
    assert abs(mine.min() - theirs.min()) < margin
    assert abs(mine.max() - theirs.max()) < margin


def gradient_fits(outcome: Any, x: Any) -> None:
    """Where the one value is random, the gradient has the slopes of the forward."""
    weights = np.linspace(0.5, 1.5, x.size, dtype=x.dtype).reshape(x.shape)
    expected = np.where(x < 0, outcome.values[0] / x, 1) * weights
    np.testing.assert_allclose(outcome.gradient, expected, rtol=1e-5)


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
def test_means_the_same(
    runnable: Any,
    training: bool,
    frameworks: Any,
    example: Any,
    default_backend: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    origin = frameworks[runnable.origin]
    before = origin.load(runnable.source)
    targets = [runnable.target] if runnable.target != "neutral" else ["torch", "paddle"]
    for target in targets:
        default_backend(target)
        after = frameworks[target].load(runnable.expected)
        check(before, after, origin, frameworks[target], example, training)
    capsys.readouterr()


@pytest.mark.parametrize("target", ["torch", "paddle"])
def test_neutral_means_the_same(
    runnable: Any,
    target: str,
    frameworks: Any,
    example: Any,
    default_backend: Any,
    ported: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same cases rewritten to the neutral names, run in both frameworks."""
    if runnable.target == "neutral" or "rrelu_compat" in runnable.source:
        return
    report = ported(runnable.source, "neutral")
    if not report.complete:
        return  # left by hand: the text says so and stays as it is
    origin = frameworks[runnable.origin]
    before = origin.load(runnable.source)
    default_backend(target)
    after = frameworks[target].load(report.after)
    for training in (False, True):
        check(before, after, origin, frameworks[target], example, training)
    capsys.readouterr()
