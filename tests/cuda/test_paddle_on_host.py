"""The CUDA route of the Paddle adapter on CPU tensors, its kernels run on the host by the stand-in."""

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute

from rrelu_compat import Generator, RReLUSpec, manual_seed
from rrelu_compat.backends.paddle import cuda, routes, seeds
from rrelu_compat.paddle import rrelu

DTYPES = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(autouse=True)
def as_if_cuda(machine, monkeypatch):
    machine.run = True
    monkeypatch.setattr(cuda, "device_of", lambda x: 1)
    monkeypatch.setattr(cuda, "stream_of", lambda device: 0x51)
    monkeypatch.setattr(cuda, "default_generator", lambda device: seeds.default_generator())


def train(x, lower=1 / 8, upper=1 / 3, *, generator=None, inplace=False, training=True):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "check_served", lambda x: False)
        return routes.apply(x, RReLUSpec(lower, upper, inplace), training, generator)


def numpy(x):
    return x.numpy().copy()


def tensor(array, dtype, stop_gradient=False):
    return paddle.to_tensor(array, stop_gradient=stop_gradient).astype(dtype).detach()


@pytest.fixture
def array():
    x = np.random.default_rng(1).normal(size=(4, 6, 5))
    x[0, 0, :4] = [0.0, -0.0, -np.inf, np.nan]
    return x


def same(a, b):
    return np.array_equal(numpy(a), numpy(b), equal_nan=a.dtype != paddle.bfloat16)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced", "0-d", "empty"])
def test_values_and_gradients_are_those_of_the_cpu(machine, array, dtype, training, layout):
    def view(x):
        if layout == "transposed":
            return x.transpose([2, 0, 1])
        index = {
            "contiguous": slice(None),
            "sliced": (slice(None), slice(1, None, 2)),
            "0-d": (1, 2, 3),
        }
        return x[:0] if layout == "empty" else x[index[layout]]

    results = []
    for function in (train, rrelu):
        x = tensor(array, dtype)
        x.stop_gradient = False
        y = function(view(x), -1.0, 2.0, generator=Generator(5, 2), training=training)
        (g,) = paddle.grad(y.sum() if dtype in DTYPES[2:] else y, x)
        results.append((y, g))
    (y, g), (expected, expected_g) = results
    assert y.shape == expected.shape
    assert same(y, expected)
    assert same(g, expected_g)
    assert {(launch.stream, launch.current) for launch in machine.launches} <= {(0x51, 1)}
    assert machine.launches or layout == "empty"


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place(array, dtype):
    results = []
    for function in (train, rrelu):
        x = tensor(array, dtype)
        x.stop_gradient = False
        h = x.reshape([-1])
        assert function(h, -0.5, -0.2, training=True, generator=Generator(5), inplace=True) is h
        (g,) = paddle.grad(h, x)
        results.append((h, g))
        with paddle.no_grad():
            h = tensor(array, dtype)
            version = h.inplace_version
            function(h, training=True, generator=Generator(5), inplace=True)
            assert h.inplace_version > version
    assert same(results[0][0], results[1][0])
    assert same(results[0][1], results[1][1])
    leaf = paddle.ones([3])
    leaf.stop_gradient = False
    with pytest.raises(ValueError, match="leaf"):
        train(leaf, inplace=True)


def test_sources(array):
    x = tensor(np.full(9, -1.0), "float32", True)
    paddle.seed(3)
    a = train(x)
    paddle.seed(3)
    assert same(a, rrelu(x))  # in this test the device's generator is the CPU's
    try:
        manual_seed(7)
        a = [train(x) for _ in range(2)]
        manual_seed(7)
        assert all(same(p, rrelu(x)) for p in a)
    finally:
        manual_seed(None)


def test_double_gradient_and_hooks(array):
    x = paddle.to_tensor(array[1])
    x.stop_gradient = False
    y = train(x, generator=Generator(1))
    y.register_hook(lambda g: g * 3)
    (first,) = paddle.grad(y, x, create_graph=True)
    z = rrelu(x.detach(), generator=Generator(1))
    slope = (z / x.detach()).numpy()
    np.testing.assert_allclose(first.numpy(), 3 * slope, rtol=1e-15)
    y = train(x, generator=Generator(1))
    g = paddle.ones_like(y)
    g.stop_gradient = False
    (first,) = paddle.grad(y, x, g, create_graph=True)
    (second,) = paddle.grad(first, g)
    np.testing.assert_allclose(second.numpy(), slope, rtol=1e-15)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_recomputation_repeats_the_slopes(array, reentrant, own):
    def gradient(recomputed):
        paddle.seed(5)
        generator = Generator(3) if own else None
        x = paddle.to_tensor(array[1])
        x.stop_gradient = False

        def segment(x):
            return train(train(x * 2, generator=generator) - 0.1, generator=generator)

        y = recompute(segment, x, use_reentrant=reentrant) if recomputed else segment(x)
        paddle.rand([3])
        y.square().sum().backward()
        return x.grad

    assert same(gradient(True), gradient(False))


def test_without_kernels(array, machine):
    x = paddle.to_tensor(array[1])
    x.stop_gradient = False
    y = train(x, generator=Generator(1))
    (g,) = paddle.grad(y, x)
    launches = len(machine.launches)
    machine.capability = (5, 2)
    cuda.kernels.missing.cache_clear()
    other = train(x, generator=Generator(1))
    (other_g,) = paddle.grad(other, x)
    assert len(machine.launches) == launches
    assert same(y, other)
    assert same(g, other_g)
    with pytest.raises(RuntimeError, match=r"needs the CUDA kernels: .*capability 5\.2"):
        train(x * 1, inplace=True)
