"""Backends by tensor, by name, by default; third-party backends; Paddle's torch proxy."""

import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import dispatch


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch):
    """Give each test a registry of its own."""
    for name, value in (
        ("_registered", {}),
        ("_by_type", {}),
        ("_broken", {}),
        ("_default", None),
        ("_points", []),
    ):
        monkeypatch.setattr(dispatch, name, value)
    monkeypatch.delenv("RRELU_COMPAT_BACKEND", raising=False)


class Boxed:
    """A tensor of a framework that nobody ships."""

    def __init__(self, value):
        self.value = value


class BoxBackend:
    """The smallest backend."""

    name = "box"

    def is_tensor(self, x):
        return isinstance(x, Boxed)

    def apply(self, x, spec, *, training, generator):
        return Boxed(spec.apply(x.value, training=training, generator=generator))

    def layer(self, spec, generator):
        return ("layer", spec, generator)

    def info(self):
        return {"version": "1", "devices": ["cpu"], "dtypes": ["float32"]}


def run(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_each_tensor_finds_its_backend():
    import paddle
    import torch

    class Array(np.ndarray):
        pass

    class Tensor(torch.Tensor):
        pass

    for x, name in (
        (np.ones(2), "numpy"),
        (np.ones(2).view(Array), "numpy"),
        (torch.ones(2), "torch"),
        (torch.nn.Parameter(torch.ones(2)), "torch"),
        (torch.ones(2).as_subclass(Tensor), "torch"),
        (paddle.ones([2]), "paddle"),
        (paddle.create_parameter([2], "float32"), "paddle"),
    ):
        assert dispatch.backend_of(x).name == name


@pytest.mark.parametrize("x", [[1.0], 1.0, "text", None, np.float32(1), object()])
def test_what_is_no_tensor_is_a_type_error(x):
    with pytest.raises(TypeError, match="numpy, torch, paddle"):
        rrelu_compat.rrelu(x, training=True)
    with pytest.raises(TypeError):
        rrelu_compat.RReLUSpec().apply(x, training=True)


def test_array_likes_are_told_where_they_are_taken():
    with pytest.raises(TypeError, match=r"rrelu_compat\.numpy\.rrelu takes array-likes"):
        rrelu_compat.rrelu([1.0], training=True)


def test_a_registered_backend_is_dispatched_to():
    with pytest.raises(TypeError):
        rrelu_compat.rrelu(Boxed(np.ones(2)), training=False)
    backend = BoxBackend()
    assert isinstance(backend, rrelu_compat.Backend)
    rrelu_compat.register_backend(backend)
    y = rrelu_compat.rrelu(Boxed(np.array([-1.0])), 0.5, 0.5, training=False)
    assert y.value.tolist() == [-0.5]
    assert "box" in rrelu_compat.available_backends()
    assert rrelu_compat.RReLU(0.1, 0.2, backend="box", generator=7)[2] == 7


def test_a_duplicate_or_incomplete_backend_is_refused():
    rrelu_compat.register_backend(BoxBackend())
    with pytest.raises(ValueError, match="must be new, got 'box'"):
        rrelu_compat.register_backend(BoxBackend())
    for name in ("torch", "numpy"):
        backend = BoxBackend()
        backend.name = name
        with pytest.raises(ValueError, match="must be new"):
            rrelu_compat.register_backend(backend)
    with pytest.raises(TypeError, match="without apply, layer, info"):
        rrelu_compat.register_backend(type("Half", (), {"name": "h", "is_tensor": None})())
    backend = BoxBackend()
    backend.name = ""
    with pytest.raises(TypeError, match="not empty"):
        rrelu_compat.register_backend(backend)


def test_registering_from_many_threads_admits_one():
    refused, barrier = [], threading.Barrier(8)

    def register():
        barrier.wait()
        try:
            rrelu_compat.register_backend(BoxBackend())
        except ValueError as error:
            refused.append(error)

    threads = [threading.Thread(target=register) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 7


class Point:
    """A stand-in for an installed entry point."""

    value = "somewhere:backend"

    def __init__(self, name, load, packages=()):
        self.name = name
        self.extras = packages
        self.load = load


def test_a_broken_entry_point_is_reported_and_does_not_break_the_rest(monkeypatch):
    def broken():
        raise ImportError("no such thing")

    def listed(group):
        assert group == "rrelu_compat.backends"
        return [Point("broken", broken), Point("misnamed", BoxBackend), Point("box", BoxBackend)]

    monkeypatch.setattr("importlib.metadata.entry_points", listed)
    monkeypatch.setattr(dispatch, "_points", None)
    with pytest.warns(RuntimeWarning, match="'broken'.*no such thing"):
        assert set(dispatch.broken_backends()) == {"broken", "misnamed"}
    names = rrelu_compat.available_backends()
    assert "box" in names
    assert "broken" not in names
    with pytest.raises(ValueError, match="backend='broken'"):
        rrelu_compat.RReLU(backend="broken")


def test_an_entry_point_is_loaded_for_tensors_of_its_package_alone(monkeypatch):
    loaded = []

    class Alien:
        __module__ = None

    def load():
        loaded.append("alien")
        return BoxBackend()

    monkeypatch.setattr(dispatch, "_points", [Point("box", load, ["alienlib"])])
    assert "box" in rrelu_compat.available_backends()
    with pytest.raises(TypeError, match="x must be a tensor"):
        rrelu_compat.rrelu(Alien(), training=True)  # a class without a module's name, too
    assert loaded == []
    monkeypatch.setattr(Boxed, "__module__", "alienlib.tensors")
    y = rrelu_compat.rrelu(Boxed(np.array([-1.0])), 0.5, 0.5, training=False)
    assert loaded == ["alien"]
    assert y.value.tolist() == [-0.5]


def test_a_backend_is_loaded_by_name(monkeypatch):
    monkeypatch.setattr(dispatch, "_points", [Point("box", BoxBackend, ["alienlib"])])
    assert rrelu_compat.RReLU(0.1, 0.2, backend="box", generator=7)[2] == 7


def test_a_slow_import_that_registers_itself_does_not_lock(tmp_path):
    # The import of one thread registers a backend; another thread loads the same entry point meanwhile.
    (tmp_path / "slow_rrelu.py").write_text(SLOW)
    information = tmp_path / "slow_rrelu-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: slow-rrelu\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[rrelu_compat.backends]\nslow = slow_rrelu:backend\n"
    )
    result = run(
        """
        import faulthandler, threading, time, rrelu_compat
        faulthandler.dump_traceback_later(30, exit=True)
        thread = threading.Thread(target=lambda: __import__("slow_rrelu"))
        thread.start()
        time.sleep(0.1)
        try:
            rrelu_compat.rrelu(object(), training=True)
        except TypeError as error:
            print("slow" in str(error), "other" in str(error))
        thread.join()
        """,
        PYTHONPATH=str(tmp_path),
    )
    assert result.stdout == "True True\n", result.stderr


SLOW = """
import time
time.sleep(0.5)
import rrelu_compat
class Other:
    name = "other"
    def is_tensor(self, x): return False
    def apply(self, *a, **k): ...
    def layer(self, *a): ...
    def info(self): return {}
rrelu_compat.register_backend(Other())
class Slow(Other): name = "slow"
backend = Slow()
"""


def test_default_backend_by_call_then_environment(monkeypatch):
    monkeypatch.setenv("RRELU_COMPAT_BACKEND", "numpy")
    assert dispatch.default_backend() == "numpy"
    rrelu_compat.set_default_backend("paddle")
    assert dispatch.default_backend() == "paddle"
    rrelu_compat.set_default_backend(None)
    assert dispatch.default_backend() == "numpy"
    monkeypatch.setenv("RRELU_COMPAT_BACKEND", "jax")
    with pytest.raises(
        ValueError,
        match=r"RRELU_COMPAT_BACKEND must be one of numpy.*got RRELU_COMPAT_BACKEND='jax'",
    ):
        rrelu_compat.RReLU()


@pytest.mark.parametrize("name", ["jax", 3, ""])
def test_an_unknown_default_is_refused(name):
    with pytest.raises(ValueError, match="must be one of numpy, torch, paddle"):
        rrelu_compat.set_default_backend(name)
    with pytest.raises(ValueError, match="must be one of numpy, torch, paddle"):
        rrelu_compat.RReLU(backend=name)


def test_the_imported_framework_decides_and_two_are_an_error_that_says_what_to_do():
    import paddle  # noqa: F401
    import torch  # noqa: F401

    with pytest.raises(RuntimeError, match=r'both .*rrelu_compat\.set_default_backend\("torch"\)'):
        rrelu_compat.RReLU()
    for framework in ("torch", "paddle"):
        code = f"import {framework}, rrelu_compat; print(type(rrelu_compat.RReLU()).__mro__)"
        out = run(code)
        assert f"<class '{framework}" in out.stdout, out.stderr
    assert "PlainRReLU" in run("import rrelu_compat as r; print(type(r.RReLU()))").stdout


def test_a_missing_framework_names_the_install_command(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr(dispatch, "_built_in", {})
    monkeypatch.setattr(dispatch.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'rrelu-compat\[torch\]'"):
        rrelu_compat.RReLU(backend="torch")


@pytest.mark.parametrize(
    "code",
    [
        "import paddle; paddle.enable_compat(); import rrelu_compat, numpy",
        "import rrelu_compat, paddle, numpy; paddle.enable_compat()",
        "import rrelu_compat, paddle, numpy; paddle.enable_compat(); import torch",
        "import torch, rrelu_compat, paddle, numpy; paddle.enable_compat(); import torch",
    ],
)
def test_paddles_torch_proxy_is_recognised(code):
    code = f"""
        {code}
        x = paddle.to_tensor([-1.0, 2.0])
        assert rrelu_compat.rrelu(x, 0.5, 0.5, training=False).tolist() == [-0.5, 2.0]
        assert rrelu_compat.rrelu(numpy.ones(2), training=True).tolist() == [1, 1]
        assert "torch" not in rrelu_compat.available_backends()
        assert type(rrelu_compat.RReLU()).__module__ == "rrelu_compat.paddle"
        attempts = (
            lambda: rrelu_compat.RReLU(backend="torch"), lambda: __import__("rrelu_compat.torch")
        )
        for attempt in attempts:
            try:
                attempt()
            except RuntimeError as error:
                assert "paddle.enable_compat() is active" in str(error), error
            else:
                raise SystemExit("no error")
        print("fine")
    """
    out = run(code)
    assert out.stdout.strip() == "fine", out.stderr
