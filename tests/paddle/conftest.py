"""What the Paddle tests share: the definition in plain NumPy, and conversions that keep every bit."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import paddle
import pytest

import rrelu_compat
from rrelu_compat import slopes

# Modules that several tests of this folder share.
sys.path.insert(0, str(Path(__file__).parent))

ROOT = Path(__file__).resolve().parents[2]
# What an older Paddle can't do is refused by name and version: a test that meets this is an expected failure.
REFUSED = re.compile(rf"[^:\n]+ needs .*Paddle {re.escape(paddle.__version__)} does not have")
OLDER = tuple(map(int, paddle.__version__.split(".")[:2])) < (3, 3)

NUMPY_DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}


class Definition:
    """RReLU written down once more, without any kernel."""

    dtypes = tuple(NUMPY_DTYPES)

    @staticmethod
    def slopes(shape: Any, dtype: str, lower: float, upper: float, seed: int, call: int) -> Any:
        """The slopes of a training call, in the compute dtype."""
        compute = "float64" if dtype == "float64" else "float32"
        return slopes(tuple(shape), lower, upper, seed=seed, call=call, dtype=compute)

    @staticmethod
    def mean(dtype: str, lower: float, upper: float) -> Any:
        """The slope of evaluation, in the compute dtype."""
        return (np.float64 if dtype == "float64" else np.float32)((lower + upper) / 2)

    @staticmethod
    def scaled(x: Any, v: Any, slope: Any) -> Any:
        """`v` where `x` >= 0, else ``slope * v`` rounded to the dtype (forward: v is x; gradient: g)."""
        with np.errstate(all="ignore"):
            product = (v.astype(np.asarray(slope).dtype) * slope).astype(v.dtype)
            return np.where(np.asarray(x) >= 0, v, product)

    @staticmethod
    def to_paddle(array: Any) -> Any:
        """A contiguous Paddle tensor with the bits of `array`."""
        array = np.ascontiguousarray(array).reshape(array.shape)
        # Paddle reads uint16 as bfloat16.
        return paddle.to_tensor(array.view(np.uint16) if array.dtype.name == "bfloat16" else array)

    @staticmethod
    def to_numpy(tensor: Any) -> Any:
        """An array with the bits of `tensor`."""
        array = tensor.numpy()
        return array.view(ml_dtypes.bfloat16) if array.dtype == np.uint16 else array

    @staticmethod
    def array(values: Any, dtype: str) -> Any:
        """An array of one of the four dtypes."""
        return np.asarray(values).astype(NUMPY_DTYPES[dtype])

    @classmethod
    def assert_same(cls, actual: Any, expected: Any) -> None:
        """The same shape, dtype and bits; any NaN equals any NaN."""
        if isinstance(actual, paddle.Tensor):
            actual = cls.to_numpy(actual)
        expected = np.asarray(expected)
        assert actual.dtype == expected.dtype
        assert actual.shape == expected.shape
        with np.errstate(invalid="ignore"):
            nan = np.isnan(expected)
            assert np.array_equal(np.isnan(actual), nan)
        unsigned = np.dtype(f"u{actual.dtype.itemsize}")
        same = np.ascontiguousarray(actual).view(unsigned) == np.ascontiguousarray(expected).view(
            unsigned
        )
        assert np.all(same | nan), (actual[~same], expected[~same])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: Any, call: Any) -> Any:
    report = yield
    if OLDER and call.excinfo is not None and report.failed:
        found = REFUSED.search(str(call.excinfo.value))
        if found is not None:
            report.outcome, report.wasxfail = "skipped", found[0].strip()
    return report


@pytest.fixture(scope="session")
def define() -> type[Definition]:
    return Definition


@pytest.fixture(autouse=True)
def _clean() -> Any:
    """Every test starts from the same default generator, with no process-wide stream."""
    rrelu_compat.manual_seed(None)
    paddle.seed(2024)
    yield
    rrelu_compat.manual_seed(None)
    # Paddle leaves gradients disabled when a recomputation in a backward raises.
    paddle.base.framework._dygraph_tracer()._has_grad = True
    if OLDER and "paddle_programs" in sys.modules:
        # Paddle leaves a layer's forward changed when tracing it was refused.
        vars(sys.modules["paddle_programs"].act).pop("forward", None)


@pytest.fixture
def run_python(tmp_path: Path) -> Any:
    """Run a script in a process of its own and return what it prints; fails if the process fails."""

    def run(code: str, **environment: str) -> str:
        script = tmp_path / "script.py"
        script.write_text(code)
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            timeout=300,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": path, **environment},
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run
