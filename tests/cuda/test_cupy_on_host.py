"""The CuPy adapter with a stand-in for CuPy over host memory, its kernels run on the host.

What is not tested here is CuPy itself: its allocator, streams and random generators.
"""

import contextlib
import importlib
import sys
import types

import ml_dtypes  # noqa: F401  (gives NumPy its bfloat16)
import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import DTypeError, Generator, dispatch, kernels
from rrelu_compat import numpy as ours
from rrelu_compat.conformance import check_subject
from rrelu_compat.conformance.results import succeeded
from rrelu_compat.kernels import cuda as cuda_kernels

DTYPES = ["float16", "bfloat16", "float32", "float64"]
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")

SUBJECT = "rrelu_compat.conformance.subjects.cupy_subject"
MODULES = ("cupy", "rrelu_compat.cupy", "rrelu_compat.backends.cupy.backend", SUBJECT)


class Device(contextlib.nullcontext):
    id = 1


class ndarray(np.ndarray):
    """NumPy memory with the attributes of ``cupy.ndarray`` that the adapter reads."""

    @property
    def data(self):
        return types.SimpleNamespace(ptr=self.__array_interface__["data"][0])

    @property
    def device(self):
        return Device()

    def get(self):
        return np.array(self)


class RandomState:
    def __init__(self, seed):
        self.numpy = np.random.default_rng(seed)

    def randint(self, low, high, size, dtype):
        assert (low, high, size, dtype) == (0, 2**32, 4, np.uint32)
        return self.numpy.integers(low, high, size, dtype).view(ndarray)


class CuPyGenerator(RandomState):
    def integers(self, low, high, size, dtype, endpoint):
        assert endpoint
        return self.randint(low, high + 1, size, dtype)


def fake_cupy():
    def made(function):
        return lambda *args, **keywords: function(*args, **keywords).view(ndarray)

    module = types.ModuleType("cupy")
    module.__version__ = "0 (stand-in)"
    module.ndarray = ndarray
    for name in ("empty", "empty_like", "ones", "asarray", "where"):
        setattr(module, name, made(getattr(np, name)))
    module.lib = types.SimpleNamespace(
        stride_tricks=types.SimpleNamespace(as_strided=made(np.lib.stride_tricks.as_strided))
    )
    module.default = RandomState(0)
    module.random = types.SimpleNamespace(
        RandomState=RandomState,
        Generator=CuPyGenerator,
        get_random_state=lambda: module.default,
        seed=lambda n: setattr(module, "default", RandomState(n)),
    )
    module.cuda = types.SimpleNamespace(
        get_current_stream=lambda: types.SimpleNamespace(ptr=0x33),
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 2),
    )
    return module


@pytest.fixture
def cupy(machine, monkeypatch):
    machine.run = True
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy())
    # Dispatch remembers the backend that the last test imported.
    monkeypatch.setattr(dispatch, "_by_type", {})
    monkeypatch.setattr(dispatch, "_built_in", {})
    yield importlib.import_module("rrelu_compat.cupy")
    for name in MODULES:
        sys.modules.pop(name, None)


def sample(dtype):
    x = np.random.default_rng(1).normal(size=(4, 6, 5))
    x[0, 0, :4] = [0.0, -0.0, -np.inf, np.nan]
    return x.astype(dtype)


LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(2, 0, 1),
    "sliced": lambda x: x[:, ::-2, 1:],
    "0-d": lambda x: x[1, 2, 3:4].reshape(()),
    "empty": lambda x: x[:0],
    "misaligned": lambda x: np.frombuffer(b"." + x.tobytes(), x.dtype, offset=1).reshape(x.shape),
}


def same(a, b):
    raw = f"u{a.dtype.itemsize}"
    a, b = np.array(a), np.array(b)
    with np.errstate(invalid="ignore"):
        return a.dtype == b.dtype and bool(
            ((a.view(raw) == b.view(raw)) | (np.isnan(a) & np.isnan(b))).all()
        )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("with_kernels", [True, False])
def test_values_and_gradients_are_numpys(cupy, machine, layout, dtype, training, with_kernels):
    if not with_kernels:
        machine.capability = (5, 2)
        cuda_kernels.missing.cache_clear()
    x = LAYOUTS[layout](sample(dtype))
    g = sample(dtype)[::-1].reshape(-1)[: x.size].reshape(x.shape)
    y, vjp = cupy.rrelu_vjp(
        x.view(ndarray), -1.0, 2.0, training=training, generator=Generator(2, 7)
    )
    expected, pull = ours.rrelu_vjp(x, -1.0, 2.0, training=training, generator=Generator(2, 7))
    assert type(y) is ndarray
    assert y.strides == expected.strides
    assert same(y, expected)
    for gradient in (g, g.copy(order="F")):
        assert same(vjp(gradient.view(ndarray)), pull(gradient))
    assert bool(machine.launches) == (with_kernels and layout != "empty")
    assert all((one.stream, one.current) == (0x33, 1) for one in machine.launches)
    if layout != "misaligned":
        x = x.copy()
        z = x.view(ndarray)
        assert cupy.rrelu_(z, training=training, generator=Generator(2)) is z
        assert same(
            z, ours.rrelu(LAYOUTS[layout](sample(dtype)), training=training, generator=Generator(2))
        )


