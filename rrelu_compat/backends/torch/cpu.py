"""The kernels on the memory of tensors on the CPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rrelu_compat import kernels
from rrelu_compat.backends.torch.tensors import CODES, CPU

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from rrelu_compat.backends.torch.pack import Pack

# Below this many elements no kernel splits its work, so the number of threads need not be asked for.
_SMALL = 1 << 14


def write_forward(x: Tensor, y: Tensor, bits: int, pack: Pack) -> None:
    """Run the forward kernel from `x` to `y` (which may be `x`), and to the bits at an address or 0."""
    _run(kernels.forward, kernels.forward_strided, x, y, bits, pack)


def write_backward(g: Tensor, out: Tensor, bits: int, pack: Pack) -> None:
    """Run the backward kernel from `g` to `out`."""
    _run(kernels.backward, kernels.backward_strided, g, out, bits, pack)


def _run(
    linear: Callable[..., None],
    strided: Callable[..., None],
    source: Tensor,
    target: Tensor,
    bits: int,
    pack: Pack,
) -> None:
    _, code, lower, upper, seed, call, start, index, _, _, _ = pack
    n = source.numel()
    threads = torch.get_num_threads() if n > _SMALL else 1
    draw: Any = (seed, call, start, lower, upper, threads)
    if index is None and source.is_contiguous() and target.is_contiguous():
        linear(code, n, source.data_ptr(), target.data_ptr(), bits, *draw)
    else:
        strided(
            code, tuple(source.shape), source.data_ptr(), source.stride(), target.data_ptr(),
            target.stride(), bits, index, *draw,
        )  # fmt: skip


def slopes(shape: tuple[int, ...], dtype: torch.dtype, pack: Pack) -> Tensor:
    """Return the slopes of `pack` for a tensor of `shape`, contiguous, in the compute dtype `dtype`."""
    out = torch.empty(shape, dtype=dtype, device=CPU)
    _, _, lower, upper, seed, call, start, index, _, _, _ = pack
    kernels.fill_slopes(
        CODES[dtype], tuple(shape), out.data_ptr(), index, seed, call, start, lower, upper,
        torch.get_num_threads(),
    )  # fmt: skip
    return out
