"""Eager Paddle tensors: values, gradients, hooks, layouts."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest
from paddle_numbers import backward, input_of, numbers

import rrelu_compat
from rrelu_compat import Generator, RReLUSpec
from rrelu_compat.backends.paddle.backend import backend
from rrelu_compat.paddle import RReLU, rrelu

DTYPES = ("float16", "bfloat16", "float32", "float64")

FULL = ("float32", "float64")

BOUNDS = [(1 / 8, 1 / 3), (-0.7, 0.4), (-2.0, -1.0), (1.5, 3.0), (0.25, 0.25), (0.0, 0.0)]

SPECIAL = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, -1e-45, -6e-8, -1.0, 2.0, -3e4, 5e-324]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("shape", [(), (0, 3), (7,), (3, 5, 2)])
def test_values_and_gradients(define, dtype, bounds, training, inplace, shape):
    lower, upper = bounds
    array, g = numbers(define, dtype, shape), numbers(define, dtype, shape, 1)
    if array.size > 12:
        array.reshape(-1)[:12] = define.array(SPECIAL, dtype)
    x = input_of(define, array)
    h = paddle.assign(x)
    y = rrelu(h, lower, upper, training, inplace=inplace, generator=Generator(9, 4))
    slope = (
        define.slopes(shape, dtype, lower, upper, 9, 4)
        if training
        else define.mean(dtype, lower, upper)
    )
    assert (y is h) == inplace
    define.assert_same(y, define.scaled(array, array, slope))
    backward(y, define.to_paddle(g))
    define.assert_same(x.grad, define.scaled(array, g, slope))


@pytest.mark.parametrize("slope", [0.2, 1.0, 1.75, -0.5, -1.0, -3.0, 1e-30, 1e-50, 0.0, 1e30])
@pytest.mark.parametrize("dtype", DTYPES)
def test_evaluation_without_gradient_gives_the_same_bits(define, dtype, slope):
    array = np.concatenate([define.array(SPECIAL, dtype), numbers(define, dtype, 300)])
    expected = define.scaled(array, array, define.mean(dtype, slope, slope))
    define.assert_same(rrelu(define.to_paddle(array), slope, slope, False), expected)
    x = input_of(define, array)
    define.assert_same(rrelu(x, slope, slope, False), expected)
    with paddle.no_grad():
        define.assert_same(rrelu(x, slope, slope, False), expected)


def test_evaluation_is_leaky_relu_only_without_a_gradient(monkeypatch):
    calls = []
    native = paddle._C_ops.leaky_relu
    monkeypatch.setattr(paddle._C_ops, "leaky_relu", lambda *a: calls.append(a) or native(*a))
    x = paddle.randn([4])
    rrelu(x, training=False)
    assert len(calls) == 1
    x.stop_gradient = False
    rrelu(x, training=False)
    rrelu(x.detach().astype("float16"), training=False)
    rrelu(x.detach(), -0.5, 0.5, training=False)
    assert len(calls) == 1


@pytest.mark.parametrize("training", [True, False])
def test_gradient_is_one_at_zero_and_the_slope_at_nan(define, training):
    x = paddle.to_tensor([0.0, -0.0, math.nan], stop_gradient=False)
    y = rrelu(x, 0.25, 0.25, training)
    backward(y, paddle.ones([3]))
    assert x.grad.tolist() == [1.0, 1.0, 0.25]


@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize("dtype", FULL)
def test_double_and_triple_gradient(dtype, inplace):
    x = paddle.to_tensor([-1.0, -2.0, 3.0, 0.0], dtype=dtype, stop_gradient=False)
    a = rrelu_compat.slopes(4, 0.1, 0.9, seed=3, dtype=dtype)
    m = np.where(x.numpy() >= 0, 1, a)
    y = rrelu(paddle.assign(x), 0.1, 0.9, inplace=inplace, generator=Generator(3))
    (first,) = paddle.grad((y * y * y * y).sum(), x, create_graph=True)
    (second,) = paddle.grad(first.sum(), x, create_graph=True)
    (third,) = paddle.grad(second.sum(), x)
    tolerance = {"rtol": 1e-5 if dtype == "float32" else 1e-13}
    np.testing.assert_allclose(first.numpy(), 4 * m**4 * x.numpy() ** 3, **tolerance)
    np.testing.assert_allclose(second.numpy(), 12 * m**4 * x.numpy() ** 2, **tolerance)
    np.testing.assert_allclose(third.numpy(), 24 * m**4 * x.numpy(), **tolerance)


def test_gradient_penalty_reaches_the_weights():
    w = paddle.to_tensor([[0.5, -1.5], [2.0, 0.25]], dtype="float64", stop_gradient=False)
    x = paddle.to_tensor([[1.0, -2.0]], dtype="float64", stop_gradient=False)

    def penalty(weight):
        y = rrelu(paddle.matmul(x, weight), 0.1, 0.9, generator=Generator(1))
        (g,) = paddle.grad(y.sum(), x, create_graph=True)
        return (g * g).sum()

    (got,) = paddle.grad(penalty(w), w)
    step = 1e-6
    for index in np.ndindex(2, 2):
        shift = np.zeros((2, 2))
        shift[index] = step
        high, low = (
            penalty(paddle.to_tensor(w.numpy() + s * shift, stop_gradient=False)).item()
            for s in (1, -1)
        )
        assert got.numpy()[index] == pytest.approx((high - low) / (2 * step), rel=1e-6)


def test_jacobian_hessian_vjp_jvp():
    x = paddle.to_tensor([-1.0, 2.0, -3.0], stop_gradient=False)
    jacobian = paddle.autograd.jacobian(rrelu(x * x - 2, 0.5, 0.5), x)[:]
    assert jacobian.tolist() == [[-1.0, 0, 0], [0, 4, 0], [0, 0, -6]]
    hessian = paddle.autograd.hessian((rrelu(x, 0.5, 0.5) ** 3).sum(), x)[:]
    assert hessian.tolist() == [[-0.75, 0, 0], [0, 12, 0], [0, 0, -2.25]]
    for transform in (paddle.incubate.autograd.vjp, paddle.incubate.autograd.jvp):
        y, g = transform(lambda t: rrelu(t, 0.5, 0.5), x)
        assert (y.tolist(), g.tolist()) == ([-0.5, 2.0, -1.5], [0.5, 1.0, 0.5])


@pytest.mark.parametrize("inplace", [True, False])
def test_hooks_on_the_result_change_the_gradient(inplace):
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    y = rrelu(x * 1.0, 0.5, 0.5, inplace=inplace)
    seen = []
    y.register_hook(lambda g: (seen.append(g.tolist()), g * 3)[1])
    y.sum().backward()
    assert seen == [[1.0, 1.0]]
    assert x.grad.tolist() == [1.5, 3.0]


@pytest.mark.parametrize("inplace", [True, False])
def test_result_keeps_its_gradient_on_demand(inplace):
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    y = rrelu(x * 1.0, 0.5, 0.5, inplace=inplace)
    y.retain_grads()
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2.0, 2.0]
    assert x.grad.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("inplace", [True, False])
def test_two_backwards_over_a_retained_graph(inplace):
    x = paddle.to_tensor([-1.0, 2.0, -3.0], stop_gradient=False)
    loss = rrelu(x * 1.0, 0.1, 0.9, inplace=inplace).sum()
    loss.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    loss.backward()
    assert np.array_equal(x.grad.numpy(), first * 2)


def test_two_losses_share_one_graph():
    x = paddle.to_tensor([-1.0, 2.0, -3.0], stop_gradient=False)
    y = rrelu(x, 0.1, 0.9)
    slope = (y / x).numpy()
    paddle.autograd.backward([y.sum(), (2 * y).sum()])
    np.testing.assert_allclose(x.grad.numpy(), 3 * slope, rtol=1e-6)


def test_gradients_of_other_layouts(define):
    array = numbers(define, "float32", (4, 3))
    g = numbers(define, "float32", (3, 4))
    x = input_of(define, array)
    y = rrelu(x, generator=Generator(5))
    backward(y.t(), define.to_paddle(g))  # arrives transposed, strides [1, 3]
    slope = define.slopes((4, 3), "float32", 1 / 8, 1 / 3, 5, 0)
    define.assert_same(x.grad, define.scaled(array, g.T, slope))


def test_hook_takes_gradients_of_any_layout_and_dtype(define):
    """Paddle's own node makes them contiguous; the hook does not count on it."""
    from rrelu_compat.backends.paddle import cpu
    from rrelu_compat.backends.paddle.nodes import _Gradient

    g = numbers(define, "float32", (3, 4))
    hook = _Gradient(cpu, paddle.ones([12]), 2, (5, 0, 0.1, 0.9))  # no bit set: all sloped
    slope = define.slopes((4, 3), "float32", 0.1, 0.9, 5, 0)
    negative = np.full((4, 3), -1)
    transposed = define.to_paddle(g).t()
    assert not transposed.is_contiguous()
    define.assert_same(hook(transposed), define.scaled(negative, g.T, slope))
    wide = define.to_paddle(g.astype("float64")).t()
    define.assert_same(hook(wide), define.scaled(negative, g.T, slope))


