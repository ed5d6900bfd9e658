"""DTensor: each element gets the slope of its index in the whole tensor, however that is sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor, Replicate

from rrelu_compat.backends.torch import graphs, private
from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.backends.torch.seeds import take_anywhere
from rrelu_compat.backends.torch.tensors import code_of, key_tensor
from rrelu_compat.layout import c_strides

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def _agreement(mesh: Any) -> Callable[[int], int]:
    """Return what makes a seed that each rank drew for itself the same on the whole mesh."""

    def agree(seed: int) -> int:
        shared = torch.tensor([seed], dtype=torch.int64, device=mesh.device_type)
        for dim in range(mesh.ndim):
            dist.broadcast(shared, group=mesh.get_group(dim), group_src=0)
        return int(shared.item())

    return agree


def _settled(x: DTensor) -> DTensor:
    """Return `x` without partial sums; RReLU of a sum is not the sum of RReLUs."""
    for placement in x.placements:
        if not (placement.is_shard() or placement.is_replicate() or placement.is_partial()) or (
            type(placement).__name__ == "_StridedShard"
        ):
            raise TypeError(
                "a DTensor must be placed by Shard, Replicate or Partial, "
                f"got {placement}: call redistribute() first"
            )
    if not any(p.is_partial() for p in x.placements):
        return x
    return x.redistribute(placements=[Replicate() if p.is_partial() else p for p in x.placements])


def apply(
    x: Any,
    lower: float,
    upper: float,
    training: bool,
    inplace: bool,
    generator: Any,
    key: Tensor | None = None,
) -> Tensor:
    """RReLU of a DTensor.

    Parameters
    ----------
    lower, upper : float
        The range of the slopes, both the mean slope in evaluation.
    key : Tensor, optional
        The key of a training call, where a compiled graph has drawn it.
    """
    settled = _settled(x)
    if key is None:
        key = _key(settled, lower, upper, training, generator)
    y, _ = calls.forward(settled.to_local(), key, lower, upper, *_index(settled))
    return graphs.finish(x, _sharded_as(settled, y), inplace)


def multipliers(x: Any, lower: float, upper: float, generator: Any) -> Tensor:
    """Return 1 where ``x >= 0`` and the slope elsewhere, sharded as `x`, for a training call."""
    if any(placement.is_partial() for placement in x.placements):
        raise TypeError(
            "input is a DTensor of partial sums under a transform of torch.func: call redistribute() first"
        )
    _settled(x)
    # Into a DTensor and out of it lead functions that transforms do not take; nothing here is differentiated.
    with private.clear_interpreters(), torch.no_grad():
        local = calls.multipliers(
            x.to_local(), _key(x, lower, upper, True, generator), lower, upper, *_index(x)
        )
        return _sharded_as(x, local)


def _key(x: DTensor, lower: float, upper: float, training: bool, generator: Any) -> Tensor:
    if not training:
        return key_tensor(0, 0)
    what = (x.numel(), code_of(x), lower, upper)
    seed, call, _ = take_anywhere(generator, what, _agreement(x.device_mesh))
    return key_tensor(seed, call)


def _index(x: DTensor) -> tuple[int, list[int]]:
    """Return the index of the first local element in the whole tensor, and the strides of indices."""
    sizes = list(x.shape)
    strides = list(c_strides(tuple(sizes)))
    mesh = x.device_mesh
    place: Any = mesh.get_coordinate()
    first = 0
    # Like torch.chunk: all parts but the last ones are as long as the first. (Not by PyTorch's own private
    # function: Dynamo of 2.11 does not trace it.)
    placements: Any = x.placements if place is not None else ()
    for dim, placement in enumerate(placements):
        if placement.is_shard():
            axis = placement.dim
            part = -(-sizes[axis] // mesh.size(dim))
            start = min(part * place[dim], sizes[axis])
            sizes[axis] = min(part, sizes[axis] - start)
            first += start * strides[axis]
    return first, strides


def _sharded_as(x: DTensor, local: Tensor) -> DTensor:
    return DTensor.from_local(
        local, x.device_mesh, x.placements, run_check=False, shape=x.shape, stride=x.stride()
    )
