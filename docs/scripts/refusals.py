"""The table of docs/pytorch.md: recomputations that RReLU refuses. ``--write`` puts it there.

Each row is run: the program must raise `RecomputeError`, and must run with the cure.
"""

from __future__ import annotations

import pathlib
import sys
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from rrelu_compat import Generator, RecomputeError
from rrelu_compat.torch import RReLU, rrelu

PAGE = pathlib.Path(__file__).parents[1] / "pytorch.md"
BEGIN, END = "<!-- refused: docs/scripts/refusals.py -->", "<!-- end of refused -->"


class _Own(torch.autograd.Function):
    """A checkpoint of another make, which sets PyTorch's generator back or does not."""

    @staticmethod
    def forward(ctx: Any, run: Any, restore: bool, x: torch.Tensor) -> torch.Tensor:
        ctx.run, ctx.restore, ctx.state, ctx.x = run, restore, torch.get_rng_state(), x.detach()
        with torch.no_grad():
            return run(x)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[Any, ...]:
        x = ctx.x.requires_grad_()
        if ctx.restore:
            torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            y = ctx.run(x)
        torch.autograd.backward(y, g)
        return None, None, x.grad


def _another_call(cured: bool) -> torch.Tensor:
    calls: list[int] = []

    def segment(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        again = len(calls) > 1 and not cured
        return rrelu(x, 0.1, 0.6 if again else 0.5, True).sum()

    return checkpoint(segment, torch.randn(9, requires_grad=True), use_reentrant=False)


def _more_calls(cured: bool) -> torch.Tensor:
    calls: list[int] = []

    def segment(x: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) > 1 and not cured:
            rrelu(x, training=True)
        return rrelu(x, training=True).sum()

    return checkpoint(segment, torch.randn(9, requires_grad=True), use_reentrant=True)


def _in_backward(cured: bool) -> torch.Tensor:
    layer = RReLU().train(not cured)
    y = torch.randn(9, requires_grad=True) * 1
    y.register_hook(layer)
    return y.sum()


def _not_restored(cured: bool) -> torch.Tensor:
    layer = RReLU(generator=Generator(1))
    return _Own.apply(layer, cured, torch.randn(9, requires_grad=True)).sum()


def _reseeded(cured: bool) -> torch.Tensor:
    layer = RReLU(generator=Generator(1))

    def segment(x: torch.Tensor) -> torch.Tensor:
        for _ in range(2):
            if not cured:
                torch.manual_seed(0)
            x = layer(x) - 1
        return x

    return _Own.apply(segment, True, torch.randn(9, requires_grad=True)).sum()


#: What is refused, why, the cure, and the program, without and with the cure.
ROWS = (
    (
        "A checkpoint whose second run makes another RReLU call (size, dtype, bounds or generator)",
        "the slopes would belong to another call",
        "make the same calls in both runs",
        _another_call,
    ),
    (
        "A checkpoint whose second run makes more RReLU calls than the first",
        "the slopes of the new call are not known",
        "make the same calls in both runs",
        _more_calls,
    ),
    (
        "A new training call inside a backward pass, in a hook for example",
        "it can't be told from a repetition",
        "call it outside, or in evaluation mode",
        _in_backward,
    ),
    (
        "Your own `autograd.Function` that runs its forward again without the random state of the first run",
        "the number that the call drew no longer finds it",
        "`torch.set_rng_state` before the second run, as PyTorch's checkpoint does",
        _not_restored,
    ),
    (
        "Your own `autograd.Function` that reseeds PyTorch between two RReLU calls and runs again",
        "two calls drew one number",
        "do not reseed inside it",
        _reseeded,
    ),
)


def table() -> str:
    """Run every row and return the table."""
    lines = ["| refused | why | what to do |", "|---|---|---|"]
    for what, why, cure, program in ROWS:
        try:
            program(False).backward()
        except RecomputeError:
            pass
        else:
            raise AssertionError(f"not refused: {what}")
        program(True).backward()
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
