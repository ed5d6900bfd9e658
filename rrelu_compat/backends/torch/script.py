"""TorchScript: the operator of a training call, and the module that a layer becomes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rrelu_compat.backends.torch.ops import library
from rrelu_compat.backends.torch.routes import apply
from rrelu_compat.spec import RReLUSpec


@torch.library.impl(library, "train", "CompositeImplicitAutograd")
def train(x: Tensor, lower: float, upper: float) -> Tensor:
    """A training call as one operator of scripted and traced graphs: each run is an eager call."""
    result: Tensor = apply(x, RReLUSpec(lower, upper), True)
    return result


class ScriptedRReLU(torch.nn.Module):
    """RReLU in the form that TorchScript compiles."""

    __constants__ = ("lower", "upper", "inplace")

    def __init__(self, lower: float, upper: float, inplace: bool) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Random slopes if ``self.training``, else the mean slope."""
        if self.training:
            y: Tensor = torch.ops.rrelu_compat_v1.train(input, self.lower, self.upper)
        else:
            y = F.leaky_relu(input, (self.lower + self.upper) / 2)
        return input.copy_(y) if self.inplace else y


def scriptable(spec: RReLUSpec, training: bool, generator: Any) -> torch.nn.Module:
    """Return the module that ``torch.jit.script`` compiles in the place of a layer.

    Raises
    ------
    TypeError
        If the layer has a generator of its own.
    """
    if generator is not None:
        raise TypeError(
            f"generator={generator!r}: a scripted layer cannot carry a generator; use "
            "rrelu_compat.manual_seed or torch.manual_seed"
        )
    return ScriptedRReLU(spec.lower, spec.upper, spec.inplace).train(training)
