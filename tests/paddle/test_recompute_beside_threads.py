"""Recomputed steps beside threads that draw, and in several threads: the gradients of the slopes drawn."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU

SOURCES = ("own", "process", "default", "framework")


def _draw():
    paddle.rand([3])


def _train():
    x = paddle.ones([3, 5])
    x.stop_gradient = False
    paddle.nn.functional.dropout(x, 0.5).sum().backward()


OWN = Generator(5)


def _ours():
    x = paddle.ones([3])
    x.stop_gradient = False
    RReLU(generator=OWN)(x).sum().backward()


BESIDE = {"draw": _draw, "train": _train, "ours": _ours}


class Model:
    """A recomputed step, and its gradients worked out from the slopes that its forward drew."""

    def __init__(self, reentrant, source):
        self.reentrant = reentrant
        generator = Generator(2) if source == "own" else None
        if source == "framework":
            generator = paddle.base.core.Generator()
            generator.manual_seed(2)
        self.layers = [RReLU(0.1, 0.9, generator=generator) for _ in range(2)]
        rng = np.random.default_rng(1)
        self.weights = [rng.standard_normal((5, 5)) for _ in range(3)]
        self.x = rng.standard_normal((4, 5))

    def step(self):
        """Return whether the gradients are those of the slopes that the forward used."""
        weights = [paddle.to_tensor(w, stop_gradient=False) for w in self.weights]
        x = paddle.to_tensor(self.x, stop_gradient=False)
        slopes = []

        def act(layer, h):
            before = h.numpy()
            h = layer(h)
            slopes.append(np.where(before >= 0, 1.0, h.numpy() / before))
            return h

        def segment(h):
            h = act(self.layers[0], paddle.matmul(h, weights[0]))
            h = act(self.layers[1], paddle.matmul(h, weights[1]))
            return act(self.layers[0], paddle.matmul(h, weights[2]))

        y = recompute(segment, x, use_reentrant=self.reentrant)
        forward = slopes[:3]
        y.sum().backward()
        gradient = np.ones_like(self.x)
        for w, slope in zip(reversed(self.weights), reversed(forward), strict=True):
            gradient = (gradient * slope) @ w.T
        return len(slopes) == 6 and np.allclose(x.grad.numpy(), gradient, rtol=1e-10, atol=1e-12)


def steps_beside(beside, reentrant, source, steps):
    """Return how many steps were right; whatever a step raises ends the test."""
    rrelu_compat.manual_seed(4 if source == "process" else None)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            BESIDE[beside]()

    thread = threading.Thread(target=work)
    thread.start()
    model = Model(reentrant, source)
    try:
        return sum(model.step() for _ in range(steps))
    finally:
        stop.set()
        thread.join()
        rrelu_compat.manual_seed(None)


def steps_in_threads(source, threads, steps):
    """Return how many steps were right; each thread has a Generator, or all share the default one."""
    right, errors = [], []

    def work():
        model = Model(True, source)
        try:
            right.extend(model.step() for _ in range(steps))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert errors == []
    return sum(right)


# Beside a non-reentrant segment nothing else may be differentiated: Paddle's hooks are those of the process.
CASES = [
    (beside, reentrant, source)
    for beside, reentrant, source in itertools.product(BESIDE, (True, False), SOURCES)
    if reentrant or beside == "draw"
]


@pytest.mark.parametrize("source", ["own", "default", "framework"])
def test_steps_in_six_threads(source):
    assert steps_in_threads(source, 6, 10) == 60


def _in_a_process(call, seconds=250):
    """Return how many steps of a call were right, and how often Paddle crashed or hung before it got through.

    Where one thread recomputes and another draws, Paddle corrupts its heap or waits for itself for ever, once
    in some 20,000 steps, with dropout in the place of RReLU and without this package too. What a step raises,
    or a thread that waits in this package, fails the test.
    """
    code = (
        f"import faulthandler; faulthandler.dump_traceback_later({seconds}, exit=True)\n"
        f"from test_recompute_beside_threads import *; print({call})"
    )
    for crashes in range(4):
        run = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parent,
        )  # fmt: skip
        if run.returncode == 0:
            return int(run.stdout.split()[-1]), crashes
        if run.returncode > 0:
            assert "Timeout (" in run.stderr, run.stderr
            innermost = re.findall(r"\(most recent call first\):\n(.*)", run.stderr)
            assert innermost
            assert not any("rrelu_compat" in frame for frame in innermost), run.stderr
    raise AssertionError(f"{call} crashes each time: {run.stderr}")


def test_steps_beside_a_thread():
    right, _ = _in_a_process("sum(steps_beside(*case, 20) for case in CASES)")
    assert right == 20 * len(CASES)


def test_two_threads_call_for_the_first_time():
    """Both find that Paddle was not looked at yet; what one does then must not hide the other's segment."""
    assert _in_a_process("steps_beside('ours', True, 'own', 20)")[0] == 20


@pytest.mark.slow
def test_twenty_thousand_steps_beside_threads():
    calls = [
        f"steps_beside({b!r}, {reentrant}, {source!r}, 1200)" for b, reentrant, source in CASES
    ]
    count = 1200 * len(calls) + 1200
    found = [_in_a_process(call) for call in [*calls, "steps_in_threads('default', 6, 200)"]]
    assert sum(right for right, _ in found) == count >= 20_000
    assert sum(crashes for _, crashes in found) <= 4