def test_sources(cupy):
    module = sys.modules["cupy"]
    x = np.full(6, -1.0, np.float32).view(ndarray)

    def slopes_of(words):
        seed, call = words.view(np.uint64)
        return -rrelu_compat.slopes(6, seed=int(seed), call=int(call))

    def words(seed):
        return np.random.default_rng(seed).integers(0, 2**32, 4, np.uint32)

    module.default = RandomState(5)
    assert same(cupy.rrelu(x, training=True), slopes_of(words(5)))
    assert same(cupy.rrelu(x, training=True, generator=RandomState(6)), slopes_of(words(6)))
    assert same(cupy.rrelu(x, training=True, generator=CuPyGenerator(7)), slopes_of(words(7)))
    try:
        rrelu_compat.manual_seed(3)
        assert same(cupy.rrelu(x, training=True), -rrelu_compat.slopes(6, seed=3))
    finally:
        rrelu_compat.manual_seed(None)
    with pytest.raises(TypeError, match="generator=5"):
        cupy.rrelu(x, training=True, generator=5)


def test_refusals(cupy):
    x = np.full((3, 1), -1.0).view(ndarray)
    with pytest.raises(DTypeError):
        cupy.rrelu(x.astype(np.int32), training=True)
    with pytest.raises(TypeError, match="training=1"):
        cupy.rrelu(x, training=1)
    with pytest.raises(ValueError, match="overlap itself"):
        cupy.rrelu_(np.broadcast_to(x, (3, 4)).view(ndarray), training=True)
    _, vjp = cupy.rrelu_vjp(x, training=True)
    with pytest.raises(ValueError, match="dtype of the output"):
        vjp(x[:2])


def test_the_backend_is_found_by_the_type_of_an_array(cupy):
    assert "cupy" in dispatch.known_backends()
    backend = dispatch.get_backend("cupy")
    assert backend.name == "cupy"
    assert isinstance(backend, dispatch.Backend)
    report = backend.info()
    assert report["devices"] == ["cuda:0", "cuda:1"]
    assert report["kernels"]["cuda"].startswith("cuda (NVRTC")
    assert report["dtypes"] == list(kernels.DTYPES)
    layer = backend.layer(rrelu_compat.RReLUSpec(0.1, 0.3), Generator(1))
    assert isinstance(layer, rrelu_compat.RReLU)


def test_without_cupy_the_cure_is_named(monkeypatch):
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(dispatch, "_built_in", {})
    with pytest.raises(ModuleNotFoundError, match="cupy"):
        dispatch.get_backend("cupy")


@pytest.fixture
def without_kernels(machine):
    machine.capability = (5, 2)
    cuda_kernels.missing.cache_clear()


def test_the_conformance_run(cupy, without_kernels):
    results = check_subject("cupy", max_examples=2)
    assert [f"{r.outcome} {r.id}: {r.message}" for r in results if r.bad] == []
    assert succeeded(results)
    assert sum(r.examples > 0 for r in results) > 800


# All but what needs large arrays: lanes of a warp as coroutines are slow.
WITH_KERNELS = {
    "checks": [
        "dtypes.*",
        "forward.*",
        "evaluation.*",
        "bounds.*",
        "special.*",
        "layout.*",
        "inplace.*",
        "gradient.*",
        "portable.[!l]*",
        "layer.*",
        "errors.*",
    ]
}


def test_the_conformance_run_on_the_kernels(cupy, machine):
    results = check_subject("cupy", max_examples=1, **WITH_KERNELS)
    assert [f"{r.outcome} {r.id}: {r.message}" for r in results if r.bad] == []
    assert succeeded(results)
    assert sum(r.examples > 0 for r in results) > 500
    assert machine.launches


def test_a_shifted_stream_fails_the_conformance_run(cupy, monkeypatch):
    forward = cuda_kernels.forward_strided

    def shifted(*arguments):
        forward(*arguments[:11], arguments[11] + 4, *arguments[12:])

    monkeypatch.setattr(cuda_kernels, "forward_strided", shifted)
    assert any(r.bad for r in check_subject("cupy", max_examples=1, checks=["portable.forward"]))
