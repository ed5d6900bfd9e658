"""The fast route: plain CPU tensors, kernels on their memory, one node in the autograd graph.

Kept for backward: one bit per element (``x >= 0``) and ``(seed, call)``, never the input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rrelu_compat import kernels
from rrelu_compat.backends.torch.recompute import check_repeated
from rrelu_compat.backends.torch.tensors import (
    CPU,
    is_plain,
    key_numbers,
    key_tensor,
    scaled,
    slope_tensor,
)
from rrelu_compat.layout import overlaps_itself

if TYPE_CHECKING:
    from torch import Tensor

    from rrelu_compat.backends.torch.recompute import Entry

_increment_version: Any = torch.autograd.graph.increment_version
# Below this many elements no kernel splits its work, so the number of threads need not be asked for.
_SMALL = 1 << 14

#: dtype code, lower, upper, seed, call, start, index_strides, entry of the recomputation log, hooks on
Pack = tuple[int, float, float, int, int, int, "tuple[int, ...] | None", "Entry | None", bool]


def write_forward(x: Tensor, y: Tensor, bits: int, pack: Pack) -> None:
    """Run the forward kernel from `x` to `y` (which may be `x`), and to the bits at an address or 0."""
    code, lower, upper, seed, call, start, index_strides, _, _ = pack
    n = x.numel()
    threads = torch.get_num_threads() if n > _SMALL else 1
    if index_strides is None and x.is_contiguous() and y.is_contiguous():
        kernels.forward(
            code, n, x.data_ptr(), y.data_ptr(), bits, seed, call, start, lower, upper, threads
        )
    else:
        kernels.forward_strided(
            code, tuple(x.shape), x.data_ptr(), x.stride(), y.data_ptr(), y.stride(), bits,
            index_strides, seed, call, start, lower, upper, threads,
        )  # fmt: skip


def write_backward(g: Tensor, out: Tensor, bits: int, pack: Pack) -> None:
    """Run the backward kernel from `g` to `out`."""
    code, lower, upper, seed, call, start, index_strides, _, _ = pack
    n = g.numel()
    threads = torch.get_num_threads() if n > _SMALL else 1
    if index_strides is None and g.is_contiguous() and out.is_contiguous():
        kernels.backward(
            code, n, g.data_ptr(), out.data_ptr(), bits, seed, call, start, lower, upper, threads
        )
    else:
        kernels.backward_strided(
            code, tuple(g.shape), g.data_ptr(), g.stride(), out.data_ptr(), out.stride(), bits,
            index_strides, seed, call, start, lower, upper, threads,
        )  # fmt: skip


def bits_like(x: Tensor) -> Tensor:
    """Return memory for one bit per element of `x`."""
    return torch.empty((x.numel() + 7) >> 3, dtype=torch.uint8, device=CPU)


def bits_multipliers(
    bits: Tensor,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    key: tuple[int, int],
    lower: float,
    upper: float,
    start: int,
    index_strides: tuple[int, ...] | None,
) -> Tensor:
    """Return 1 where the bit is set and the slope elsewhere, on the host, in the compute dtype."""
    out = slope_tensor(shape, dtype, key, lower, upper, start, index_strides)
    flags = np.unpackbits(bits.numpy(), count=out.numel(), bitorder="little").view(np.bool_)
    return out.masked_fill_(torch.from_numpy(flags).view(out.shape), 1.0)


def _gradient(g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
    if g.layout is not torch.strided:
        g = g.to_dense()
    if not is_plain(g):
        # Batched gradients, forward AD over reverse: the framework's own product knows how.
        with torch.no_grad():
            multipliers = bits_multipliers(
                bits, g.shape, g.dtype, pack[3:5], pack[1], pack[2], *pack[5:7]
            )
        return scaled(g, multipliers)
    if torch.is_grad_enabled() and g.requires_grad:
        result: Tensor = _scale(g, bits, pack)
        return result
    out = torch.empty_like(g)
    write_backward(g, out, bits.data_ptr(), pack)
    return out


def _saved_bits(ctx: Any) -> Tensor:
    pack: Pack = ctx.pack
    saved = ctx.saved_tensors
    bits: Tensor = saved[0]
    if bits.dtype is not torch.uint8 or not bits.is_contiguous() or bits.device != CPU:
        raise RuntimeError(
            f"a saved-tensor hook returned {tuple(bits.shape)} {bits.dtype} on {bits.device} for the "
            "sign bits that RReLU had saved as contiguous uint8 on the CPU: hooks must return what they "
            "were given"
        )
    if pack[8]:
        check_repeated((pack[3], pack[4]), key_numbers(saved[1]))
    return bits


def _save(ctx: Any, bits: Tensor, pack: Pack) -> None:
    ctx.pack = pack
    if pack[8]:
        # A checkpoint replaces saved tensors by those of the repetition, attributes it does not: with the
        # key in both places, backward sees whether the repetition had the same slopes.
        ctx.save_for_backward(bits, key_tensor(pack[3], pack[4]))
    else:
        ctx.save_for_backward(bits)


class _RReLU(torch.autograd.Function):
    """Out of place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack) -> Tensor:
        bits = bits_like(x)
        y = torch.empty_like(x)
        write_forward(x, y, bits.data_ptr(), pack)
        _save(ctx, bits, pack)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None


