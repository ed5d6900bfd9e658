"""Speed and memory of RReLU on a GPU: ours, PyTorch's, compiled, leaky_relu, and a copy of the tensor.

Usage: python benchmarks/gpu.py [--sizes 20 24 28] [--dtypes float32 bfloat16] [--markdown]

Times are those of CUDA events around each call, after a warm-up, the median of many; inputs rotate through
more memory than the cache holds. "Share of copy" is bytes read and written per second, as a share of what a
device-to-device copy of the same tensor reaches in the same run. Not run so far: see docs/cuda.md.
"""

from __future__ import annotations

import argparse
import statistics
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from rrelu_compat import Generator
from rrelu_compat.kernels import cuda as kernels
from rrelu_compat.torch import rrelu

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

WARM_UP, REPEATS = 10, 50
# Inputs that are rotated take together at least so many times what the device's cache holds.
ROTATION = 4


def milliseconds(function: Callable[[Tensor], Any], inputs: list[Tensor]) -> float:
    """Return the median time of a call on the device; results are freed between calls."""
    for k in range(WARM_UP):
        function(inputs[k % len(inputs)])
    events = [
        (torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True))
        for _ in range(REPEATS)
    ]
    for k, (begin, end) in enumerate(events):
        x = inputs[k % len(inputs)]
        begin.record()
        function(x)
        end.record()
    torch.cuda.synchronize()
    return statistics.median(begin.elapsed_time(end) for begin, end in events)


def peak_bytes(function: Callable[[Tensor], Any], x: Tensor) -> int:
    """Return how much memory a call takes at most, beyond what there was before it."""
    function(x)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function(x)
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def step(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Any]:
    """Return forward and backward of a leaf, whose gradient is dropped."""

    def run(x: Tensor) -> None:
        leaf = x.detach().requires_grad_()
        y = forward(leaf)
        y.backward(x)

    return run


def subjects() -> dict[str, Callable[[Tensor], Tensor]]:
    """Return what is compared, by name."""
    own = Generator(1)

    def native(x: Tensor) -> Tensor:
        return F.rrelu(x, training=True)

    native_compiled: Any = torch.compile(native)
    return {
        "ours": lambda x: rrelu(x, training=True),
        "ours, Generator": lambda x: rrelu(x, training=True, generator=own),
        "native": native,
        "native, compiled": native_compiled,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    }


def rows(exponent: int, dtype: torch.dtype) -> list[list[str]]:
    """Return the rows of one size and dtype."""
    n = 2**exponent
    cache = torch.cuda.get_device_properties(0).L2_cache_size
    size = n * dtype.itemsize
    count = max(2, -(-ROTATION * cache // size))
    inputs = [torch.randn(n, device="cuda").to(dtype) for _ in range(count)]
    target = torch.empty_like(inputs[0])
    copy = milliseconds(target.copy_, inputs)
    label = f"2**{exponent} {str(dtype).removeprefix('torch.')}"
    table = [[label, "copy", f"{copy:.4f}", "", "100 %", ""]]
    for name, forward in subjects().items():
        with torch.no_grad():
            alone = milliseconds(forward, inputs)
        both = milliseconds(step(forward), inputs)
        peak = peak_bytes(step(forward), inputs[0])
        share = f"{100 * copy / alone:.0f} %"
        table.append([label, name, f"{alone:.4f}", f"{both:.4f}", share, f"{peak / size:.2f}"])
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 24, 28])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if not torch.cuda.is_available() or (reason := kernels.missing(0)) is not None:
        missing = reason if torch.cuda.is_available() else "PyTorch sees no GPU"
        raise SystemExit(f"benchmarks/gpu.py needs an NVIDIA GPU: {missing}")
    print(f"{torch.cuda.get_device_name(0)}, PyTorch {torch.__version__}, {kernels.describe(0)}")
    heads = [
        "work",
        "what",
        "forward ms",
        "forward + backward ms",
        "share of copy",
        "peak / tensor",
    ]
    separator = " | " if arguments.markdown else "\t"
    print(separator.join(heads))
    if arguments.markdown:
        print(separator.join("---" for _ in heads))
    for exponent in arguments.sizes:
        for dtype in arguments.dtypes:
            for row in rows(exponent, getattr(torch, dtype)):
                print(separator.join(row))


if __name__ == "__main__":
    main()
