"""`import rrelu_compat` loads NumPy alone, and the drop-ins their own framework alone."""

import subprocess
import sys

import pytest

HEAVY = {"torch", "paddle", "scipy", "hypothesis", "rich", "libcst", "matplotlib", "ml_dtypes"}


def loaded(code):
    """Return which of the heavy packages a fresh interpreter has loaded after `code`."""
    report = f"import sys; print(*sorted({HEAVY!r} & set(sys.modules)))"
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True
    )
    return set(out.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import rrelu_compat",
        "import rrelu_compat.numpy",
        "import rrelu_compat.cli, rrelu_compat.backends",
        "import rrelu_compat, numpy; rrelu_compat.rrelu(numpy.ones(3), training=True)",
        "import rrelu_compat; rrelu_compat.RReLU(); rrelu_compat.RReLUSpec().layer('numpy')",
        "import rrelu_compat; rrelu_compat.available_backends()",
        "import rrelu_compat\ntry: rrelu_compat.rrelu(object(), training=True)\nexcept TypeError: pass",
    ],
)
def test_the_core_loads_no_framework(code):
    assert loaded(code) == set()


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_drop_in_loads_its_own_framework(framework):
    other = {"torch": "paddle", "paddle": "torch"}[framework]
    seen = loaded(f"import rrelu_compat.{framework}")
    assert framework in seen
    assert other not in seen


def test_this_test_can_fail():
    assert loaded("import rrelu_compat, torch") >= {"torch"}
