"""Large calls run on the threads of PyTorch's OpenMP."""

import subprocess
import sys

import pytest
import torch

from rrelu_compat import Generator, kernels
from rrelu_compat.backends.torch import openmp
from rrelu_compat.torch import rrelu


def test_the_library_is_the_one_that_pytorch_uses():
    """A second copy would have threads of its own, which is what lending is to avoid."""
    assert openmp.lend()
    library = openmp._held[0]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert library.omp_get_max_threads() == 3
    finally:
        torch.set_num_threads(before)


COUNT = """
import os, sys, torch
from rrelu_compat import Generator, kernels
import rrelu_compat.torch as ours

def threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(4)
if sys.argv[1] == "own":
    kernels.use_team(None)
x = torch.randn(2**23)
before = threads()
ours.rrelu(x, training=True, generator=Generator(1))
print(threads() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(("whose", "stay"), [("lent", 3), ("own", 0)])
def test_threads_that_stay_are_the_teams(whose, stay):
    done = subprocess.run(
        [sys.executable, "-c", COUNT, whose],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    grown = int(done.stdout)
    assert (grown >= stay) if stay and kernels.path() != "numpy" else (grown == 0)


@pytest.mark.parametrize("n", [2**16, 2**20 + 3, 2**23])
def test_the_bits_do_not_depend_on_whose_threads_they_are(n):
    x = torch.randn(n)
    before = torch.get_num_threads()
    results = []
    try:
        for threads, lend in ((1, False), (2, False), (2, True), (5, True)):
            torch.set_num_threads(threads)
            if lend:
                openmp.lend()
            else:
                kernels.use_team(None)
            leaf = x.clone().requires_grad_()
            y = rrelu(leaf, training=True, generator=Generator(1))
            y.backward(x)
            results.append((y.detach(), leaf.grad))
    finally:
        torch.set_num_threads(before)
        openmp.lend()
    for y, gradient in results[1:]:
        assert torch.equal(y, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_where_pytorch_has_no_such_library_nothing_is_lent(monkeypatch, tmp_path):
    monkeypatch.setattr(torch, "__file__", str(tmp_path / "__init__.py"))
    assert not openmp.lend()


# Another package has loaded an OpenMP of the same name before PyTorch: PyTorch then uses that one.
BEFORE = """
import sys, paddle, sklearn.cluster
import torch, rrelu_compat.torch
from rrelu_compat.backends.torch import openmp
assert openmp.lend()
torch.set_num_threads(3)
print(openmp._held[0].omp_get_max_threads())
"""


def test_an_openmp_that_came_before_pytorchs():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BEFORE],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert done.stdout.strip() == "3"
