"""Time a large call on one thread, on its own threads and on PyTorch's, right after an operation of PyTorch.

Usage: python benchmarks/threads.py

PyTorch's OpenMP threads spin for a while after each operation, where threads made for a call would have to
share the processors with them. Prints medians in microseconds.
"""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F

from rrelu_compat import kernels
from rrelu_compat.backends.torch import openmp
from rrelu_compat.torch import rrelu

ROUNDS = 41


def microseconds(x: torch.Tensor, threads: int, lent: bool) -> float:
    """Return the median time of a training forward that follows a `leaky_relu`."""
    if lent:
        openmp.lend()
    else:
        kernels.use_team(None)
    torch.set_num_threads(threads)
    seconds = []
    for _ in range(ROUNDS):
        F.leaky_relu(x, 0.2)
        begin = time.perf_counter()
        rrelu(x, training=True)
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds) * 1e6


def main() -> None:
    """Print the table."""
    threads = torch.get_num_threads()
    print(f"{'elements':>8} {'1 thread':>10} {f'{threads} own':>10} {f'{threads} lent':>10}")
    for exponent in range(18, 25):
        x = torch.randn(2**exponent)
        times = [
            microseconds(x, 1, False),
            microseconds(x, threads, False),
            microseconds(x, threads, True),
        ]
        print(f"{f'2**{exponent}':>8} " + " ".join(f"{t:10.0f}" for t in times))


if __name__ == "__main__":
    main()
