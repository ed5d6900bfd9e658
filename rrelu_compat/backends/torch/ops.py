"""Library operators: what graphs (compile, export, script), dispatch modes and transforms see of RReLU.

The version in the namespace must rise with every change of a schema or a fake kernel: inductor's cache on
disk does not know fake kernels and would reuse graphs made with the old one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rrelu_compat.backends.torch import cpu, cuda, private, seeds
from rrelu_compat.backends.torch.device_keys import refuse_capture
from rrelu_compat.backends.torch.nodes import bits_like, bits_multipliers, bytes_for
from rrelu_compat.backends.torch.pack import DeviceKey, Pack
from rrelu_compat.backends.torch.tensors import (
    CPU,
    code_of,
    compute_dtype,
    key_numbers,
    key_tensor,
    scaled,
)
from rrelu_compat.layout import c_strides

NAMESPACE = "rrelu_compat_v2"

library: Any = private.library(NAMESPACE)
_KEY = "Tensor key, float lower, float upper, SymInt start=0, SymInt[]? index_strides=None"
library.define(
    "draw_at(Tensor state, bool own, int place) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded,),
)
library.define(
    "draw_alone(int handle, int site) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded,),
)
library.define(f"forward(Tensor x, {_KEY}) -> (Tensor, Tensor)")
library.define(f"backward(Tensor g, Tensor bits, {_KEY}) -> Tensor")
library.define(f"multipliers(Tensor x, {_KEY}) -> Tensor")
library.define(
    "train(Tensor x, float lower, float upper) -> Tensor",
    tags=(torch.Tag.nondeterministic_seeded,),
)


def _strides(index_strides: Any) -> tuple[int, ...] | None:
    return None if index_strides is None else tuple(index_strides)


def draw_at(state: Tensor, own: bool, place: int) -> Tensor:
    """Take the ``(seed, call)`` of a training call from a Generator's state; return it and the next state.

    Functional: the caller copies the next state into the memory of the Generator. (Two draws that did not
    depend on one another would be merged into one by common subexpression elimination.)

    Parameters
    ----------
    state : Tensor
        int64, ``[seed, call]``.
    own : bool
        Whether to number calls with the state; if not, the number drawn from PyTorch is the seed.
    place : int
        The number of this draw among all that were traced: a graph that repeats it is given the same.

    Returns
    -------
    Tensor
        int64, the key of the call and the next state: ``[seed, call, seed, call]``. One tensor, because
        partitioners that must save a draw (checkpoints in compiled functions) cannot save a tuple.
    """
    seed, call = key_numbers(state)
    taken = seeds.take_in_graph((seed, call) if own else None, place)
    return torch.cat([key_tensor(*taken), key_tensor(seed, (call + 1) % 2**64)])


def draw_alone(handle: int, site: int) -> Tensor:
    """Take the key of a training call where a graph can carry no state, from the Generator of an id.

    Parameters
    ----------
    handle : int
        The ``id`` of the Generator; -1: the number drawn from PyTorch is the seed.
    site : int
        The number of this draw among all that were traced: equal draws would be merged into one.
    """
    return key_tensor(*seeds.take_in_graph(seeds.generator_by_handle(handle), site))


def kernels_for(device: torch.device) -> Any:
    """Return the module that runs kernels on tensors of a device; None if there are none."""
    if device.type == "cpu":
        return cpu
    return cuda if cuda.usable(device) else None


def _pack(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int, index_strides: Any
) -> Pack:
    strides = _strides(index_strides)
    run = kernels_for(x.device)
    if key.device.type != "cpu":
        return Pack(run, code_of(x), lower, upper, DeviceKey(key.contiguous()), 0, start, strides)
    if run is cuda and lower != upper:
        refuse_capture("a key on the host, as compiled graphs draw it")
    return Pack(run, code_of(x), lower, upper, *key_numbers(key), start, strides)


def forward(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int = 0, index_strides: Any = None
) -> tuple[Tensor, Tensor]:
    """RReLU of `x` and the sign bits for `backward`."""
    pack = _pack(x, key, lower, upper, start, index_strides)
    if pack.run is None:
        return scaled(x, multipliers(x, key, lower, upper, start, index_strides)), _pack_bits(x)
    y, bits = torch.empty_like(x), bits_like(x).zero_()
    pack.run.write_forward(x, y, bits.data_ptr(), pack)
    return y, bits


def backward(
    g: Tensor,
    bits: Tensor,
    key: Tensor,
    lower: float,
    upper: float,
    start: int = 0,
    index_strides: Any = None,
) -> Tensor:
    """The gradient `g` scaled by the slopes of the forward."""
    if (
        bits.dtype is not torch.uint8
        or bits.shape != (bytes_for(g.numel()),)
        or bits.device != g.device
    ):
        raise RuntimeError(
            f"the sign bits of RReLU came back as shape {tuple(bits.shape)}, {bits.dtype} on {bits.device} "
            f"for a gradient of shape {tuple(g.shape)} on {g.device}: saved-tensor hooks must return what "
            "they were given"
        )
    pack = _pack(g, key, lower, upper, start, index_strides)
    bits = bits.contiguous()
    if pack.run is None:
        return scaled(g, bits_multipliers(bits.to(CPU), tuple(g.shape), pack).to(g.device))
    out = torch.empty_like(g)
    pack.run.write_backward(g, out, bits.data_ptr(), pack)
    return out


def _pack_bits(x: Tensor) -> Tensor:
    flags = (x >= 0).reshape(-1).to(torch.uint8)
    size = 8 * bytes_for(flags.numel())
    padded = torch.nn.functional.pad(flags, (0, size - flags.numel())).view(-1, 8)
    weights = torch.tensor([1 << k for k in range(8)], dtype=torch.uint8, device=x.device)
    return (padded * weights).sum(1, dtype=torch.uint8)


def multipliers(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int = 0, index_strides: Any = None
) -> Tensor:
    """1 where ``x >= 0``, the slope elsewhere, in the compute dtype; never differentiated."""
    compute = compute_dtype(x.dtype)
    if lower == upper:
        return x.new_full(x.shape, upper, dtype=compute).masked_fill_(x >= 0, 1.0)
    pack = _pack(x, key, lower, upper, start, index_strides)
    if pack.run is cuda:
        out = cuda.slopes(tuple(x.shape), compute, pack, x.device)
    else:
        out = cpu.slopes(tuple(x.shape), compute, pack).to(x.device)
    return out.masked_fill_(x >= 0, 1.0)


def _draw_fake(state: Tensor, own: bool, place: int) -> Tensor:
    return state.new_empty(4)


def _draw_alone_fake(handle: int, site: int) -> Tensor:
    return torch.empty(2, dtype=torch.int64, device=CPU)


def _forward_fake(x: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((bytes_for(x.numel()),), dtype=torch.uint8)


def _backward_fake(g: Tensor, *args: Any) -> Tensor:
    return torch.empty_like(g)


def _multipliers_fake(x: Tensor, *args: Any) -> Tensor:
    return x.new_empty(x.shape, dtype=compute_dtype(x.dtype))


def _forward_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, key, *ctx.rest = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], key)


def _forward_gradient(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
    bits, key = ctx.saved_tensors
    return torch.ops.rrelu_compat_v2.backward(g, bits, key, *ctx.rest), *(None,) * (
        1 + len(ctx.rest)
    )


def _backward_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, bits, key, *ctx.rest = inputs
    ctx.save_for_backward(bits, key)


def _backward_gradient(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    bits, key = ctx.saved_tensors
    return torch.ops.rrelu_compat_v2.backward(g, bits, key, *ctx.rest), *(None,) * (
        2 + len(ctx.rest)
    )


def _multipliers_vmap(
    info: Any,
    in_dims: tuple[Any, ...],
    x: Tensor,
    key: Tensor,
    lower: float,
    upper: float,
    start: int = 0,
    index_strides: Any = None,
) -> tuple[Tensor, int]:
    """Slopes of a batch: "different" numbers the whole batched tensor, batch first; "same" each sample."""
    if in_dims[0] is None:
        raise NotImplementedError("a batch of keys (RReLU draws one key for a whole vmap)")
    if info.randomness == "error":
        raise RuntimeError(
            'vmap: RReLU in training is a random operation; call vmap with randomness="different" '
            '(slopes by the index in the whole batched tensor) or randomness="same" (by that in the sample)'
        )
    x = x.movedim(in_dims[0], 0)
    sample = x.shape[1:]
    if index_strides is None:
        index_strides = c_strides(sample)
    batch = sample.numel() if info.randomness == "different" else 0
    strides = [batch, *index_strides]
    return torch.ops.rrelu_compat_v2.multipliers(x, key, lower, upper, start, strides), 0


for _name, _real, _fake in (
    ("draw_at", draw_at, _draw_fake),
    ("draw_alone", draw_alone, _draw_alone_fake),
    ("forward", forward, _forward_fake),
    ("backward", backward, _backward_fake),
    ("multipliers", multipliers, _multipliers_fake),
):
    library.impl(_name, _real, "CompositeExplicitAutograd")
    torch.library.register_fake(f"{NAMESPACE}::{_name}", _fake, lib=library)


torch.library.register_autograd(
    f"{NAMESPACE}::forward", _forward_gradient, setup_context=_forward_context, lib=library
)
torch.library.register_autograd(
    f"{NAMESPACE}::backward", _backward_gradient, setup_context=_backward_context, lib=library
)
torch.library.register_vmap(f"{NAMESPACE}::multipliers", _multipliers_vmap, lib=library)

calls: Any = torch.ops.rrelu_compat_v2
