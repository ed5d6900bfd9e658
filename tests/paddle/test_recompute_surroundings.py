"""Recomputation beside the user's own state functions and hooks, and over many steps."""

from __future__ import annotations

import contextlib
import gc

import paddle
import pytest
from paddle.distributed.fleet.recompute import custom_state_manager
from paddle.distributed.fleet.utils import recompute
from paddle_recomputation import (
    SOURCES,
    Source,
    both,
    both_variants,
    weights,
)

from rrelu_compat import Generator
from rrelu_compat.backends.paddle import recompute as ours
from rrelu_compat.paddle import RReLU


@both_variants
def test_the_place_for_the_users_pair_stays_free(reentrant):
    log, state = [], [10]
    custom_state_manager.set_custom_get_state_func(lambda: state[0])
    custom_state_manager.set_custom_set_state_func(lambda value: log.append(value))
    try:
        with pytest.raises(AssertionError, match="duplicate"):
            custom_state_manager.set_custom_get_state_func(lambda: 0)

        def program(source, run):
            act, (x, w) = source.layer(), weights((4, 6), (6, 6))
            y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            state[0] += 1
            y.sum().backward()
            return [y, x.grad, w.grad]

        both("own", reentrant, program)
    finally:
        custom_state_manager.custom_get_state_func = None
        custom_state_manager.custom_set_state_func = None
    assert log == [11, 12]


def test_the_users_pair_may_come_before_us(run_python):
    out = run_python("""
import paddle
from paddle.distributed.fleet.recompute import custom_state_manager as manager
from paddle.distributed.fleet.utils import recompute
log = []
manager.set_custom_get_state_func(lambda: "state")
manager.set_custom_set_state_func(log.append)
from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu
x = paddle.to_tensor([-1.0, -2.0], stop_gradient=False)
generator = Generator(1)
y = recompute(lambda h: rrelu(h * 1.0, generator=generator), x)
y.sum().backward()
assert generator.call == 1
assert (x.grad * x).tolist() == y.tolist()
print(log)
""")
    assert out.strip().endswith("['state', 'state']")


def test_nothing_is_kept_when_the_graphs_are_gone():
    generator = Generator(1)
    act, (x, w) = RReLU(generator=generator), weights((4, 6), (6, 6))
    gc.collect()
    before = len(ours._thread.levels[0].open)  # graphs of failed backwards, which Paddle keeps
    for _ in range(50):
        recompute(lambda h: act(paddle.matmul(h, w)), x).sum().backward()
    gc.collect()
    assert len(ours._thread.levels) == 1
    assert len(ours._thread.levels[0].open) == before


def test_hook_that_draws_during_the_backward_of_a_segment():
    generator = Generator(4)
    act, (x, w) = RReLU(generator=generator), weights((4, 6), (6, 6))
    extra = []

    def segment(h):
        h = paddle.matmul(h, w)
        if not h.stop_gradient:
            h.register_hook(lambda g: extra.append(act(paddle.ones([2]))))
        return act(h)

    recompute(segment, x).sum().backward()
    assert len(extra) == 1
    assert generator.call == 2


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_soak(kind):
    """20,000 steps with reseeding: memory flat, no two steps with the same slopes."""
    import resource

    source = Source(kind)
    act, (w,) = source.layer(), weights((6, 6))
    x = paddle.full([4, 6], -1.0)
    x.stop_gradient = False
    seen, sizes = set(), []
    for step in range(20_000):
        if kind != "default":
            paddle.seed(1)
        outputs = []

        def segment(h, outputs=outputs):
            outputs.append(act(h))
            return paddle.matmul(outputs[-1], w)

        y = recompute(segment, x, use_reentrant=step % 2 == 0)
        y.sum().backward()
        x.clear_grad()
        seen.add(outputs[0].numpy().tobytes())
        with contextlib.suppress(IndexError):
            assert outputs[0].numpy().tobytes() == outputs[1].numpy().tobytes()
        if step % 5000 == 4999:
            gc.collect()
            sizes.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert len(seen) == 20_000
    # `seen` itself grows by some 100 bytes a step.
    assert sizes[-1] - sizes[0] < 8 * 1024, sizes