def test_input_changed_after_the_forward_does_no_harm():
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    h = x * 1.0
    y = rrelu(h, 0.5, 0.5)
    with paddle.no_grad():
        h.fill_(7.0)
    assert y.tolist() == [-0.5, 2.0]
    y.sum().backward()
    assert x.grad.tolist() == [0.5, 1.0]


def test_result_changed_after_the_forward_does_no_harm():
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    y = rrelu(x, 0.5, 0.5)
    y.add_(paddle.to_tensor(10.0))
    y.sum().backward()
    assert x.grad.tolist() == [0.5, 1.0]
    assert x.tolist() == [-1.0, 2.0]


def test_result_changed_after_the_forward_is_no_change_of_the_input():
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    h = x * 1.0
    square = h * h  # keeps h
    y = rrelu(h, 0.5, 0.5)
    y.add_(paddle.to_tensor(10.0))
    assert h.inplace_version == 0
    (square.sum() + y.sum()).backward()
    assert x.grad.tolist() == [-1.5, 5.0]


def test_one_bit_per_element_is_kept():
    from rrelu_compat.backends.paddle import nodes

    kept = []
    original = nodes._Gradient
    try:
        nodes._Gradient = lambda *a: kept.append(original(*a)) or kept[-1]
        x = paddle.randn([10000])
        x.stop_gradient = False
        rrelu(x)
    finally:
        nodes._Gradient = original
    assert len(bytes(kept[0]._bits)) == 1250
    assert set(original.__slots__) == {"_bits", "_code", "_key", "_run", "address"}


