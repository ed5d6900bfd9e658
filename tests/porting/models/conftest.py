"""One description of a network for both frameworks: `Kit` names what they call differently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
import pytest
import torch

import rrelu_compat.paddle
import rrelu_compat.torch
from rrelu_compat.porting import copy_weights

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Kit:
    """The names of one framework."""

    name: str
    all: Any
    F: Any
    Module: type
    RReLU: type
    rrelu: Any
    #: Layers whose names differ; the others are ``kit.nn.X``.
    other_names: dict[str, str]

    @property
    def nn(self) -> Any:
        """The framework's layers."""
        return self.all.nn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.all.nn, self.other_names.get(name, name))

    def swapped_axes(self, x: Any, one: int, other: int) -> Any:
        """Exchange two axes."""
        axes = list(range(x.ndim))
        axes[one], axes[other] = axes[other], axes[one]
        return x.permute(axes) if self.name == "torch" else x.transpose(axes)

    def joined(self, tensors: list[Any], axis: int) -> Any:
        """Concatenate."""
        return (self.all.cat if self.name == "torch" else self.all.concat)(tensors, axis)

    def freeze(self, layer: Any) -> None:
        """Ask for no gradients of the layer's parameters."""
        for parameter in layer.parameters():
            if self.name == "torch":
                parameter.requires_grad = False
            else:
                parameter.stop_gradient = True


_PADDLE_NAMES = {
    "Conv2d": "Conv2D",
    "ConvTranspose2d": "Conv2DTranspose",
    "BatchNorm1d": "BatchNorm1D",
    "BatchNorm2d": "BatchNorm2D",
    "InstanceNorm2d": "InstanceNorm2D",
    "MaxPool2d": "MaxPool2D",
    "AvgPool2d": "AvgPool2D",
    "ModuleList": "LayerList",
}
TORCH = Kit(
    "torch",
    torch,
    torch.nn.functional,
    torch.nn.Module,
    rrelu_compat.torch.RReLU,
    rrelu_compat.torch.rrelu,
    {},
)
PADDLE = Kit(
    "paddle",
    paddle,
    paddle.nn.functional,
    paddle.nn.Layer,
    rrelu_compat.paddle.RReLU,
    rrelu_compat.paddle.rrelu,
    _PADDLE_NAMES,
)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Make the same models in every run: a sum near zero would be a matter of luck."""
    torch.manual_seed(0)
    paddle.seed(0)


def _both(
    make: Callable[[Kit], Any],
    dtype: str = "float64",
    *,
    port: Callable[[Kit], Any] | None = None,
    copy: bool = True,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Return ``make(kit)`` in both frameworks (``port(kit)`` in Paddle, if given), with the same weights.

    Built in `dtype`, because Paddle's recurrent layers and layers in plain lists can't be converted.
    """
    torch.manual_seed(seed)
    paddle.seed(seed)
    torch.set_default_dtype(getattr(torch, dtype))
    paddle.set_default_dtype(dtype)
    try:
        ours, theirs = make(TORCH), (port or make)(PADDLE)
    finally:
        torch.set_default_dtype(torch.float32)
        paddle.set_default_dtype("float32")
    random = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.from_numpy(random.normal(size=tuple(parameter.shape)) * 0.4))
        for layer in ours.modules():
            if getattr(layer, "padding_idx", None) is not None:
                layer.weight[layer.padding_idx] = 0
    if copy:
        copy_weights(ours, theirs)
    return ours, theirs


@pytest.fixture(scope="session")
def both() -> Callable[..., tuple[Any, Any]]:
    """Build a network in both frameworks: ``both(make, dtype)``."""
    return _both


def _convolutional(kit: Kit, forward: Callable[[Any, Any], Any] | None = None) -> Any:
    """Convolutions, normalization, a block, a layer used twice, functional RReLU, a square linear layer."""

    class Net(kit.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = kit.Conv2d(1, 4, 3, padding=1), kit.BatchNorm2d(4)
            self.act = kit.RReLU(0.1, 0.4, inplace=True)
            self.block = kit.Sequential(kit.Conv2d(4, 4, 3, padding=1), kit.RReLU())
            self.pool = kit.MaxPool2d(2)
            self.hidden, self.square = kit.Linear(64, 16), kit.Linear(16, 16)
            self.twice = kit.RReLU(0.2, 0.9)
            self.out = kit.Linear(16, 10)

        def features(self, x: Any) -> Any:
            x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
            return self.hidden(x.flatten(1))

        def forward(self, x: Any) -> Any:
            if forward is not None:
                return forward(self, x)
            return self.plain(x)

        def plain(self, x: Any) -> Any:
            x = kit.rrelu(self.features(x), training=self.training)
            x = self.twice(self.square(x))
            return self.out(self.twice(x - 0.1))

    return Net()


@pytest.fixture(scope="session")
def models() -> Callable[..., tuple[Any, Any]]:
    """Build the network and its port, whose forward may be another: ``models(forward, dtype)``."""

    def build(
        forward: Callable[[Any, Any], Any] | None = None, dtype: str = "float64"
    ) -> tuple[Any, Any]:
        return _both(_convolutional, dtype, port=lambda kit: _convolutional(kit, forward))

    return build


@pytest.fixture
def x() -> Any:
    """Six pictures."""
    return np.random.default_rng(0).normal(size=(6, 1, 8, 8))
