"""Another Paddle that recomputes in another way: the gradient is right, or there is an error."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: What another version may do, as code that is run before the first call.
CHANGES = {
    "none": "",
    "segments live in another file": "ours._FILES = frozenset()",
    "backward and unpack renamed": "ours._REPEATING = ()",
    "variable outputs renamed": "ours._check_repeatable = lambda restored_by_paddle: None",
    "manager no longer asked": """
manager = package.custom_state_manager
manager.__class__ = type(manager).__mro__[1]
manager.custom_get_state_func = manager.custom_set_state_func = None
""",
    "manager replaced": "package.custom_state_manager = sys.modules[RECOMPUTE].custom_state_manager = Free()",
    "unpack renamed": "ours._NOT_REENTRANT = ('_recompute_without_reentrant', 'unpack_again')",
}

PROGRAM = """
import itertools
import sys

import numpy as np
import paddle
import paddle.distributed.fleet.recompute as package
from paddle.distributed.fleet.utils import recompute

import rrelu_compat
from rrelu_compat.backends.paddle import recompute as ours
from rrelu_compat.paddle import RReLU

RECOMPUTE = package.__name__ + ".recompute"


class Free:
    custom_get_state_func = custom_set_state_func = None


{change}
generator = rrelu_compat.Generator(5)
x = paddle.randn([8, 4])
for source, reentrant, keep in itertools.product(
    ("default", "own", "process"), (False, True), (True, False)
):
    layer = RReLU(0.0, 1.0, generator=generator if source == "own" else None)
    net = paddle.nn.Sequential(paddle.nn.Linear(4, 64), layer, paddle.nn.Linear(64, 4))

    def gradient(repeat):
        generator.reposition(5)
        rrelu_compat.manual_seed(9 if source == "process" else None)
        paddle.seed(1)
        t = x.clone().detach()
        t.stop_gradient = False
        options = {{"use_reentrant": reentrant, "preserve_rng_state": keep}}
        y = recompute(net, t, **options) if repeat else net(t)
        y.sum().backward()
        return t.grad.numpy()

    expected = gradient(False)
    try:
        right = np.array_equal(gradient(True), expected)
        verdict = "right" if right else "wrong"
    except Exception as error:
        paddle.set_grad_enabled(True)
        verdict = "refused" if "RecomputeError" in type(error).__name__ + str(error) else repr(error)
    print(verdict)
"""


@pytest.mark.parametrize("change", CHANGES)
def test_right_or_refused(change):
    code = PROGRAM.format(change=CHANGES[change])
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    verdicts = run.stdout.split()
    assert len(verdicts) == 12, run.stderr[-3000:]
    # Without a change: right where the state is kept, for three sources and both variants.
    assert verdicts == (["right", "refused"] * 6 if change == "none" else ["refused"] * 12)
