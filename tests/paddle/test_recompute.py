"""Recomputation: outputs and gradients are those of the run without it, bit for bit."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.recompute import recompute_sequential
from paddle.distributed.fleet.utils import recompute
from paddle_recomputation import (
    Source,
    both,
    both_variants,
    everywhere,
    weights,
)

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.backends.paddle import recompute as ours
from rrelu_compat.paddle import RReLU, rrelu


@everywhere
@both_variants
@pytest.mark.parametrize("inplace", [False, True])
def test_one_segment(kind, reentrant, inplace):
    def program(source, run):
        act, (x, w) = source.layer(inplace), weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
def test_one_layer_used_several_times(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))

        def segment(h):
            for _ in range(3):
                h = act(paddle.matmul(h, w))
            return h

        h = act(x)
        for _ in range(3):
            h = run(segment, h)
            h = act(h)
        (h * h).sum().backward()
        # Not w.grad: its many terms are added in another order, with Paddle's own layers, too.
        return [h, x.grad]

    both(kind, reentrant, program)


@everywhere
def test_nested(kind):
    # Nested use_reentrant=False fails in Paddle itself.
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))

        def inner(h):
            return act(paddle.matmul(act(h), w))

        def outer(h):
            return act(run(inner, act(run(inner, h))))

        y = act(run(outer, act(run(outer, x))))
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, True, program)


@everywhere
@both_variants
def test_segments_recomputed_in_another_order(kind, reentrant):
    def program(source, run):
        act, (a, b, w) = source.layer(), weights((4, 6), (4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(act(paddle.matmul(act(h), w)), w)

        first, second = run(segment, a), run(segment, b)
        first.sum().backward()  # Paddle's own order is last first
        second.sum().backward()
        return [first, second, a.grad, b.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
@pytest.mark.parametrize("reseed", [True, False])
def test_two_live_graphs(kind, reentrant, reseed):
    def program(source, run):
        act, (a, b, w) = source.layer(), weights((4, 6), (4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(act(paddle.matmul(h, w)), w)

        outputs = []
        for x in (a, b):
            if reseed:
                paddle.seed(99)  # both graphs start from one random state
            outputs.append(run(segment, x))
        for y in reversed(outputs):
            (y * y).sum().backward()
        return [*outputs, a.grad, b.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
@both_variants
def test_reseeding_every_step_does_not_freeze_the_slopes(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        outputs = []
        for _ in range(3):
            paddle.seed(1)
            y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
            (y * y).sum().backward()
            outputs.append(y)
        return [*outputs, x.grad, w.grad]

    first, second, third = both(kind, reentrant, program)[:3]
    frozen = kind == "default"  # what the user asked for
    assert np.array_equal(first, second) == frozen
    assert np.array_equal(second, third) == frozen


@everywhere
@both_variants
def test_draws_and_seeding_between_forward_and_backward(kind, reentrant):
    def program(source, run):
        act, (x, w) = source.layer(), weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        act(x)
        if kind == "process":
            rrelu_compat.manual_seed(123)
            act(x)
        else:
            # Turned on only after the forward.
            rrelu_compat.manual_seed(123)
            rrelu_compat.manual_seed(None)
        if kind == "own":
            source.generator.load_state_dict({"seed": 1, "call": 9})
        if kind == "framework":
            source.generator.manual_seed(77)
        paddle.seed(4)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@both_variants
@pytest.mark.parametrize("first", [5, None])
def test_process_wide_stream_turned_on_or_off_in_between(reentrant, first):
    def program(source, run):
        rrelu_compat.manual_seed(first)
        x, w = weights((4, 6), (6, 6))
        y = run(lambda h: paddle.matmul(rrelu(paddle.matmul(h, w)), w), x)
        rrelu_compat.manual_seed(None if first else 6)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both("default", reentrant, program)


@everywhere
@both_variants
def test_several_sources_in_one_segment(kind, reentrant):
    def program(source, run):
        act, other = source.layer(), RReLU(0.2, 0.8, generator=Generator(50))
        x, w = weights((4, 6), (6, 6))

        def segment(h):
            h = paddle.nn.functional.dropout(act(paddle.matmul(other(h), w)), 0.5)
            return paddle.matmul(rrelu(act(other(h))), w)

        y = run(segment, run(segment, x))
        (y * y).sum().backward()
        return [y, x.grad, paddle.to_tensor(other(paddle.full([2], -1.0)))]

    both(kind, reentrant, program)


@everywhere
def test_sequential(kind):
    # recompute_sequential takes a Sequential's layers in segments; with one segment it takes a tensor.
    def program(source, run):
        paddle.seed(2)
        net = paddle.nn.Sequential(
            paddle.nn.Linear(6, 6), source.layer(), paddle.nn.Linear(6, 6), source.layer()
        )
        (x,) = weights((4, 6))
        plain = run.__closure__[1].cell_contents is False
        y = net(x) if plain else recompute_sequential({"segments": 1}, net, x)
        (y * y).sum().backward()
        return [y, x.grad, net[0].weight.grad]

    both(kind, True, program)


@both_variants
def test_default_generator_given_by_name(reentrant):
    def program(source, run):
        x, w = weights((4, 6), (6, 6))
        act = RReLU(
            generator=getattr(paddle, "Generator", paddle.base.core.default_cpu_generator)()
        )
        y = run(lambda h: paddle.matmul(act(paddle.matmul(h, w)), w), x)
        (y * y).sum().backward()
        drawn = paddle.base.core.default_cpu_generator().random()
        return [y, x.grad, w.grad, paddle.to_tensor([drawn % 2**31])]

    (drawn,) = both("default", reentrant, program)[3]
    paddle.seed(11)
    numbers = [paddle.base.core.default_cpu_generator().random() for _ in range(2)]
    assert drawn == numbers[1] % 2**31


@everywhere
@both_variants
def test_generator_made_inside_the_segment(kind, reentrant):
    def program(source, run):
        x, w = weights((4, 6), (6, 6))

        def segment(h):
            return paddle.matmul(rrelu(paddle.matmul(h, w), generator=Generator(8)), w)

        y = run(segment, x)
        (y * y).sum().backward()
        return [y, x.grad, w.grad]

    both(kind, reentrant, program)


@everywhere
def test_training_steps(kind):
    def program(source, run):
        paddle.seed(21)
        first, second = paddle.nn.Linear(6, 6), paddle.nn.Linear(6, 6)
        act = source.layer()
        optimizer = paddle.optimizer.Adam(
            0.01, parameters=[*first.parameters(), *second.parameters()]
        )
        (x,) = weights((8, 6))
        for step in range(5):
            y = run(lambda h: second(act(first(h))), run(lambda h: act(second(h)), x))
            (y * y).mean().backward()
            optimizer.step()
            optimizer.clear_grad()
            if step == 2:
                paddle.seed(21)
        return [first.weight, second.weight]

    both(kind, True, program)
    both(kind, False, program)


@everywhere
@both_variants
def test_forward_that_fails_while_recomputed_leaves_the_streams_alone(kind, reentrant):
    source = Source(kind)
    act, (x, w) = source.layer(), weights((4, 6), (6, 6))
    broken = []

    def segment(h):
        h = paddle.matmul(act(paddle.matmul(h, w)), w)
        if broken:
            raise RuntimeError("on purpose")
        return h

    loss = recompute(segment, x, use_reentrant=reentrant).sum()
    broken.append(True)
    with pytest.raises(Exception, match="on purpose"):
        loss.backward()
    assert len(ours._thread.levels) == 1
    reference = Source(kind)
    reference.layer()(x)
    del loss
    expected = reference.position()
    paddle.seed(11)
    if kind == "default":
        rrelu(x)
    source_position = rrelu(paddle.full([3], -1.0), 0.1, 0.9, generator=source.generator).tolist()
    if kind == "process":  # `reference` moved the one stream there is
        assert rrelu_compat.generator.process_generator().call == 3
    else:
        assert source_position == expected


def test_paddles_own_limits_are_paddles():
    """Nested ``use_reentrant=False`` fails with Paddle's own layers, too."""
    x, w = weights((4, 6), (6, 6))

    def inner(h):
        return paddle.tanh(paddle.matmul(h, w))

    def outer(h):
        return recompute(inner, recompute(inner, h, use_reentrant=False), use_reentrant=False)

    with pytest.raises(Exception):  # noqa: B017
        recompute(outer, x, use_reentrant=False).sum().backward()


def test_the_first_call_of_a_process_may_stand_in_a_segment(run_python):
    for reentrant in (True, False):
        out = run_python(f"""
import paddle
from rrelu_compat.paddle import rrelu
from paddle.distributed.fleet.utils import recompute

x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
y = recompute(lambda h: rrelu(h * 1.0), x, use_reentrant={reentrant})
y.sum().backward()
print(paddle.allclose(x.grad * x, y).item())
""")
        assert out.split()[-1] == "True"
