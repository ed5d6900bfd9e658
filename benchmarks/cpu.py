"""Time RReLU on the CPU against the frameworks' own layers, leaky_relu and a plain copy, in one run.

Usage: python benchmarks/cpu.py [--quick] [--framework torch|paddle|numpy] [--out FOLDER]

Every cell times all its candidates in turn, round after round, so that a machine whose speed drifts slows
all alike; it reports the median over the rounds, and the quartiles. Memory is what the allocator leaves as
it is by default: page faults of fresh memory are part of the large sizes, for all candidates.
Writes ``cpu.json``, ``cpu.txt`` and ``cpu.png`` into FOLDER (default: docs/assets, and then the table into
docs/performance.md too).
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

from cpu_report import OPERATIONS, PAGE, SIZES, line, page_with, plot, report

MODES = ["train", "eval"]
ROUNDS = 15
# Seconds one candidate works in one round: long against the clock's tick, short against drifts.
SLICE = 0.004


def time_in_turn(candidates, rounds=ROUNDS):
    """Return {name: [seconds per call, one for each round]}, all candidates in every round."""
    loops = {}
    for name, call in candidates.items():
        call()
        begin = time.perf_counter()
        call()
        once = time.perf_counter() - begin
        loops[name] = max(1, int(SLICE / max(once, 1e-7)))
    seconds = {name: [] for name in candidates}
    for number in range(rounds):
        names = list(candidates)
        # Another first one in each round: no candidate always follows the same other one.
        names = names[number % len(names) :] + names[: number % len(names)]
        for name in names:
            call, n = candidates[name], loops[name]
            begin = time.perf_counter()
            for _ in range(n):
                call()
            seconds[name].append((time.perf_counter() - begin) / n)
    return seconds


def summary(seconds, n):
    """Return median and quartiles in ns per element and in us per call."""
    low, middle, high = statistics.quantiles(seconds, n=4)
    return {
        "ns_per_element": middle / n * 1e9,
        "quartiles": [low / n * 1e9, high / n * 1e9],
        "us_per_call": middle * 1e6,
    }


def torch_candidates(n, dtype, operation, mode):
    """Return the candidates of one cell in PyTorch."""
    import torch
    import torch.nn.functional as F

    import rrelu_compat.torch as ours

    class Empty(torch.autograd.Function):
        """What any custom operation costs: a node that copies."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g.clone()

    torch.manual_seed(0)
    kind = getattr(torch, dtype)
    backward = operation != "forward"
    training = mode == "train"
    x = torch.randn(n).to(kind).requires_grad_(backward)
    g = torch.randn(n).to(kind)
    functions = {
        "ours": lambda v: ours.rrelu(v, training=training),
        "native": lambda v: F.rrelu(v, training=training),
        "leaky_relu": lambda v: F.leaky_relu(v, 0.25),
        "empty custom operation": Empty.apply,
        "copy": torch.clone,
    }

    # Inductor takes seconds for each cell: the one that matters, training in float32 on one thread.
    if training and dtype == "float32" and torch.get_num_threads() == 1:
        torch._dynamo.reset()
        compiled = torch.compile(lambda v: F.rrelu(v, training=True), dynamic=False)
        functions["native, compiled"] = compiled

    def with_backward(function):
        def call():
            x.grad = None
            function(x).backward(g)

        return call

    def without(function):
        return lambda: function(x)

    wrap = with_backward if backward else without
    return {name: wrap(function) for name, function in functions.items()}


def paddle_candidates(n, dtype, operation, mode):
    """Return the candidates of one cell in Paddle; its own layers have no half types on the CPU."""
    import paddle
    import paddle.nn.functional as F

    import rrelu_compat.paddle as ours

    class Empty(paddle.autograd.PyLayer):
        """What any custom operation costs: a node that copies."""

        @staticmethod
        def forward(ctx, x):
            return paddle.assign(x)

        @staticmethod
        def backward(ctx, g):
            return paddle.assign(g)

    paddle.seed(0)
    backward = operation != "forward"
    training = mode == "train"
    x = paddle.randn([n]).astype(dtype)
    x.stop_gradient = not backward
    g = paddle.randn([n]).astype(dtype)
    functions = {"ours": lambda v: ours.rrelu(v, training=training), "copy": paddle.assign}
    if dtype == "float32":
        functions["native"] = lambda v: F.rrelu(v, training=training)
        functions["leaky_relu"] = lambda v: F.leaky_relu(v, 0.25)
        functions["empty custom operation"] = Empty.apply

    def with_backward(function):
        def call():
            x.clear_gradient(False)
            paddle.autograd.backward([function(x)], [g])

        return call

    def without(function):
        return lambda: function(x)

    wrap = with_backward if backward else without
    return {name: wrap(function) for name, function in functions.items()}


def numpy_candidates(n, dtype, operation, mode):
    """Return the candidates of one cell in NumPy, which has no layers of its own."""
    import numpy as np

    import rrelu_compat.numpy as ours

    if dtype == "bfloat16":
        import ml_dtypes

        kind = np.dtype(ml_dtypes.bfloat16)
    else:
        kind = np.dtype(dtype)
    random = np.random.default_rng(0)
    x, g = random.normal(size=n).astype(kind), random.normal(size=n).astype(kind)
    training = mode == "train"
    if operation == "forward":
        return {
            "ours": lambda: ours.rrelu(x, training=training),
            "leaky_relu": lambda: np.where(x >= 0, x, x * kind.type(0.25)),
            "copy": x.copy,
        }
    return {
        "ours": lambda: ours.rrelu_vjp(x, training=training)[1](g),
        "copy": lambda: (x.copy(), g.copy()),
    }


