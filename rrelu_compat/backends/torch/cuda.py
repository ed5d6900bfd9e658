"""The kernels on the memory of tensors on a CUDA device, on PyTorch's current stream.

A training call whose slopes follow PyTorch's own generator keeps its key on the device: drawn there,
read there by the kernels, never seen by the host. So nothing waits, and a captured CUDA graph draws afresh
at every replay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rrelu_compat.backends.torch.pack import DeviceKey, Pack
from rrelu_compat.backends.torch.tensors import CODES
from rrelu_compat.kernels import cuda as kernels
from rrelu_compat.layout import c_strides

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def usable(device: torch.device) -> bool:
    """Whether there are kernels for tensors of `device`."""
    return device.type == "cuda" and kernels.missing(_number(device)) is None


def _number(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _stream(device: int) -> int:
    return torch.cuda.current_stream(device).cuda_stream


def order_of(y: Tensor) -> tuple[int, ...] | None:
    """Return the order of axes to work in, so that neighbouring threads write neighbours."""
    if y.is_contiguous():
        return None
    return tuple(kernels.in_memory_order(tuple(y.shape), y.stride()))


def _draw(pack: Pack, device: int) -> tuple[Any, ...]:
    """Return the kernels' arguments from `seed` on."""
    if isinstance(pack.seed, DeviceKey):
        seed, call, key = 0, 0, pack.seed.words.data_ptr()
    else:
        seed, call, key = pack.seed, pack.call, 0
    return seed, call, pack.start, pack.lower, pack.upper, _stream(device), device, key


def _run(
    linear: Callable[..., None],
    strided: Callable[..., None],
    source: Tensor,
    target: Tensor,
    bits: int,
    pack: Pack,
) -> None:
    draw = _draw(pack, source.get_device())
    shape, index = tuple(source.shape), pack.index_strides
    if pack.order is None and index is None and source.is_contiguous() and target.is_contiguous():
        linear(pack.code, source.numel(), source.data_ptr(), target.data_ptr(), bits, *draw)
        return
    x_strides, y_strides = source.stride(), target.stride()
    if pack.order is not None:
        index = c_strides(shape) if index is None else index
        shape, x_strides, y_strides, index = (
            tuple(sizes[axis] for axis in pack.order)
            for sizes in (shape, x_strides, y_strides, index)
        )
    strided(
        pack.code, shape, source.data_ptr(), x_strides, target.data_ptr(), y_strides, bits, index, *draw
    )  # fmt: skip


def write_forward(x: Tensor, y: Tensor, bits: int, pack: Pack) -> None:
    """Run the forward kernel from `x` to `y` (which may be `x`), and to the bits at an address or 0."""
    _run(kernels.forward, kernels.forward_strided, x, y, bits, pack)


def write_backward(g: Tensor, out: Tensor, bits: int, pack: Pack) -> None:
    """Run the backward kernel from `g` to `out`."""
    _run(kernels.backward, kernels.backward_strided, g, out, bits, pack)


def slopes(shape: tuple[int, ...], dtype: torch.dtype, pack: Pack, device: torch.device) -> Tensor:
    """Return the slopes of `pack` for a tensor of `shape`, contiguous, in the compute dtype `dtype`."""
    out = torch.empty(shape, dtype=dtype, device=device)
    kernels.fill_slopes(
        CODES[dtype],
        tuple(shape),
        out.data_ptr(),
        pack.index_strides,
        *_draw(pack, out.get_device()),
    )
    return out
