"""What one call costs: Python calls of ours (exact), and microseconds (medians of one run).

Usage: python benchmarks/call_cost.py [--repeat N]

Python calls are counted by `sys.setprofile`, functions of this package alone: they do not depend on the
machine. `tests/core/test_call_cost.py` holds them. Microseconds are of forward and backward of 64 float32.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import timeit
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
import torch
from torch.utils.checkpoint import checkpoint

import rrelu_compat
import rrelu_compat.paddle
import rrelu_compat.torch

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGE = str(Path(rrelu_compat.__file__).parent)


def python_calls(run: Callable[[], Any]) -> int:
    """Return how many functions of this package one run enters, after two runs that fill the caches."""
    run()
    run()
    count = 0

    def enter(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        count += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    sys.setprofile(enter)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def programs() -> dict[str, Callable[[], Any]]:
    """Return what is counted and timed, by name."""
    x = torch.randn(64, requires_grad=True)
    g = torch.ones(64)
    array = np.random.default_rng(0).normal(size=64).astype(np.float32)
    layer = rrelu_compat.torch.RReLU()
    native = torch.nn.RReLU()
    in_paddle = paddle.to_tensor(array, stop_gradient=False)
    paddle_layer = rrelu_compat.paddle.RReLU()
    paddle_native = paddle.nn.RReLU()

    def step(call: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[], None]:
        return lambda: call(x).backward(g)

    def region(
        inner: Callable[[torch.Tensor], torch.Tensor], reentrant: bool
    ) -> Callable[[], None]:
        return step(lambda x: checkpoint(inner, x, use_reentrant=reentrant))

    return {
        "rrelu_compat.rrelu, NumPy": lambda: rrelu_compat.rrelu(array, training=True),
        "rrelu_compat.rrelu, torch": step(lambda x: rrelu_compat.rrelu(x, training=True)),
        "rrelu_compat.rrelu, Paddle": lambda: rrelu_compat.rrelu(
            in_paddle, training=True
        ).backward(),
        "rrelu_compat.torch.rrelu": step(lambda x: rrelu_compat.torch.rrelu(x, training=True)),
        "rrelu_compat.paddle.rrelu": lambda: rrelu_compat.paddle.rrelu(in_paddle).backward(),
        "layer": step(layer),
        "Paddle's layer": lambda: paddle_layer(in_paddle).backward(),
        "rrelu_compat.torch.rrelu, evaluation, no gradient": lambda: rrelu_compat.torch.rrelu(
            x.detach()
        ),
        "layer in a non-reentrant checkpoint": region(layer, False),
        "layer in a reentrant checkpoint": region(layer, True),
        "torch.nn.RReLU": step(native),
        "paddle.nn.RReLU": lambda: paddle_native(in_paddle).backward(),
        "torch.nn.RReLU in a non-reentrant checkpoint": region(native, False),
        "torch.nn.RReLU in a reentrant checkpoint": region(native, True),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=15)
    repeat = parser.parse_args().repeat
    torch.set_num_threads(1)
    rows = programs()
    times: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repeat):  # in turn, so that a slow moment meets all
        for name, run in rows.items():
            times[name].append(timeit.timeit(run, number=300) / 300 * 1e6)
    print("| forward and backward of 64 float32 | Python calls | microseconds |")
    print("|---|---|---|")
    for name, run in rows.items():
        print(f"| {name} | {python_calls(run)} | {statistics.median(times[name]):.1f} |")


if __name__ == "__main__":
    main()