def test_graph_does_not_keep_the_input_alive():
    import gc
    import weakref

    h = paddle.randn([3]) * 1.0
    h.stop_gradient = False
    y = rrelu(h)
    ref = weakref.ref(h)
    del h
    gc.collect()
    assert ref() is None
    del y


@pytest.mark.filterwarnings("ignore:amp_guard can only")
@pytest.mark.parametrize("static", [True, False])
@pytest.mark.parametrize("level", ["O1", "O2"])
def test_amp_changes_nothing_on_the_cpu(define, level, static):
    """Neither results nor gradients nor the step, with `auto_cast`, `decorate` and `GradScaler`."""
    results = []
    for mixed in (False, True):
        paddle.seed(1)
        rrelu_compat.manual_seed(1)
        net = paddle.nn.Sequential(paddle.nn.Linear(5, 5), RReLU(0.1, 0.9), paddle.nn.Linear(5, 1))
        optimizer = paddle.optimizer.SGD(0.125, parameters=net.parameters())
        if mixed:
            net, optimizer = paddle.amp.decorate(net, optimizer, level=level)
        scaler = paddle.amp.GradScaler(enable=mixed, init_loss_scaling=4.0)
        run = paddle.jit.to_static(net, full_graph=True) if static else net
        with paddle.amp.auto_cast(enable=mixed, level=level):
            y = run(define.to_paddle(numbers(define, "float32", (4, 5))))
        scaler.scale(y.sum()).backward()
        scaler.step(optimizer)
        results.append((y, net[0].weight, net[0].bias))
    for plain, mixed in zip(*results, strict=True):
        define.assert_same(mixed, plain.numpy())


def test_no_grad_records_nothing():
    x = paddle.to_tensor([-1.0], stop_gradient=False)
    with paddle.no_grad():
        assert rrelu(x).stop_gradient
    assert not rrelu(x).stop_gradient


def test_spec_and_neutral_functions_reach_the_same_operation():
    x = paddle.to_tensor([-1.0, 2.0])
    spec = RReLUSpec(0.5, 0.5)
    assert spec.apply(x, training=True).tolist() == [-0.5, 2.0]
    assert rrelu_compat.rrelu(x, 0.5, 0.5, training=False).tolist() == [-0.5, 2.0]
    assert isinstance(spec.layer("paddle"), RReLU)
    assert backend.is_tensor(x)
    assert not backend.is_tensor(x.numpy())
    assert backend.info()["version"] == paddle.__version__
