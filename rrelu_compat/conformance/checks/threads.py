"""Calls from several threads at once."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rrelu_compat.conformance.trial import Trial

THREADS, CALLS = 8, 12


@contextmanager
def _frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _together(work: Callable[[], Any]) -> list[Any]:
    """Do `work` in all threads, CALLS times each; return the results, raise the first error."""
    barrier = threading.Barrier(THREADS)
    results: list[Any] = []
    errors: list[BaseException] = []

    def loop() -> None:
        try:
            barrier.wait()
            results.extend(work() for _ in range(CALLS))
        except BaseException as error:
            errors.append(error)

    with _frequent_switches():
        threads = [threading.Thread(target=loop) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
    return results


def _distinct(t: Trial, results: list[Any]) -> None:
    count = len({result.tobytes() for result in results})
    t.ensure(
        count == len(results),
        f"{len(results)} calls from {THREADS} threads used {count} different sets of slopes",
    )


@check(modes=BOTH, needs=("threads",), once=True)
def values(t: Trial) -> None:
    """Calls from several threads give values within the bounds."""
    x = t.minus_ones(257)
    tensor = t.tensor(x)
    keywords = _plain(t)

    def work() -> Any:
        return t.numpy(t.subject.forward(tensor, 0.125, 0.25, training=t.training, **keywords))

    for y in _together(work):
        between(t, y, x, 0.125, 0.25)


@check(modes=TRAIN, needs=("threads",), once=True)
def no_two_alike(t: Trial) -> None:
    """No two calls from several threads use the same slopes."""
    tensor, keywords = t.tensor(t.minus_ones(64)), _plain(t)
    _distinct(
        t,
        _together(lambda: t.numpy(t.subject.forward(tensor, 0.0, 1.0, training=True, **keywords))),
    )


@check(modes=TRAIN, needs=("threads", "seeding"), once=True)
def one_generator(t: Trial) -> None:
    """Threads that share a generator get its calls, each once."""
    tensor, keywords = t.tensor(t.minus_ones(64)), _plain(t)
    generator = t.generator(t.seed)
    results = _together(
        lambda: t.numpy(
            t.subject.forward(tensor, 0.0, 1.0, training=True, generator=generator, **keywords)
        )
    )
    _distinct(t, results)
    one_after_another = t.generator(t.seed)
    expected = {
        t.numpy(
            t.subject.forward(
                tensor, 0.0, 1.0, training=True, generator=one_after_another, **keywords
            )
        ).tobytes()
        for _ in results
    }
    t.ensure(
        {result.tobytes() for result in results} == expected,
        "the calls of the threads are not those of one thread after another",
    )


@check(modes=TRAIN, needs=("threads", "pullbacks"), once=True)
def gradients(t: Trial) -> None:
    """Gradients from several threads use the slopes of their own forward."""
    x, keywords = t.minus_ones(64), _plain(t)

    def work() -> Any:
        tensor = t.subject.from_numpy(x, device=t.device)
        g = t.subject.from_numpy(x, device=t.device)
        y, pullback = t.subject.vjp(tensor, 0.0, 1.0, training=True, **keywords)
        return t.numpy(y), t.numpy(pullback(g))

    for y, gradient in _together(work):
        t.close(gradient, y, "the gradient for g = x")


def _plain(t: Trial) -> dict[str, Any]:
    return {"inplace": False} if t.claims("inplace") else {}
