"""gcc and clang, with and without optimization and fast-math flags, give the same bits."""

import os
import pathlib
import platform
import shutil
import subprocess
import sys
import sysconfig

import pytest

ROOT = pathlib.Path(__file__).parents[2]
KERNELS = ROOT / "rrelu_compat" / "kernels"

# Loads one build and prints a digest of everything it computes, path by path.
DIGEST = """
import hashlib, importlib.machinery, importlib.util, sys
import numpy as np

loader = importlib.machinery.ExtensionFileLoader("_cpu", sys.argv[1])
module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_cpu", loader))
loader.exec_module(module)
N = 2**17 + 13

def same_nan(y, dtype):
    # Two NaNs count as equal: which of two payloads survives is the compiler's choice.
    y = y.copy()
    infinity = (0x7C00, 0x7F80, 0xFF << 23, 0x7FF << 52)[dtype]
    y[(y & y.dtype.type(np.iinfo(y.dtype).max >> 1)) > infinity] = infinity + 1
    return y.tobytes()

for path in module.usable_paths():
    module.use(path)
    digest = hashlib.sha256()
    for dtype, stored in enumerate(("u2", "u2", "u4", "u8")):
        # Any bits are numbers: subnormal ones, infinities and NaNs too; and ordinary ones.
        rng = np.random.default_rng(dtype)
        raw = rng.integers(0, np.iinfo(stored).max, N, stored, endpoint=True)
        plain = rng.normal(size=N).astype(("f2", "f4", "f4", "f8")[dtype])
        raw[::2] = (plain.view("u4") >> 16 if dtype == 1 else plain.view(stored))[::2]
        y, bits = np.empty_like(raw), np.empty((N + 7) // 8, np.uint8)
        x, to, kept = raw.ctypes.data, y.ctypes.data, bits.ctypes.data
        for lower, upper in ((0.125, 1 / 3), (-2.0, 5.0), (1e-40, 1e-39), (0.1, 0.1)):
            draw = (11, 22, 2**34 - 7, lower, upper, 1)
            module.forward(dtype, N, x, to, kept, *draw)
            digest.update(same_nan(y, dtype) + bits.tobytes())
            module.backward(dtype, N, x, to, kept, *draw)
            digest.update(same_nan(y, dtype))
            y[:] = 0
            module.forward_strided(dtype, (300, 7, 50), x, (1, 15000, 300), to, (350, 1, 7), 0, None, *draw)
            digest.update(same_nan(y, dtype))
    print(path, digest.hexdigest())
"""


def digests(binary):
    done = subprocess.run(
        [sys.executable, "-c", DIGEST, str(binary)], capture_output=True, text=True, check=True
    )
    return dict(line.split() for line in done.stdout.splitlines())


def compile_kernel(compiler, options, target):
    command = [compiler, "-shared", "-fPIC", "-std=c11", "-ffp-contract=off", *options]
    command += [f"-I{sysconfig.get_paths()['include']}", *map(str, sorted(KERNELS.glob("_cpu*.c")))]
    return subprocess.run(
        [*command, "-pthread", "-o", str(target)], capture_output=True, text=True, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(
    not shutil.which("gcc") or not shutil.which("clang"), reason="needs gcc and clang"
)
def test_gcc_and_clang_give_the_same_bits(tmp_path):
    found = {}
    for compiler in ("gcc", "clang"):
        for level in ("-O0", "-O3"):
            target = tmp_path / f"{compiler}{level}.so"
            done = compile_kernel(compiler, [level], target)
            assert done.returncode == 0, done.stderr
            found[compiler, level] = digests(target)
    first = next(iter(found.values()))
    # Paths differ in their instructions, never in their bits.
    assert len(set(first.values())) == 1, first
    assert all(one == first for one in found.values()), found


@pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
@pytest.mark.skipif(platform.system() == "Windows", reason="options of gcc and clang")
@pytest.mark.parametrize("option", ["-ffast-math", "-Ofast", "-ffinite-math-only"])
def test_the_sources_refuse_fast_math(tmp_path, option):
    done = compile_kernel("cc", [option, "-fsyntax-only"], tmp_path / "none.so")
    assert done.returncode != 0
    assert "-fno-fast-math" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(platform.system() == "Windows", reason="options of gcc and clang")
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("flags", ["-ffast-math", "-Ofast", "-funsafe-math-optimizations"])
def test_an_install_takes_fast_math_flags_back(tmp_path, compiler, flags):
    if not shutil.which(compiler):
        pytest.skip(f"needs {compiler}")
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "rrelu_compat", copy / "rrelu_compat")
    for old in (copy / "rrelu_compat" / "kernels").glob("_cpu*.so"):
        old.unlink()
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", str(tmp_path / "built")],
        cwd=copy,
        env={**os.environ, "CC": compiler, "CFLAGS": flags, "RRELU_COMPAT_REQUIRE_KERNEL": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (binary,) = (tmp_path / "built").rglob("_cpu*.so")
    plain = tmp_path / "plain.so"
    assert compile_kernel(compiler, ["-O1"], plain).returncode == 0
    assert digests(binary) == digests(plain)
    # Nothing in it sets the process to flush: GCC links such code in for these flags.
    code = (
        "import ctypes, numpy as np, sys; ctypes.PyDLL(sys.argv[1]); x = np.float32(1e-38); "
        "assert x * np.float32(0.01) != 0"
    )
    subprocess.run([sys.executable, "-c", code, str(binary)], check=True)
