"""``to_static``: bits of the dynamic graph."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle_programs import (
    DTYPES,
    act,
    bits,
    both_ways,
    branches,
    compare,
    inputs,
    loop,
    nested_branches,
    neutral,
    parallel,
    spec_apply,
    straight,
)

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU, rrelu, rrelu_


@both_ways
@pytest.mark.parametrize("function", [straight, neutral, branches, loop, parallel, nested_branches])
def test_bits_of_the_dynamic_graph(function, full_graph):
    # Paddle 3.3 can't differentiate a whole-graph `while` over a tensor, whatever is in it.
    compare(function, full_graph, gradient=not (function is loop and full_graph))


def test_spec_apply():
    # With full_graph=False Paddle's tracer finds no methods on instances of dataclasses.
    compare(spec_apply, full_graph=True)


@both_ways
def test_static_graph_is_what_runs(full_graph, monkeypatch):
    from rrelu_compat.backends.paddle import nodes

    static = paddle.jit.to_static(straight, full_graph=full_graph)
    (x,) = inputs(count=1)
    static(x)
    monkeypatch.setattr(nodes, "apply", None)
    assert bits(static(x)) != bits(static(x))


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(dtype, full_graph):
    def function(x):
        return act(rrelu(x, -2.0, 0.5))

    compare(function, full_graph, dtype)


@both_ways
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 1, 2)])
def test_shapes(shape, full_graph):
    function = straight
    static = paddle.jit.to_static(function, full_graph=full_graph)
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal(shape))
    rrelu_compat.manual_seed(1)
    expected = function(x)
    rrelu_compat.manual_seed(1)
    y = static(x)
    assert list(y.shape) == list(shape)
    assert bits(y) == bits(expected)


@both_ways
def test_own_generators(full_graph):
    first, second = Generator(3), Generator(4)

    def function(x):
        return rrelu(rrelu(x, generator=first), generator=second)

    static = paddle.jit.to_static(function, full_graph=full_graph)
    (x,) = inputs(count=1)
    y = static(x)
    assert (first.call, second.call) == (1, 1)
    expected = rrelu(rrelu(x, generator=Generator(3)), generator=Generator(4))
    assert bits(y) == bits(expected)
    # Repositioned generators are followed: nothing is baked in.
    first.load_state_dict({"seed": 3, "call": 0})
    second.load_state_dict({"seed": 4, "call": 0})
    assert bits(static(x)) == bits(y)
    assert bits(static(x)) != bits(y)


@both_ways
def test_framework_generator_and_default_generator(full_graph):
    framework = paddle.base.core.Generator()
    (x,) = inputs(count=1)

    def explicit(x):
        return rrelu(x, generator=framework)

    def default(x):
        return rrelu(x)

    for function, seed in ((explicit, framework.manual_seed), (default, paddle.seed)):
        static = paddle.jit.to_static(function, full_graph=full_graph)
        seed(5)
        expected = bits(function(x))
        seed(5)
        assert bits(static(x)) == expected
        assert bits(static(x)) != expected


@both_ways
def test_one_number_of_the_default_generator_per_call(full_graph):

    def function(x):
        return act(act(x))

    static = paddle.jit.to_static(function, full_graph=full_graph)
    (x,) = inputs(count=1)
    static(x)
    default = paddle.base.core.default_cpu_generator()
    paddle.seed(9)
    numbers = [default.random() for _ in range(3)]
    paddle.seed(9)
    static(x)
    assert default.random() == numbers[2]


@both_ways
def test_training_and_evaluation_alternate(full_graph):
    net = paddle.nn.Sequential(paddle.nn.Linear(4, 4), RReLU(0.1, 0.9))
    static = paddle.jit.to_static(net, full_graph=full_graph)
    (x,) = inputs(count=1)
    for _ in range(2):
        net.train()
        assert bits(static(x)) != bits(static(x))
        net.eval()
        y = static(x)
        assert bits(static(x)) == bits(y)
        h = net[0](x)
        np.testing.assert_allclose(
            y.numpy(), np.where(h.numpy() >= 0, h, 0.5 * h.numpy()), rtol=1e-6
        )


@both_ways
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("slope", [0.25, -2.0, 0.0, 1e-50])
@pytest.mark.parametrize("gradient", [True, False])
def test_evaluation(define, dtype, slope, gradient, full_graph):
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, -6e-8, -1.0, 2.0]
    array = define.array(special, dtype)
    g = define.array(np.arange(-4.5, 5.0), dtype)

    def function(x):
        return rrelu(x, slope, slope, False)

    static = paddle.jit.to_static(function, full_graph=full_graph)
    x = define.to_paddle(array)
    x.stop_gradient = not gradient
    mean = define.mean(dtype, slope, slope)
    y = static(x)
    define.assert_same(y, define.scaled(array, array, mean))
    if gradient:
        paddle.autograd.backward([y], [define.to_paddle(g)])
        define.assert_same(x.grad, define.scaled(array, g, mean))


@pytest.mark.parametrize("dtype", DTYPES)
def test_training_gradients_to_the_bit(define, dtype):
    special = [0.0, -0.0, np.nan, np.inf, -np.inf, 1e-45, -1e-45, -6e-8, -1.0, 2.0]
    array, g = define.array(special, dtype), define.array(np.arange(-4.5, 5.0), dtype)
    generator = Generator(7)

    def function(x):
        return rrelu(x, -0.7, 0.4, generator=generator)

    static = paddle.jit.to_static(function)
    x = define.to_paddle(array)
    x.stop_gradient = False
    y = static(x)
    slope = define.slopes(array.shape, dtype, -0.7, 0.4, 7, 0)
    define.assert_same(y, define.scaled(array, array, slope))
    paddle.autograd.backward([y], [define.to_paddle(g)])
    define.assert_same(x.grad, define.scaled(array, g, slope))


@both_ways
def test_training_steps(full_graph):
    def train(static):
        paddle.seed(3)
        rrelu_compat.manual_seed(4)
        net = paddle.nn.Sequential(
            paddle.nn.Linear(4, 8), RReLU(), paddle.nn.Linear(8, 8), RReLU(), paddle.nn.Linear(8, 1)
        )
        optimizer = paddle.optimizer.SGD(0.125, parameters=net.parameters())
        run = paddle.jit.to_static(net, full_graph=full_graph) if static else net
        losses = []
        for x in inputs("float32", (16, 4), count=5):
            loss = (run(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward()
            optimizer.step()
            optimizer.clear_grad()
            losses.append(loss.item())
        return losses

    np.testing.assert_allclose(train(True), train(False), rtol=1e-5)


def test_bounds_that_hash_alike_are_told_apart():
    assert hash(-1.0) == hash(-2.0)
    (x,) = inputs(count=1)

    def one(x):
        return rrelu(x, -1.0, -1.0)

    def two(x):
        return rrelu(x, -2.0, -2.0)

    for function in (one, two):
        static = paddle.jit.to_static(function, full_graph=True)
        assert bits(static(x)) == bits(function(x))


def test_in_place_warns_and_works_out_of_place():
    (x,) = inputs(count=1)
    before = bits(x)

    def function(x):
        return rrelu_(x, 0.5, 0.5)

    with pytest.warns(UserWarning, match="works out of place"):
        y = paddle.jit.to_static(function, full_graph=True)(x)
    assert bits(x) == before
    assert bits(y) == bits(rrelu(x, 0.5, 0.5))
