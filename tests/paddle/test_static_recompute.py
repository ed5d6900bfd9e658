"""Static functions inside recomputed segments."""

from __future__ import annotations

import paddle
import pytest
from paddle.distributed.fleet.utils import recompute
from paddle_programs import (
    bits,
    both_ways,
    inputs,
    straight,
)

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu


@pytest.mark.parametrize("kind", ["own", "process", "framework", "default"])
@pytest.mark.parametrize("reentrant", [True, False])
@both_ways
def test_static_function_inside_a_recomputed_segment(kind, reentrant, full_graph):
    """The numbers are drawn in threads of the executor, for the thread that recomputes."""

    def run(repeat):
        paddle.seed(3)
        rrelu_compat.manual_seed(4 if kind == "process" else None)
        generator = None
        if kind == "own":
            generator = Generator(7)
        elif kind == "framework":
            generator = paddle.base.core.Generator()
            generator.manual_seed(9)

        def function(h):
            return rrelu(h, 0.1, 0.9, generator=generator)

        static = paddle.jit.to_static(function, full_graph=full_graph)
        (x,) = inputs(count=1)
        x.stop_gradient = False

        def segment(h):
            return static(paddle.tanh(static(h * 2) - 1)) * 3

        y = x
        for _ in range(2):
            y = recompute(segment, y, use_reentrant=reentrant) if repeat else segment(y)
        y = static(y)
        paddle.autograd.backward([y], [paddle.ones_like(y)])
        return bits(y), bits(x.grad), bits(static(x))

    assert run(True) == run(False)


@pytest.mark.parametrize("reentrant", [True, False])
def test_static_function_inside_a_segment_without_kept_state_is_refused(reentrant, capfd):
    static = paddle.jit.to_static(straight, full_graph=True)
    (x,) = inputs(count=1)
    x.stop_gradient = False
    loss = recompute(
        lambda h: static(paddle.tanh(h)), x, use_reentrant=reentrant, preserve_rng_state=False
    ).sum()
    with pytest.raises(Exception, match="rrelu_compat_draw"):
        loss.backward()
    # Paddle prints the error of a Python operation, and raises another.
    assert "RecomputeError: recompute(..., preserve_rng_state=False)" in capfd.readouterr().err
