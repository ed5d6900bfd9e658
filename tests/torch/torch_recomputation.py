"""What the tests of recomputation share: the places slopes come from, a network, one step of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCES = ("process", "own", "torch", "framework")


class Source:
    """One of the places slopes come from, which `reset` puts back to its start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.generator: Any = {"own": Generator(9), "torch": torch.Generator()}.get(name)

    def reset(self) -> None:
        torch.manual_seed(3)
        rrelu_compat.manual_seed(None)
        if self.name == "own":
            self.generator.reposition(9)
        elif self.name == "torch":
            self.generator.manual_seed(4)
        elif self.name == "process":
            rrelu_compat.manual_seed(5)

    def layer(self, inplace: bool = False) -> RReLU:
        return RReLU(0.05, 0.6, inplace, generator=self.generator)


def network(source: Source, inplace: bool = False) -> nn.Sequential:
    torch.manual_seed(1)
    layer = source.layer(inplace)  # one layer, used twice in each segment
    return nn.Sequential(
        nn.Linear(6, 6), layer, nn.Dropout(0.3), nn.Linear(6, 6), layer, nn.Linear(6, 6)
    )


def result(
    source: Source, model: nn.Module, run: Callable[[torch.Tensor], torch.Tensor]
) -> list[torch.Tensor]:
    """Output and gradients of one step."""
    torch.manual_seed(2)
    x = torch.randn(4, 6, requires_grad=True)
    model.zero_grad()
    source.reset()
    y = run(x)
    (y**2).sum().backward()
    return [y.detach(), x.grad, *(p.grad.clone() for p in model.parameters())]


def assert_equal(a: list[torch.Tensor], b: list[torch.Tensor]) -> None:
    assert len(a) == len(b)
    assert all(torch.equal(u, v) for u, v in zip(a, b, strict=True))
