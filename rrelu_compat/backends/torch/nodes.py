"""RReLU of plain tensors, on the CPU and on CUDA devices: the kernels, and one node in the autograd graph.

Kept for backward: one bit per element (``x >= 0``) and ``(seed, call)``, never the input. Of small tensors
the multipliers (1 or the slope) are kept, and PyTorch differentiates their product with the input: that
takes no Python in backward, and makes up for four bytes an element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rrelu_compat import kernels
from rrelu_compat.backends.torch import cpu, cuda
from rrelu_compat.backends.torch.pack import DeviceKey, Pack
from rrelu_compat.backends.torch.recompute import check_repeated
from rrelu_compat.backends.torch.tensors import (
    CPU,
    is_plain,
    key_numbers,
    key_tensor,
    scaled,
)
from rrelu_compat.kernels import BF16, F32, F64

if TYPE_CHECKING:
    from torch import Tensor

_increment_version: Any = torch.autograd.graph.increment_version
#: Up to this many elements multipliers are kept (measured by benchmarks/cpu.py: where the ways cross).
SMALL = 4096
#: The result and the sign bits of a call, or None.
Room = Any


def bytes_for(elements: Any) -> Any:
    """Return the size of the sign bits: one more byte than they need.

    A size of 0 or 1 would become a constant in graphs with dynamic shapes.
    """
    return (elements + 15) // 8


def bits_like(x: Tensor) -> Tensor:
    """Return memory for one bit per element of `x`, on its device."""
    return torch.empty(bytes_for(x.numel()), dtype=torch.uint8, device=x.device)


def bits_multipliers(bits: Tensor, shape: tuple[int, ...], pack: Pack) -> Tensor:
    """Return 1 where the bit is set and the slope elsewhere, in the compute dtype."""
    compute = torch.float64 if pack.code == F64 else torch.float32
    if pack.run is not cuda:
        out = cpu.slopes(shape, compute, pack)
        flags = np.unpackbits(bits.numpy(), count=out.numel(), bitorder="little").view(np.bool_)
        return out.masked_fill_(torch.from_numpy(flags).view(out.shape), 1.0)
    out = torch.ones(shape, dtype=compute, device=bits.device)
    code = F64 if pack.code == F64 else F32
    cuda.write_backward(out, out, bits.data_ptr(), pack._replace(code=code))
    return out


def words(pack: Pack) -> Tensor:
    """Return ``(seed, call)`` as a tensor, where it is."""
    if isinstance(pack.seed, DeviceKey):
        return pack.seed.words
    return key_tensor(pack.seed, pack.call)


def _gradient(g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
    if g.layout is not torch.strided:
        g = g.to_dense()
    if not is_plain(g):
        # Batched gradients, forward AD over reverse: the framework's own product knows how.
        with torch.no_grad():
            multipliers = bits_multipliers(bits, tuple(g.shape), pack)
        return scaled(g, multipliers)
    if torch.is_grad_enabled() and g.requires_grad:
        result: Tensor = _scale(g, bits, pack)
        return result
    out = torch.empty_like(g)
    pack.run.write_backward(g, out, bits.data_ptr(), pack)
    return out


def _save(ctx: Any, bits: Tensor, pack: Pack, elements: int) -> None:
    ctx.pack, ctx.device, ctx.size = pack, bits.device, bytes_for(elements)
    # A checkpoint replaces saved tensors by those of the repetition, attributes it does not: with the key in
    # both places, backward sees whether the repetition had the same slopes.
    ctx.save_for_backward(*((bits, words(pack)) if pack.hooks else (bits,)))


def _saved_bits(ctx: Any) -> Tensor:
    saved = ctx.saved_tensors
    bits: Tensor = saved[0]
    if (
        bits.dtype is not torch.uint8
        or bits.device != ctx.device
        or bits.shape != (ctx.size,)
        or not bits.is_contiguous()
    ):
        raise RuntimeError(
            f"a saved-tensor hook returned shape {tuple(bits.shape)}, {bits.dtype} on {bits.device} for the "
            f"sign bits that RReLU had saved as shape ({ctx.size},), contiguous torch.uint8 on {ctx.device}: "
            "hooks must return what they were given"
        )
    if ctx.pack.hooks:
        own = words(ctx.pack)
        # One memory is one key; only copies, as save_on_cpu makes them, have to be read.
        if saved[1].data_ptr() != own.data_ptr():
            check_repeated(key_numbers(own), key_numbers(saved[1]))
    return bits


class _RReLU(torch.autograd.Function):
    """Out of place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack, kept: Room) -> Tensor:
        y, bits = kept or (torch.empty_like(x), bits_like(x))
        if pack.run is cuda:
            pack = pack._replace(order=cuda.order_of(y))
        pack.run.write_forward(x, y, bits.data_ptr(), pack)
        _save(ctx, bits, pack, x.numel())
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None, None