CANDIDATES = {"torch": torch_candidates, "paddle": paddle_candidates, "numpy": numpy_candidates}


def set_threads(framework, threads):
    """Tell a framework, and our kernels for it, how many threads to use."""
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if framework == "torch":
        import torch

        torch.set_num_threads(threads)
    if framework == "paddle":
        import paddle

        paddle.set_flags({"FLAGS_paddle_num_threads": threads})


def measure(framework, arguments):
    """Return the cells of one framework."""
    cells = []
    processors = len(os.sched_getaffinity(0))
    for threads in sorted({1, processors}):
        set_threads(framework, threads)
        for dtype in ("float32", "bfloat16"):
            for mode in MODES:
                for operation in OPERATIONS:
                    for n in arguments.sizes:
                        if threads > 1 and n < 2**18:
                            continue  # no candidate splits these
                        candidates = CANDIDATES[framework](n, dtype, operation, mode)
                        rounds = min(arguments.rounds, 7) if n > 2**22 else arguments.rounds
                        times = time_in_turn(candidates, rounds)
                        cell = {
                            "framework": framework, "threads": threads, "dtype": dtype,
                            "mode": mode, "operation": operation, "size": n,
                            "candidates": {k: summary(v, n) for k, v in times.items()},
                        }  # fmt: skip
                        cells.append(cell)
                        print(line(cell), file=sys.stderr, flush=True)
    return cells


# -- memory kept for backward

_MEMORY = """
import gc, os, sys
framework, whose, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
if framework == "torch":
    import torch, torch.nn.functional as F
    import rrelu_compat.torch as ours
    torch.set_num_threads(1)
    x = torch.randn(n).requires_grad_()
    functions = {"ours": lambda v: ours.rrelu(v, training=True),
                 "native": lambda v: F.rrelu(v, training=True), "leaky_relu": F.leaky_relu}
    hidden = lambda: x * 1.0
else:
    import paddle, paddle.nn.functional as F
    import rrelu_compat.paddle as ours
    x = paddle.randn([n]); x.stop_gradient = False
    functions = {"ours": ours.rrelu, "native": F.rrelu, "leaky_relu": F.leaky_relu}
    # scale keeps nothing of its own.
    hidden = lambda: paddle.scale(x, 1.0)
function = functions[whose]
y = function(hidden()); y.sum().backward(); del y; gc.collect()
before = resident()
h = hidden()
y = function(h)
del h
gc.collect()
print((resident() - before - 4 * n) * 8 / n)
"""


def kept_bits(framework, whose, n=2**24):
    """Return the bits per float32 element that stay allocated between forward and backward.

    The input is an intermediate result that nobody else holds, so keeping it counts.
    """
    # Large blocks come from and go back to the system at once, so resident memory is what is allocated.
    environment = {
        **os.environ,
        "MALLOC_MMAP_THRESHOLD_": "65536",
        "FLAGS_use_system_allocator": "1",
    }
    command = [sys.executable, "-c", _MEMORY, framework, whose, str(n)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout.split()[-1])


def machine():
    """Return what the numbers were measured on."""
    import numpy as np
    import paddle
    import torch

    from rrelu_compat import kernels

    info = pathlib.Path("/proc/cpuinfo").read_text() if os.path.exists("/proc/cpuinfo") else ""
    names = [row.split(":")[1].strip() for row in info.splitlines() if row.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": kernels.path(),
        "versions": {
            "Python": platform.python_version(), "NumPy": np.__version__,
            "torch": torch.__version__, "paddle": paddle.__version__,
        },
    }  # fmt: skip


def main():
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two small sizes, three rounds")
    parser.add_argument("--framework", action="append", choices=tuple(CANDIDATES))
    parser.add_argument("--out", type=pathlib.Path, default=PAGE.parent / "assets")
    arguments = parser.parse_args()
    arguments.sizes = SIZES[:2] if arguments.quick else SIZES
    arguments.rounds = 3 if arguments.quick else ROUNDS
    frameworks = arguments.framework or list(CANDIDATES)
    cells = []
    for framework in frameworks:
        if len(frameworks) > 1:
            # A process of its own: thread pools and allocators of one framework slow the other.
            command = [sys.executable, __file__, "--framework", framework, "--out", "-"]
            command += ["--quick"] * arguments.quick
            cells += json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        else:
            cells = measure(framework, arguments)
    if str(arguments.out) == "-":
        print(json.dumps(cells))
        return
    n = 2**20 if arguments.quick else 2**24
    kept = {
        framework: {
            whose: kept_bits(framework, whose, n) for whose in ("ours", "native", "leaky_relu")
        }
        for framework in frameworks
        if framework != "numpy"
    }
    result = {"machine": machine(), "cells": cells, "kept_bits": kept}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "cpu.json").write_text(json.dumps(result, indent=1) + "\n")
    (arguments.out / "cpu.txt").write_text(report(result))
    plot(result, arguments.out / "cpu.png")
    if arguments.out == PAGE.parent / "assets":
        PAGE.write_text(page_with(result, PAGE.read_text()))
    print(report(result))


if __name__ == "__main__":
    main()
