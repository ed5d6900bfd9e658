"""TorchScript: the operator of a training call, and what layers and functions become."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rrelu_compat.backends.torch.ops import library
from rrelu_compat.backends.torch.routes import apply
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec


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
            y: Tensor = torch.ops.rrelu_compat_v2.train(input, self.lower, self.upper)
            return input.copy_(y) if self.inplace else y
        return _evaluate(input, (self.lower + self.upper) / 2, self.inplace)


class ScriptedEvaluation(torch.nn.Module):
    """RReLU in evaluation, of PyTorch's own operators: it loads where this package is not imported."""

    __constants__ = ("inplace", "slope")

    def __init__(self, slope: float, inplace: bool) -> None:
        super().__init__()
        self.slope = slope
        self.inplace = inplace

    def forward(self, input: Tensor) -> Tensor:
        """Use the mean slope."""
        if self.training:
            raise RuntimeError(
                "this RReLU was scripted in evaluation mode and has no random slopes: script the model in "
                "training mode"
            )
        return _evaluate(input, self.slope, self.inplace)


def _evaluate(input: Tensor, slope: float, inplace: bool) -> Tensor:
    if inplace and slope < 0.0:  # PyTorch can't differentiate that in place
        return input.copy_(F.leaky_relu(input.clone(), slope))
    return F.leaky_relu(input, slope, inplace)


def rrelu(
    input: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    inplace: bool = False,
) -> Tensor:
    """What `rrelu_compat.torch.rrelu` is in a scripted function."""
    if lower > upper:
        raise ValueError(f"lower must be <= upper, got lower={lower}, upper={upper}")
    if training:
        y: Tensor = torch.ops.rrelu_compat_v2.train(input, lower, upper)
        return input.copy_(y) if inplace else y
    return _evaluate(input, (lower + upper) / 2, inplace)


def rrelu_(
    input: Tensor, lower: float = LOWER, upper: float = UPPER, training: bool = False
) -> Tensor:
    """What `rrelu_compat.torch.rrelu_` is in a scripted function."""
    return rrelu(input, lower, upper, training, True)


def neutral(
    x: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    positional: dict[str, str] | None = None,  # nobody has one
    training: bool | None = None,
    inplace: bool = False,
) -> Tensor:
    """What `rrelu_compat.rrelu` is in a scripted function."""
    if training is None:
        raise ValueError("rrelu() needs training=True or training=False by name")
    return rrelu(x, lower, upper, training, inplace)


def paddle_rrelu(
    x: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | None = None,
    inplace: bool = False,
) -> Tensor:
    """What the functions with Paddle's signature are in a scripted function."""
    return rrelu(x, lower, upper, training, inplace)


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
    if not training:
        return ScriptedEvaluation(spec.eval_slope, spec.inplace).eval()
    return ScriptedRReLU(spec.lower, spec.upper, spec.inplace)
