"""Recomputations that cannot be made right raise."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute
from paddle_recomputation import (
    SOURCES,
    Source,
    both_variants,
    weights,
)

import rrelu_compat
from rrelu_compat import Generator, RecomputeError
from rrelu_compat.paddle import RReLU, rrelu


@pytest.mark.parametrize("kind", SOURCES)
@both_variants
def test_without_kept_state_the_gradient_is_refused(kind, reentrant):
    source = Source(kind)
    act, (x, w) = source.layer(), weights((4, 6), (6, 6))

    def segment(h):
        return paddle.matmul(act(paddle.matmul(h, w)), w)

    loss = recompute(segment, x, use_reentrant=reentrant, preserve_rng_state=False).sum()
    with pytest.raises(Exception, match="preserve_rng_state=False") as caught:
        loss.backward()
    assert "RecomputeError" in str(caught.value) or isinstance(caught.value, RecomputeError)


def test_evaluation_may_be_recomputed_without_kept_state():
    x, w = weights((4, 6), (6, 6))
    act = RReLU().eval()
    loss = recompute(lambda h: act(paddle.matmul(h, w)), x, preserve_rng_state=False).sum()
    loss.backward()


@both_variants
def test_inner_segment_without_kept_state_is_refused_inside_one_with(reentrant):
    x, w = weights((4, 6), (6, 6))
    act = RReLU(generator=Generator(1))

    def inner(h):
        return paddle.matmul(act(paddle.matmul(h, w)), w)

    def outer(h):
        return recompute(inner, h, preserve_rng_state=False)

    loss = recompute(outer, x, use_reentrant=True).sum()
    with pytest.raises(Exception, match="preserve_rng_state=False"):
        loss.backward()


def test_more_calls_than_the_forward_made_are_refused():
    x, w = weights((4, 6), (6, 6))
    act, repeats = RReLU(generator=Generator(1)), [1]

    def segment(h):
        for _ in range(repeats[0]):
            h = act(paddle.matmul(h, w))
        return h

    loss = recompute(segment, x).sum()
    repeats[0] = 2
    with pytest.raises(Exception, match="more training calls"):
        loss.backward()


def test_another_generator_than_in_the_forward_is_refused():
    x, w = weights((4, 6), (6, 6))
    for other in (Generator(2), paddle.base.core.Generator()):
        act = RReLU(generator=Generator(1))
        loss = recompute(lambda h, act=act: act(paddle.matmul(h, w)), x).sum()
        act.generator = other
        with pytest.raises(Exception, match="did not in the original one"):
            loss.backward()


@pytest.mark.parametrize("move", ["manual_seed", "load_state_dict", "seed alone", "off"])
def test_stream_moved_inside_the_segment_is_refused(move):
    x, w = weights((4, 6), (6, 6))
    rrelu_compat.manual_seed(1)

    def segment(h):
        h = rrelu(paddle.matmul(h, w))
        if move == "manual_seed":
            rrelu_compat.manual_seed(2)
        elif move == "off":
            rrelu_compat.manual_seed(None)
        elif move == "seed alone":
            process = rrelu_compat.generator.process_generator()
            process.load_state_dict({"seed": 2, "call": process.call})
        else:
            process = rrelu_compat.generator.process_generator()
            process.load_state_dict({"seed": 1, "call": 40})
        return rrelu(paddle.matmul(h, w))

    loss = recompute(segment, x).sum()
    with pytest.raises(Exception, match="was moved or shared"):
        loss.backward()


def test_loaded_inside_a_segment_is_refused_where_it_would_be_wrong(run_python):
    code = """
import paddle, rrelu_compat, sys
from paddle.distributed.fleet.utils import recompute
if {process}:
    rrelu_compat.manual_seed(3)
x = paddle.to_tensor([-1.0, -2.0], stop_gradient=False)
assert "rrelu_compat.backends.paddle" not in sys.modules
y = recompute(lambda h: rrelu_compat.rrelu(h * 1.0, training=True), x)
try:
    y.sum().backward()
except Exception as error:
    print(error)
else:
    assert paddle.allclose(x.grad * x, y), "silently wrong"
    print("right")
"""
    assert "import rrelu_compat.paddle before" in run_python(code.format(process=True))
    assert run_python(code.format(process=False)).strip().endswith("right")


def _gradients(act, repeat):
    x, w = weights((4, 6), (6, 6))

    def inner(h):
        return paddle.matmul(act(paddle.matmul(h, w)), w)

    def outer(h):
        h = paddle.tanh(paddle.matmul(h, w))
        return recompute(inner, h, use_reentrant=True) if repeat else inner(h)

    y = recompute(outer, x, use_reentrant=False) if repeat else outer(x)
    y.sum().backward()
    return x.grad.numpy(), w.grad.numpy()


def test_reentrant_inside_not_reentrant_is_wrong_in_paddle_and_refused():
    plain, repeated = _gradients(paddle.tanh, False), _gradients(paddle.tanh, True)
    assert not any(map(np.allclose, plain, repeated)), "Paddle has mended this: allow it"
    with pytest.raises(RecomputeError, match="make the outer one reentrant too"):
        _gradients(RReLU(), True)
    _gradients(RReLU().eval(), True)  # draws nothing: as Paddle's own layers
