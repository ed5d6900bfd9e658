"""DTensor: each element gets the slope of its index in the whole tensor, however that is sharded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor, Replicate
from torch.distributed.tensor._utils import compute_local_shape_and_global_offset
from torch.distributed.tensor.placement_types import _StridedShard

from rrelu_compat.backends.torch import graphs
from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.backends.torch.seeds import take_anywhere
from rrelu_compat.backends.torch.tensors import key_tensor

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
            isinstance(placement, _StridedShard)
        ):
            raise TypeError(
                f"input is a DTensor placed {placement}: Shard, Replicate and Partial are allowed; "
                "call redistribute() first"
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
    shape = tuple(settled.shape)
    strides = [torch.Size(shape[k + 1 :]).numel() for k in range(len(shape))]
    _, offset = compute_local_shape_and_global_offset(
        settled.shape, settled.device_mesh, settled.placements
    )
    start = sum(o * s for o, s in zip(offset, strides, strict=True))
    if key is None:
        if training:
            seed, call, _ = take_anywhere(generator, _agreement(settled.device_mesh))
            key = key_tensor(seed, call)
        else:
            key = key_tensor(0, 0)
    y, _ = calls.forward(settled.to_local(), key, lower, upper, start, strides)
    whole = DTensor.from_local(
        y,
        settled.device_mesh,
        settled.placements,
        run_check=False,
        shape=settled.shape,
        stride=settled.stride(),
    )
    return graphs.finish(x, whole, inplace)
