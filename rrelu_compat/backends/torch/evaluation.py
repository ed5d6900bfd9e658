"""Evaluation: the mean slope; nothing is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from rrelu_compat.backends.torch.tensors import compute_dtype

if TYPE_CHECKING:
    from torch import Tensor


def native(x: Tensor, slope: float, inplace: bool) -> Tensor | None:
    """Return ``leaky_relu`` of a plain tensor where that is the specified result, else None.

    Its gradient at 0 is the slope, ours is 1; a negative slope flips its zeros' sign; and of an empty tensor
    it loses the strides.
    """
    if slope < 0.0 or (x.requires_grad and torch.is_grad_enabled()) or not x.numel():
        return None
    return F.leaky_relu(x, slope, inplace)


def multipliers(x: Tensor, slope: float) -> Tensor:
    """Return 1 where ``x >= 0`` and the slope elsewhere, in the compute dtype, for any kind of tensor."""
    x = x.detach()
    one = torch.ones((), dtype=compute_dtype(x.dtype), device=x.device)
    return torch.where(x >= 0, one, torch.full_like(one, slope))
