"""Two backwards through one recomputed segment: the same gradients, or what Paddle does with any layer."""

from __future__ import annotations

import paddle
import pytest
from paddle_recomputation import both, both_variants, everywhere, weights

import rrelu_compat


def segment(act, w):
    return lambda h: paddle.matmul(act(paddle.matmul(act(h), w)), w)


def move_everything():
    """What another step may do between two backwards."""
    paddle.seed(4)
    rrelu_compat.manual_seed(123)
    rrelu_compat.rrelu(paddle.ones([3]), training=True)


@everywhere
def test_backward_twice_without_reentry(kind):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        loss = (run(segment(act, w), run(segment(act, w), x)) ** 2).sum()
        found = []
        for again in (True, True, False):
            loss.backward(retain_graph=again)
            found += [x.grad.clone(), w.grad.clone()]
            x.clear_grad()
            w.clear_grad()
            move_everything()
        for k in range(2, 6):
            assert (found[k].numpy() == found[k % 2].numpy()).all()
        return found

    both(kind, False, program)


@everywhere
@both_variants
def test_grad_twice(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        loss = (run(segment(act, w), x) ** 2).sum()
        first = paddle.grad(loss, [x], retain_graph=True)
        move_everything()
        second = paddle.grad(loss, [x], retain_graph=True)
        assert (first[0].numpy() == second[0].numpy()).all()
        # A backward after them: the first one over the graph itself.
        w.clear_grad()
        loss.backward()
        return [*first, *second, x.grad, w.grad]

    both(kind, reentrant, program)


TWICE = """
import os, sys
import numpy as np, paddle, rrelu_compat
from paddle.distributed.fleet.utils import recompute
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU

def process():
    rrelu_compat.manual_seed(5)
    return RReLU(0.1, 0.9)

layers = {
    "no layer": lambda: (lambda h: h),
    "LeakyReLU": lambda: paddle.nn.LeakyReLU(0.2),
    "own": lambda: RReLU(0.1, 0.9, generator=Generator(7)),
    "process": process,
    "default": lambda: RReLU(0.1, 0.9),
}

def gradients(make, repeat):
    paddle.seed(3)
    act, w = make(), paddle.full([6, 6], 0.25)
    w.stop_gradient = False
    x = paddle.to_tensor(np.linspace(-1, 1, 24, dtype="float32").reshape(4, 6), stop_gradient=False)
    segment = lambda h: paddle.matmul(act(paddle.matmul(h, w)), w)
    loss = (recompute(segment, x, use_reentrant=True) if repeat else segment(x)).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    return x.grad.numpy()

for name, make in layers.items():
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        same = np.array_equal(gradients(make, False), gradients(make, True))
        os._exit(0 if same else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print("OUTCOME", name, {0: "same", 3: "other gradients"}.get(status, status), flush=True)
"""


def test_backward_twice_with_reentry_is_paddles_own_limit(run_python):
    """Paddle frees the segment in the first backward, `retain_graph` or not, and reads it in the second."""
    lines = [line for line in run_python(TWICE).splitlines() if line.startswith("OUTCOME ")]
    outcomes = dict(line.removeprefix("OUTCOME ").rsplit(" ", 1) for line in lines)
    assert outcomes == dict.fromkeys(
        ("no layer", "LeakyReLU", "own", "process", "default"), "-11"
    ), outcomes


@both_variants
def test_one_backward_for_each_of_two_inputs(reentrant):
    """Parts of a graph walked one after the other get right gradients, or Paddle's error."""

    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        loss = (run(segment(act, w), x) ** 2).sum()
        (first,) = paddle.grad(loss, [w], retain_graph=True)
        (second,) = paddle.grad(loss, [x], retain_graph=True)
        return [first, second]

    if reentrant:
        with pytest.raises(ValueError, match="does not appear in the backward graph"):
            both("own", reentrant, program)
    else:
        both("own", reentrant, program)
