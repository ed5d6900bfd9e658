"""Threads that an OpenMP lends: the same bits, the whole team asked for, none after a fork."""

import ctypes
import os
import subprocess
import sys

import numpy as np
import pytest

from rrelu_compat import kernels

N = 2**21 + 5  # more than one thread's worth on every path
WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
TEAM = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


def work(threads):
    x = np.random.default_rng(0).normal(size=N).astype(np.float32)
    y, bits = np.empty_like(x), np.empty((N + 7) // 8, np.uint8)
    kernels.forward(
        2, N, x.ctypes.data, y.ctypes.data, bits.ctypes.data, 3, 4, 0, 0.125, 0.375, threads
    )
    return y.tobytes() + bits.tobytes()


@pytest.fixture
def lent():
    """A team of ours that notes what it is asked for and runs one after another."""
    asked = []

    @TEAM
    def team(function, data, threads, flags):
        asked.append((threads, flags))
        for _ in range(threads):
            WORK(function)(data)

    kernels.use_team(ctypes.cast(team, ctypes.c_void_p).value)
    yield asked
    kernels.use_team(None)


def test_large_calls_run_on_the_team_and_give_the_same_bits(lent):
    expected = work(1)
    assert lent == []
    # More than the elements are worth: the team is not to be made smaller.
    assert work(60) == expected
    assert lent == ([] if kernels.path() == "numpy" else [(60, 0)])
    kernels.use_team(None)
    assert work(3) == expected
    assert len(lent) <= 1


@pytest.mark.skipif(kernels.path() == "numpy", reason="NumPy has no threads")
def test_two_lent_threads_serve_from_65536_elements_on(lent):
    for n, threads in ((2**16 - 1, []), (2**16, [(2, 0)])):
        x = np.ones(n, np.float32)
        kernels.forward(2, n, x.ctypes.data, x.ctypes.data, 0, 3, 4, 0, 0.125, 0.375, 2)
        assert lent == threads, n


def test_small_calls_stay_on_the_caller(lent):
    x = np.ones(100, np.float32)
    kernels.forward(2, 100, x.ctypes.data, x.ctypes.data, 0, 3, 4, 0, 0.125, 0.375, 8)
    assert lent == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_has_no_team(lent):
    expected = work(2)
    before = len(lent)
    process = os.fork()
    if process == 0:
        os._exit(0 if work(2) == expected and len(lent) == before else 1)
    assert os.waitpid(process, 0)[1] == 0


@pytest.mark.skipif(kernels.path() == "numpy", reason="the NumPy path has no threads")
@pytest.mark.parametrize("address", ["GOMP_parallel", 1.5])
def test_an_address_is_a_number(address):
    with pytest.raises(TypeError):
        kernels.use_team(address)


# Large work after PyTorch's own, in the parent and in a forked child, which has no OpenMP threads any more.
FORKED = """
import os, torch
from rrelu_compat import Generator
from rrelu_compat.torch import rrelu

torch.set_num_threads(2)
x = torch.randn(2**21)

def run():
    # To bytes, because PyTorch's own operations hang in such a child.
    return rrelu(x, training=True, generator=Generator(1)).numpy().tobytes()

torch.nn.functional.leaky_relu(x)
first = run()
process = os.fork()
if process == 0:
    os._exit(0 if run() == first else 1)
assert os.waitpid(process, 0)[1] == 0
torch.set_num_threads(1)
assert run() == first
print("same")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_after_pytorch_lent_its_threads():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKED],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.strip() == "same", done.stderr
