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


@both_variants
@pytest.mark.parametrize("then", ["nothing", "a call", "a segment", "around"])
def test_more_calls_than_the_forward_made_are_refused(reentrant, then):
    x, w = weights((4, 6), (6, 6))
    act, repeats = RReLU(generator=Generator(1)), [1]

    def segment(h):
        h = paddle.matmul(h, w)
        for _ in range(repeats[0]):
            h = act(h)
        return paddle.matmul(h, w)

    def around(h):
        return act(recompute(segment, h, use_reentrant=reentrant))

    if then == "around":
        loss = recompute(around, x, use_reentrant=True).sum()
    else:
        loss = recompute(segment, x, use_reentrant=reentrant).sum()
    if then != "nothing":  # the same call, by others
        act(x * 1)
    if then == "a segment":
        loss = recompute(segment, x, use_reentrant=reentrant).sum() * 0 + loss
    repeats[0] = 2
    try:
        with pytest.raises(Exception, match="training call"):
            loss.backward()
    finally:
        paddle.set_grad_enabled(True)


def _annealed(reentrant, **changes):
    """Recompute a segment whose RReLU differs, in the repetition alone, by `changes`."""
    x, w = weights((4, 6), (6, 6))
    call = {"lower": 0.1, "upper": 0.5, "generator": Generator(1), "dtype": "float32", "rows": 4}
    runs = []

    def segment(h):
        now = call | changes if runs else call
        runs.append(1)
        h = paddle.matmul(h, w).astype(now["dtype"])[: now["rows"]]
        h = rrelu(h, now["lower"], now["upper"], generator=now["generator"])
        return paddle.matmul(h.astype("float32"), w).sum()

    try:
        recompute(segment, x, use_reentrant=reentrant).backward()
    finally:
        paddle.set_grad_enabled(True)  # an error in a backward leaves it off
    return len(runs)


@both_variants
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 3}, "18 elements of float32.*original one had 24 elements of float32"),
        ({"dtype": "float64"}, "24 elements of float64.*had 24 elements of float32"),
        ({"lower": 0.2}, "lower=0.2, upper=0.5.*had.*lower=0.1, upper=0.5"),
        ({"upper": 0.6}, "lower=0.1, upper=0.6.*had.*lower=0.1, upper=0.5"),
        ({"generator": Generator(1)}, "has generator=Generator"),
        ({"generator": None}, "has generator=None"),
        ({"generator": paddle.base.core.Generator()}, "has generator=<"),
        ({"generator": paddle.base.core.default_cpu_generator()}, "has generator=None"),
    ],
    ids=["size", "dtype", "lower", "upper", "Generator", "none", "Paddle's", "default"],
)
def test_another_call_than_in_the_forward_is_refused(reentrant, changes, message):
    with pytest.raises(Exception, match=message):
        _annealed(reentrant, **changes)
    assert _annealed(reentrant) == 2


@both_variants
def test_a_generator_made_in_the_segment_is_made_again(reentrant):
    results = []
    for run in (lambda segment, x: segment(x), recompute):
        x, w = weights((4, 6), (6, 6))

        def segment(h, w=w):
            return paddle.matmul(rrelu(paddle.matmul(h, w), generator=Generator(3)), w)

        options = {} if run is not recompute else {"use_reentrant": reentrant}
        run(segment, x, **options).sum().backward()
        results.append(x.grad.numpy())
    assert np.array_equal(*results)


@both_variants
@pytest.mark.parametrize("move", ["manual_seed", "load_state_dict", "seed alone", "off"])
def test_a_stream_may_be_moved_inside_the_segment(move, reentrant):
    def gradients(repeat):
        x, w = weights((4, 6), (6, 6))
        rrelu_compat.manual_seed(1)
        paddle.seed(4)

        def segment(h):
            h = rrelu(paddle.matmul(h, w))
            if move == "manual_seed":
                rrelu_compat.manual_seed(2)
            elif move == "off":
                rrelu_compat.manual_seed(None)
            else:
                process = rrelu_compat.generator.process_generator()
                state = {"seed": 2, "call": process.call} if move == "seed alone" else None
                process.load_state_dict(state or {"seed": 1, "call": 40})
            return rrelu(paddle.matmul(h, w))

        y = recompute(segment, x, use_reentrant=reentrant) if repeat else segment(x)
        y.sum().backward()
        return x.grad.numpy()

    assert np.array_equal(gradients(False), gradients(True))


def test_a_long_log_is_let_go():
    x, w = weights((2, 2), (2, 2))
    y = recompute(lambda h: rrelu(paddle.matmul(h, w)), x)
    one = paddle.ones([1])
    for _ in range(100_000):
        rrelu(one)
    y.sum().backward()


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
