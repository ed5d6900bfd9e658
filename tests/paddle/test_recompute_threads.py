"""Recomputation while other threads draw, recompute or run static programs."""

from __future__ import annotations

import threading

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute
from paddle_recomputation import (
    Source,
    weights,
)

from rrelu_compat import Generator, RecomputeError
from rrelu_compat.backends.paddle import recompute as ours
from rrelu_compat.paddle import RReLU


@pytest.mark.parametrize("kind", ["own", "framework", "default", "process"])
def test_a_generator_may_be_shared_with_another_thread_during_the_forward(kind):
    source = Source(kind)
    x, w = weights((4, 6), (6, 6))
    act, slopes = source.layer(), []

    def segment(h):
        for _ in range(2):
            h = paddle.matmul(h, w)
            y = act(h)
            slopes.append((y / h).numpy())
            thread = threading.Thread(target=lambda: act(paddle.ones([2])))
            thread.start()
            thread.join()
            h = y
        return h

    recompute(segment, x).sum().backward()
    assert len(slopes) == 4
    assert np.array_equal(slopes[:2], slopes[2:])


def test_another_thread_draws_on_undisturbed_while_one_recomputes():
    generator = Generator(5)
    x, w = weights((4, 6), (6, 6))
    act = RReLU(generator=generator)
    recomputing, drawn, outside = threading.Event(), threading.Event(), []

    def other():
        assert recomputing.wait(60)
        outside.append(generator.call)
        act(paddle.ones([2]))
        outside.append(generator.call)
        drawn.set()

    passes = []

    def segment(h):
        passes.append(None)
        h = act(paddle.matmul(h, w))
        if len(passes) == 2:
            recomputing.set()
            assert drawn.wait(60)
        return act(paddle.matmul(h, w))

    thread = threading.Thread(target=other)
    thread.start()
    y = recompute(segment, x)
    y.sum().backward()
    thread.join()
    # Two calls of the forward, then the other thread's; the repeated ones took none.
    assert outside == [2, 3]
    assert generator.call == 3
    got = x.grad.numpy()
    x.clear_grad()
    generator.load_state_dict({"seed": 5, "call": 0})
    passes.append(None)
    segment(x).sum().backward()
    assert np.array_equal(got, x.grad.numpy())


def test_two_threads_recompute_at_once():
    def train(seed, results):
        generator = Generator(seed)
        act, (x, w) = RReLU(0.1, 0.9, generator=generator), weights((4, 6), (6, 6))
        for _ in range(20):
            y = recompute(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            y.sum().backward()
        results[seed] = (x.grad.numpy(), generator.call)

    alone, together = {}, {}
    for seed in (1, 2):
        train(seed, alone)
    threads = [threading.Thread(target=train, args=(seed, together)) for seed in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in (1, 2):
        assert np.array_equal(alone[seed][0], together[seed][0])
        assert alone[seed][1] == together[seed][1] == 20


@pytest.mark.parametrize("recomputing", [True, False])
def test_static_programs_of_several_threads_while_one_recomputes(monkeypatch, recomputing):
    """An operation of a static program can't tell then for which thread it draws."""
    monkeypatch.setattr(ours, "seen", True)
    monkeypatch.setattr(ours, "_frame_in_executor", lambda frame: True)
    done, errors = threading.Event(), []

    def operation():
        try:
            with ours.in_thread_of_the_executor():
                pass
        except RecomputeError as error:
            errors.append(str(error))
        done.set()

    monkeypatch.setattr(ours, "_all_levels", dict(ours._all_levels))
    ours._all_levels.clear()
    level = ours._Levels([ours._Level()])
    ours._all_levels[threading.get_ident()] = level
    snapshot = ours._Snapshot(None, None)
    if recomputing:
        level[0].open.add(snapshot)
    waiting = threading.Event()
    other = threading.Thread(target=waiting.wait, args=(60,))
    other.start()
    threading.Thread(target=operation).start()
    assert done.wait(60)
    waiting.set()
    other.join()
    assert len(errors) == recomputing
    if recomputing:
        assert "several threads run static programs" in errors[0]
