"""Which layers of a PyTorch model and of its port to Paddle belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rrelu_compat.generator import Generator
from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models import frameworks
from rrelu_compat.porting.models.layers import layers_of, paths_that_correspond

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrelu_compat.porting.models.frameworks import Framework


@dataclass(frozen=True)
class Pair:
    """A layer and its counterpart, with their frameworks' paths."""

    path: str
    torch: Any
    paddle_path: str
    paddle: Any


@dataclass(frozen=True)
class Models:
    """Both models, their layers by path, and the pairs."""

    torch: Framework
    paddle: Framework
    torch_model: Any
    paddle_model: Any
    torch_layers: dict[str, Any]
    paddle_layers: dict[str, Any]
    pairs: dict[str, Pair]

    def ends(self) -> list[Pair]:
        """Return the model's own pair and those at whose inputs gradients are compared.

        A container's input is that of its first layer, where the gradient belongs. What has no
        sublayers in PyTorch may have some in Paddle, as recurrent layers do.
        """
        return [
            pair
            for pair in self.pairs.values()
            if pair.path == "" or not self.torch.children(pair.torch)
        ]

    def alone(self, native: bool = False) -> list[str]:
        """Say which layers have no counterpart; with `native`, of the RReLU layers only."""
        paired = {pair.paddle_path for pair in self.pairs.values()}
        only = [
            (path, "PyTorch", layer, self.torch.native)
            for path, layer in self.torch_layers.items()
            if path not in self.pairs
        ]
        only += [
            (path, "Paddle", layer, self.paddle.native)
            for path, layer in self.paddle_layers.items()
            if path not in paired
        ]
        return [
            f"{path!r} ({type(layer).__name__}) is in the {where} model only"
            for path, where, layer, kind in only
            if not native or isinstance(layer, kind)
        ]


def align(torch_model: Any, paddle_model: Any, names: Mapping[str, str]) -> Models:
    """Pair the layers of two models by path; RReLU layers without a namesake in order.

    Raises
    ------
    TypeError
        If the first is no PyTorch module or the second no Paddle layer.
    ValueError
        If `names` has a path that is not there.
    """
    sides = []
    for argument, model, wanted in (
        ("torch_model", torch_model, "torch"),
        ("paddle_model", paddle_model, "paddle"),
    ):
        framework = frameworks.framework_of(model, argument)
        if framework.name != wanted:
            raise TypeError(f"{argument} is a {framework.name} model: a {wanted} model is allowed")
        inner = framework.unwrapped(model)
        sides.append((framework, inner, layers_of(inner, framework)))
    (torch, torch_inner, torch_layers), (paddle, paddle_inner, paddle_layers) = sides
    for path, other in names.items():
        if path not in torch_layers or other not in paddle_layers:
            where = "torch_model" if path not in torch_layers else "paddle_model"
            raise ValueError(f"names has {path!r}: {other!r}, which {where} has not")
    found = paths_that_correspond(torch_layers, paddle_layers, names)
    found |= _rest_in_order(torch, paddle, torch_layers, paddle_layers, found)
    pairs = {
        path: Pair(path, layer, found[path], paddle_layers[found[path]])
        for path, layer in torch_layers.items()
        if path in found
    }
    return Models(torch, paddle, torch_inner, paddle_inner, torch_layers, paddle_layers, pairs)


def _rest_in_order(
    torch: Framework,
    paddle: Framework,
    torch_layers: Mapping[str, Any],
    paddle_layers: Mapping[str, Any],
    found: Mapping[str, str],
) -> dict[str, str]:
    ours = [
        path
        for path, layer in torch_layers.items()
        if isinstance(layer, torch.native) and path not in found
    ]
    theirs = [
        path
        for path, layer in paddle_layers.items()
        if isinstance(layer, paddle.native) and path not in found.values()
    ]
    return dict(zip(ours, theirs, strict=True)) if len(ours) == len(theirs) else {}


def rrelu_pairs(models: Models) -> list[Pair]:
    """Return the pairs of which one layer at least is an RReLU, the frameworks' own included."""
    return [
        pair
        for pair in models.pairs.values()
        if isinstance(pair.torch, models.torch.native)
        or isinstance(pair.paddle, models.paddle.native)
    ]


def give_generators(models: Models, seed: int) -> tuple[list[str], list[str]]:
    """Give both layers of each RReLU pair the same slopes; return the paths aligned and those not."""
    aligned: list[str] = []
    unaligned = [
        f"{place}: its slopes can't be made the same" for place in models.alone(native=True)
    ]
    for number, pair in enumerate(rrelu_pairs(models)):
        natives = [
            name
            for name, layer in (("PyTorch", pair.torch), ("Paddle", pair.paddle))
            if not isinstance(layer, RReLULayer)
        ]
        if natives:
            unaligned.append(
                f"{pair.path!r} is no RReLU of this package in {' and '.join(natives)}: "
                "its slopes can't be made the same; use rrelu_compat.porting.swap"
            )
            continue
        for layer in (pair.torch, pair.paddle):
            layer.generator = Generator(seed).fold_in(number)
        aligned.append(pair.path)
    return aligned, unaligned


def is_random(layer: Any) -> bool:
    """Whether a layer other than RReLU draws random numbers in training: dropout and its like."""
    if not layer.training:
        return False
    if "Dropout" in type(layer).__name__ or "DropPath" in type(layer).__name__:
        probability = getattr(layer, "p", getattr(layer, "drop_prob", 1))
    else:  # recurrent layers and attention
        probability = getattr(layer, "dropout", 0)
    return isinstance(probability, (int, float)) and probability > 0
