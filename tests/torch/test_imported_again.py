"""Test runners and notebooks take the package out of `sys.modules` and import it again."""

import subprocess
import sys

PROGRAM = """
import sys, torch
import rrelu_compat.torch as first

def bits(module, wrap):
    torch.manual_seed(1)
    x = torch.linspace(-1, 1, 5000).requires_grad_()
    wrap(lambda x: module.rrelu(x, training=True))(x).sum().backward()
    return x.grad

compiled = lambda f: torch.compile(f, backend="aot_eager", fullgraph=True)
expected = bits(first, lambda f: f)
assert torch.equal(bits(first, compiled), expected)
for _ in range(2):
    for name in [name for name in sys.modules if name.partition(".")[0] == "rrelu_compat"]:
        del sys.modules[name]
    import rrelu_compat.torch as again
    assert again is not first
    assert torch.equal(bits(again, lambda f: f), expected)
    assert torch.equal(bits(again, compiled), expected)
"""


def test_the_same_bits_after_every_import():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
