"""Routes for code that is being traced: torch.compile, torch.export, make_fx, jit.trace.

Everything here is written so that Dynamo can read it, and takes no call at trace time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.generator import process_generator

if TYPE_CHECKING:
    from torch import Tensor


def fresh_key() -> Tensor:
    """Return a key that a graph makes by itself: one number from PyTorch's default CPU generator."""
    number = torch.randint(0, 2**63 - 1, (1,), dtype=torch.int64, device="cpu")
    return torch.cat([number, torch.zeros(1, dtype=torch.int64, device="cpu")])


def check_exportable(generator: Any) -> None:
    """Raise where an exported training graph could not follow the stream of slopes it was asked for."""
    if generator is None and process_generator() is None:
        return
    raise RuntimeError(
        "an exported or traced training graph cannot carry a Generator: its state would be frozen, with "
        "the same slopes at every call. Export in evaluation mode, or without generator= and after "
        "rrelu_compat.manual_seed(None): slopes then follow PyTorch's default generator"
    )


def finish(x: Tensor, y: Tensor, inplace: bool) -> Tensor:
    """Return `y`, in place: as the new value of `x`."""
    return x.copy_(y) if inplace else y


def export(
    x: Tensor, lower: float, upper: float, training: bool, inplace: bool, generator: Any
) -> Tensor:
    """Under torch.export and make_fx: plain operators, a key drawn inside the graph.

    `lower` and `upper` are the range of the slopes: both the mean slope in evaluation.
    """
    if not training:
        return F.leaky_relu(x, lower, inplace)
    check_exportable(generator)
    y, _ = calls.forward(x, fresh_key(), lower, upper)
    return finish(x, y, inplace)
