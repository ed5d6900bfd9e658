"""Which path is in use, and how to force one."""

import os
import pathlib
import platform
import subprocess
import sys

import pytest

from rrelu_compat import kernels

ALL = ("avx512", "avx2", "c")


def python(code, model, **extra):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=model.environment(**extra),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def processor_flags():
    """The instruction sets that the operating system reports."""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return set(line.split(":")[1].split())
    return set()


def test_extension_is_built(model):
    """Only who forces NumPy may go without it: a build that failed must be seen."""
    assert model._cpu is not None or os.environ.get("RRELU_COMPAT_KERNEL") == "numpy"


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64") or not os.path.exists("/proc/cpuinfo"),
    reason="the flags of an x86 processor under Linux are compared",
)
def test_usable_paths_are_those_of_the_processor(model):
    flags = processor_flags()
    expected = ["c"]
    if {"avx2", "f16c"} <= flags:
        expected.insert(0, "avx2")
    if {"avx512f", "avx512bw", "avx512vl"} <= flags:
        expected.insert(0, "avx512")
    assert model._cpu.usable_paths() == expected


def test_fastest_is_the_default(model):
    code = "from rrelu_compat import kernels; print(kernels.path())"
    assert python(code, model).stdout.strip() == model.PATHS[0]


@pytest.mark.parametrize("name", [*ALL, "numpy"])
def test_forced(model, name):
    """The forced path serves, or the error says why it can't."""
    code = "from rrelu_compat import kernels; print(kernels.path())"
    result = python(code, model, RRELU_COMPAT_KERNEL=name)
    if name in model.PATHS:
        assert result.stdout.strip() == name, result.stderr
    else:
        assert result.returncode != 0
        assert f"RRELU_COMPAT_KERNEL={name}" in result.stderr


@pytest.mark.parametrize("tensor", ["numpy.ones(3)", "torch.ones(3)", "paddle.ones([3])"])
def test_without_the_kernel_one_warning_and_the_info_say_so(model, tensor):
    code = (
        "import sys; sys.modules['rrelu_compat.kernels._cpu'] = None\n"
        f"import {tensor.split('.')[0]}, rrelu_compat\n"
        f"for _ in range(2): rrelu_compat.rrelu({tensor}, training=True)\n"
        "from rrelu_compat.kernels import missing; print(missing)"
    )
    result = python(code, model)
    assert result.stderr.count("computed by NumPy, many times slower") == 1, result.stderr
    assert "install rrelu-compat again with a C compiler" in result.stdout
    quiet = python(code, model, RRELU_COMPAT_KERNEL="numpy")
    assert "many times slower" not in quiet.stderr
    assert "None" in quiet.stdout


def test_forced_nonsense(model):
    result = python("import rrelu_compat.kernels", model, RRELU_COMPAT_KERNEL="fastest")
    assert result.returncode != 0
    assert "fastest" in result.stderr
    assert "avx512, avx2, c, numpy" in result.stderr


def test_contract_is_complete(model):
    for name in ("forward", "backward", "forward_strided", "backward_strided", "fill_slopes"):
        assert callable(getattr(kernels, name))
        assert callable(getattr(model.fallback, name))
    assert kernels.path() in (*ALL, "numpy")


def test_extension_is_abi3(model):
    """One binary serves every Python from 3.10 on."""
    if sys.platform != "win32" and not getattr(sys, "abiflags", "").startswith("t"):
        assert ".abi3." in pathlib.Path(model._cpu.__file__).name