class _RReLUInPlace(torch.autograd.Function):
    """In place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack, kept: Room) -> Tensor:
        bits = kept[1] if kept else bits_like(x)
        if pack.run is cuda:
            pack = pack._replace(order=cuda.order_of(x))
        pack.run.write_forward(x, x, bits.data_ptr(), pack)
        ctx.mark_dirty(x)
        _save(ctx, bits, pack, x.numel())
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None, None


class _Scale(torch.autograd.Function):
    """The backward as a function of its gradient; linear, so its own backward is itself."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
        out = torch.empty_like(g)
        pack.run.write_backward(g, out, bits.data_ptr(), pack)
        _save(ctx, bits, pack._replace(hooks=False), g.numel())
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None, None


# The C entry: Function.apply in Python adds 2 us to look for transforms, which this route excludes before.
_out_of_place: Any = super(torch.autograd.Function, _RReLU).apply
_in_place: Any = super(torch.autograd.Function, _RReLUInPlace).apply
_scale: Any = super(torch.autograd.Function, _Scale).apply

# Arrays of NumPy: no mode of PyTorch changes them.
_ones = {code: np.ones(SMALL, dtype) for code, dtype in ((F32, "f4"), (F64, "f8"))}
_ones_at = {code: ones.ctypes.data for code, ones in _ones.items()}
#: Memory for the bits of small tensors, and its address. Taken and given back by single operations: another
#: thread, or a signal handler that comes between, takes another.
_spare: list[tuple[int, Tensor]] = []


def _takes_multipliers(x: Tensor, pack: Pack) -> bool:
    """Whether the product with multipliers is RReLU of `x` in every respect, and the cheaper way."""
    return (
        pack.run is cpu
        and pack.code > BF16
        # A checkpoint looks for the key among what is saved, and each repetition must save as much.
        and pack.entry is None
        and not pack.hooks
        and 0 < x.numel() <= SMALL
        and x.is_contiguous()
        and 1 not in x.shape  # the product gives axes of size 1 other strides
    )


def _multipliers(x: Tensor, pack: Pack) -> Tensor:
    """Return 1 where ``x >= 0`` and the slope elsewhere; the kernels make the bits, then the slopes."""
    m = torch.empty_like(x)
    code, n, target = pack.code, x.numel(), m.data_ptr()
    try:
        spare = _spare.pop()
    except IndexError:
        memory = torch.empty(SMALL >> 3, dtype=torch.uint8, device=CPU)
        spare = memory.data_ptr(), memory
    bits = spare[0]
    kernels.forward(code, n, x.data_ptr(), target, bits, 0, 0, 0, 1.0, 1.0, 1)
    kernels.backward(
        code, n, _ones_at[code], target, bits, pack.seed, pack.call, 0, pack.lower, pack.upper, 1
    )
    _spare.append(spare)
    return m


def room(x: Tensor, inplace: bool) -> Room:
    """Return memory for the result and the bits of a large call; None where it is made when needed."""
    if x.numel() <= SMALL:
        return None
    bits = bits_like(x) if x.requires_grad and torch.is_grad_enabled() else None
    return (x if inplace else torch.empty_like(x)), bits


def forward(x: Tensor, pack: Pack, inplace: bool, kept: Room = None) -> Tensor:
    """RReLU of a plain tensor with everything decided; a node is recorded if a gradient is needed.

    If `inplace`, `tensors.check_in_place` comes first. `kept` is the `room` of the call.
    """
    y: Tensor
    if x.requires_grad and torch.is_grad_enabled():
        if _takes_multipliers(x, pack):
            m = _multipliers(x, pack)
            return x.mul_(m) if inplace else torch.mul(x, m)
        y = (_in_place if inplace else _out_of_place)(x, pack, kept)
        return y
    y = x if inplace else kept[0] if kept else torch.empty_like(x)
    if pack.run is cuda:
        pack = pack._replace(order=cuda.order_of(y))
    pack.run.write_forward(x, y, 0, pack)
    if inplace and not x.is_inference():
        _increment_version(x)
    return y
