"""Library operators: what graphs (compile, export, script), dispatch modes and transforms see of RReLU.

The version in the namespace must rise with every change of a schema or a fake kernel: inductor's cache on
disk does not know fake kernels and would reuse graphs made with the old one.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from rrelu_compat.backends.torch import cuda, eager, seeds
from rrelu_compat.backends.torch.tensors import (
    CPU,
    code_of,
    has_kernel,
    key_numbers,
    key_tensor,
    scaled,
    slope_tensor,
)

NAMESPACE = "rrelu_compat_v1"

library: Any = torch.library.Library(NAMESPACE, "DEF")  # type: ignore[no-untyped-call]
_KEY = "Tensor key, float lower, float upper, SymInt start=0, SymInt[]? index_strides=None"
library.define(
    "draw(Tensor state, bool own) -> Tensor",
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


def _compute(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _bytes(x: Tensor) -> Any:
    return (x.numel() + 7) // 8


def _strides(index_strides: Any) -> tuple[int, ...] | None:
    return None if index_strides is None else tuple(index_strides)


def draw(state: Tensor, own: bool) -> Tensor:
    """Take the ``(seed, call)`` of a training call from a Generator's state; return it and the next state.

    Functional: the caller copies the next state into the memory of the Generator. (Two draws that did not
    depend on one another would be merged into one by common subexpression elimination.)

    Parameters
    ----------
    state : Tensor
        int64, ``[seed, call]``.
    own : bool
        Whether to number calls with the state; if not, the number drawn from PyTorch is the seed.

    Returns
    -------
    Tensor
        int64, the key of the call and the next state: ``[seed, call, seed, call]``. One tensor, because
        partitioners that must save a draw (checkpoints in compiled functions) cannot save a tuple.
    """
    seed, call = key_numbers(state)
    taken = seeds.take_in_graph((seed, call) if own else None)
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
    return key_tensor(*seeds.take_in_graph(seeds.generator_by_handle(handle)))


def forward(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int = 0, index_strides: Any = None
) -> tuple[Tensor, Tensor]:
    """RReLU of `x` and the sign bits for `backward`."""
    strides = _strides(index_strides)
    if cuda.usable(x.device):
        return cuda.operator_forward(x, key, lower, upper, start, strides)
    if not has_kernel(x.device):
        return scaled(x, multipliers(x, key, lower, upper, start, index_strides)), _pack_bits(x)
    y = torch.empty_like(x)
    bits = eager.bits_like(x)
    pack = (code_of(x), lower, upper, *key_numbers(key), start, strides, None, False)
    eager.write_forward(x, y, bits.data_ptr(), pack)
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
    strides = _strides(index_strides)
    if cuda.usable(g.device):
        return cuda.operator_backward(g, bits, key, lower, upper, start, strides)
    if not has_kernel(g.device):
        many = eager.bits_multipliers(
            bits.to(CPU), g.shape, g.dtype, key_numbers(key), lower, upper, start, strides
        )
        return scaled(g, many.to(g.device))
    out = torch.empty_like(g)
    pack = (code_of(g), lower, upper, *key_numbers(key), start, strides, None, False)
    eager.write_backward(g, out, bits.data_ptr(), pack)
    return out


def _pack_bits(x: Tensor) -> Tensor:
    flags = (x >= 0).reshape(-1).to(torch.uint8)
    padded = torch.nn.functional.pad(flags, (0, -flags.numel() % 8)).view(-1, 8)
    weights = torch.tensor([1 << k for k in range(8)], dtype=torch.uint8, device=x.device)
    return (padded * weights).sum(1, dtype=torch.uint8)


def multipliers(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int = 0, index_strides: Any = None
) -> Tensor:
    """1 where ``x >= 0``, the slope elsewhere, in the compute dtype; never differentiated."""
    if lower == upper:
        return x.new_full(x.shape, upper, dtype=_compute(x.dtype)).masked_fill_(x >= 0, 1.0)
    strides = _strides(index_strides)
    if cuda.usable(x.device):
        out = cuda.operator_slopes(x, key, lower, upper, start, strides)
    else:
        out = slope_tensor(tuple(x.shape), x.dtype, key_numbers(key), lower, upper, start, strides)
        out = out.to(x.device)
    return out.masked_fill_(x >= 0, 1.0)


def _draw_fake(state: Tensor, own: bool) -> Tensor:
    return state.new_empty(4)


def _draw_alone_fake(handle: int, site: int) -> Tensor:
    return torch.empty(2, dtype=torch.int64, device=CPU)


def _forward_fake(x: Tensor, *args: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x), x.new_empty((_bytes(x),), dtype=torch.uint8)


def _backward_fake(g: Tensor, *args: Any) -> Tensor:
    return torch.empty_like(g)


def _multipliers_fake(x: Tensor, *args: Any) -> Tensor:
    return x.new_empty(x.shape, dtype=_compute(x.dtype))


def _forward_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, key, *ctx.rest = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1], key)


def _forward_gradient(ctx: Any, g: Tensor, _: Any) -> tuple[Any, ...]:
    bits, key = ctx.saved_tensors
    return torch.ops.rrelu_compat_v1.backward(g, bits, key, *ctx.rest), *(None,) * (
        1 + len(ctx.rest)
    )


def _backward_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    _, bits, key, *ctx.rest = inputs
    ctx.save_for_backward(bits, key)


def _backward_gradient(ctx: Any, g: Tensor) -> tuple[Any, ...]:
    bits, key = ctx.saved_tensors
    return torch.ops.rrelu_compat_v1.backward(g, bits, key, *ctx.rest), *(None,) * (
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
        index_strides = [sample[k + 1 :].numel() for k in range(len(sample))]
    batch = sample.numel() if info.randomness == "different" else 0
    strides = [batch, *index_strides]
    return torch.ops.rrelu_compat_v1.multipliers(x, key, lower, upper, start, strides), 0


for _name, _real, _fake in (
    ("draw", draw, _draw_fake),
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

calls: Any = torch.ops.rrelu_compat_v1
