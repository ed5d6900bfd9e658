"""Evaluation: the mean slope; nothing is drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from rrelu_compat.backends.torch import eager

if TYPE_CHECKING:
    from torch import Tensor


def plain(x: Tensor, code: int, slope: float, inplace: bool) -> Tensor:
    """Evaluation of a plain tensor; if `inplace`, `eager.check_in_place` comes first."""
    recorded = x.requires_grad and torch.is_grad_enabled()
    # The gradient of leaky_relu at 0 is the slope, ours is 1; a negative slope flips its zeros' sign.
    if recorded or slope < 0.0:
        return eager.forward(x, (code, slope, slope, 0, 0, 0, None, None, False), inplace)
    if inplace:
        return torch._C._nn.leaky_relu_(x, slope)
    # Of an empty tensor leaky_relu loses the strides.
    return torch._C._nn.leaky_relu(x, slope) if x.numel() else torch.empty_like(x)


def multipliers(x: Tensor, slope: float) -> Tensor:
    """Return 1 where ``x >= 0`` and the slope elsewhere, in the compute dtype, for any kind of tensor."""
    x = x.detach()
    compute = torch.float64 if x.dtype is torch.float64 else torch.float32
    one = torch.ones((), dtype=compute, device=x.device)
    return torch.where(x >= 0, one, torch.full_like(one, slope))
