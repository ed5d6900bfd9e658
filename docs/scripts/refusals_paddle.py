"""The table of docs/paddle.md: recomputations that RReLU refuses. ``--write`` puts it there.

Each row is run in a process of its own: the program must raise `RecomputeError` (in a backward Paddle makes
an OSError of it that names it), and must run with the cure.
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
import tempfile
import textwrap

PAGE = pathlib.Path(__file__).parents[1] / "paddle.md"
BEGIN, END = "<!-- refused: docs/scripts/refusals_paddle.py -->", "<!-- end of refused -->"

_HEAD = """
import sys
import threading
import paddle
import rrelu_compat
from paddle.distributed.fleet.utils import recompute

cured = sys.argv[1] == "cured"
runs = []
x = paddle.to_tensor([-1.0, 2.0, -3.0], stop_gradient=False)
"""
_LOADED = "from rrelu_compat.paddle import RReLU, rrelu\n"

#: What is refused, why, the cure, and the program.
ROWS = (
    (
        "A segment whose second run makes another RReLU call (size, dtype, bounds or generator)",
        "the slopes would belong to another call",
        "make the same calls in both runs",
        _LOADED
        + """
def segment(h):
    runs.append(1)
    return rrelu(h * 1, 0.1, 0.5 if cured or len(runs) == 1 else 0.6).sum()
recompute(segment, x).backward()
""",
    ),
    (
        "A segment whose second run makes more RReLU calls than the first",
        "the slopes of the new call are not known",
        "make the same calls in both runs",
        _LOADED
        + """
def segment(h):
    runs.append(1)
    for _ in range(1 if cured else len(runs)):
        h = rrelu(h * 1)
    return h.sum()
recompute(segment, x).backward()
""",
    ),
    (
        "A segment that makes a generator of Paddle's (`paddle.base.core.Generator()`) and draws from it",
        "it is another one each time",
        "make it outside, or use a `rrelu_compat.Generator`",
        _LOADED
        + """
make = (lambda: rrelu_compat.Generator(3)) if cured else paddle.base.core.Generator
recompute(lambda h: rrelu(h * 1, generator=make()).sum(), x).backward()
""",
    ),
    (
        "`preserve_rng_state=False` around a training RReLU",
        "Paddle does not say what is repeated (its own dropout and RReLU are silently redrawn)",
        "leave `preserve_rng_state=True`",
        _LOADED
        + """
recompute(lambda h: rrelu(h * 1).sum(), x, preserve_rng_state=cured).backward()
""",
    ),
    (
        "A training RReLU in a reentrant segment inside one of `use_reentrant=False`",
        "Paddle's gradients are wrong there, whatever the layers",
        "`use_reentrant=True` for the outer one",
        _LOADED
        + """
def outer(h):
    return recompute(lambda h: rrelu(h * 1), paddle.tanh(h), use_reentrant=True).sum()
recompute(outer, x * 1, use_reentrant=cured).backward()
""",
    ),
    (
        "A recomputation that began before `rrelu_compat.paddle` was imported, with `manual_seed`",
        "its first run was not seen",
        "`import rrelu_compat.paddle` first",
        """
if cured:
    import rrelu_compat.paddle
rrelu_compat.manual_seed(3)
recompute(lambda h: rrelu_compat.rrelu(h * 1, training=True).sum(), x).backward()
""",
    ),
    (
        "Static functions inside segments while other threads run static programs",
        "an operation of a program can't tell for which thread it draws",
        "run them one after the other",
        _LOADED
        + """
inside, done = threading.Event(), threading.Event()
def meta(h):
    return paddle.static.MetaTensor(shape=h.shape, dtype=h.dtype)
@paddle.static.register_op(name="wait", input_names=["h"], output_names=["y"], infer_meta=meta)
def wait(h):
    inside.set()
    assert done.wait(60)
    return h * 1
@paddle.jit.to_static(full_graph=True)
def slow(h):
    return wait(h)
@paddle.jit.to_static(full_graph=True)
def static(h):
    return rrelu(h)
other = threading.Thread(target=slow, args=(x.detach(),))
other.start()
inside.wait(60)
if cured:
    done.set()
    other.join()
try:
    recompute(lambda h: static(h * 1), x).sum().backward()
finally:
    done.set()
    other.join()
""",
    ),
)


def _run(program: str, how: str) -> tuple[bool, str]:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "program.py")  # to_static reads its source
        file.write_text(_HEAD + textwrap.dedent(program))
        run = subprocess.run(
            [sys.executable, str(file), how], capture_output=True, text=True, check=False
        )
    return run.returncode == 0, run.stderr


def table() -> str:
    """Run every row and return the table."""
    lines = ["| refused | why | what to do |", "|---|---|---|"]
    for what, why, cure, program in ROWS:
        passed, said = _run(program, "not cured")
        if passed or "RecomputeError: " not in said:
            raise AssertionError(f"not refused: {what}\n{said}")
        passed, said = _run(program, "cured")
        if not passed:
            raise AssertionError(f"no cure: {what}\n{said}")
        lines.append(f"| {what} | {why} | {cure} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """Return the page with the table put in."""
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n\n{table()}\n\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    if "--write" in sys.argv:
        PAGE.write_text(page(PAGE.read_text()))
    else:
        print(table())