class _RReLUInPlace(torch.autograd.Function):
    """In place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack) -> Tensor:
        bits = bits_like(x)
        write_forward(x, x, bits.data_ptr(), pack)
        ctx.mark_dirty(x)
        _save(ctx, bits, pack)
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None


class _Scale(torch.autograd.Function):
    """The backward as a function of its gradient; linear, so its own backward is itself."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
        out = torch.empty_like(g)
        write_backward(g, out, bits.data_ptr(), pack)
        ctx.pack = (*pack[:8], False)
        ctx.save_for_backward(bits)
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None, None


# The C entry: Function.apply in Python adds 2 us to look for transforms, which this route excludes before.
_out_of_place: Any = super(torch.autograd.Function, _RReLU).apply
_in_place: Any = super(torch.autograd.Function, _RReLUInPlace).apply
_scale: Any = super(torch.autograd.Function, _Scale).apply


def check_in_place(x: Tensor) -> None:
    """Raise where PyTorch's own in-place operations raise, before a byte of `x` is changed."""
    if not x.is_contiguous() and overlaps_itself(x.shape, x.stride()):
        raise RuntimeError(
            f"inplace=True: several elements of the input (shape {tuple(x.shape)}, strides {x.stride()}) "
            "refer to one memory location, as in an expanded tensor; pass x.clone() or inplace=False"
        )
    if x.is_inference():
        if not torch.is_inference_mode_enabled():
            raise RuntimeError(
                "inplace=True: the input is an inference tensor, which can only be changed in "
                "inference mode; pass x.clone() or inplace=False"
            )
        return
    if not (x.requires_grad and torch.is_grad_enabled()):
        return
    base = x._base
    if x.is_leaf or (base is not None and base.is_leaf and base.requires_grad):
        what = "a view of a leaf" if not x.is_leaf else "a leaf"
        raise RuntimeError(
            f"inplace=True: {what} Variable that requires grad is being used in an in-place operation; "
            "pass inplace=False"
        )
    if base is not None:
        creation = torch._C._autograd._get_creation_meta(x)
        if creation is not torch._C._autograd.CreationMeta.DEFAULT:
            # One output of unbind or split, a view made under no_grad: PyTorch raises its own message here.
            x.mul_(1)


def forward(x: Tensor, pack: Pack, inplace: bool) -> Tensor:
    """RReLU of a plain tensor with everything decided; a node is recorded if a gradient is needed.

    If `inplace`, `check_in_place` comes first.
    """
    y: Tensor
    if inplace:
        if x.requires_grad and torch.is_grad_enabled():
            y = _in_place(x, pack)
            return y
        write_forward(x, x, 0, pack)
        if not x.is_inference():
            _increment_version(x)
        return x
    if x.requires_grad and torch.is_grad_enabled():
        y = _out_of_place(x, pack)
        return y
    y = torch.empty_like(x)
    write_forward(x, y, 0, pack)
    return y


__all__ = [
    "Pack",
    "bits_like",
    "bits_multipliers",
    "check_in_place",
    "forward",
    "write_backward",
    "write_forward",
]
