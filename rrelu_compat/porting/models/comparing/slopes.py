"""The same slopes for both layers of each RReLU pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.generator import Generator
from rrelu_compat.layers import RReLULayer

if TYPE_CHECKING:
    from rrelu_compat.porting.models.pairing import Models, Pair


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
                f"{pair.path!r} is no RReLU of this package in {' and in '.join(natives)}: "
                "its slopes can't be made the same; use rrelu_compat.porting.swap"
            )
            continue
        for layer in (pair.torch, pair.paddle):
            layer.generator = Generator(seed).fold_in(number)
        aligned.append(pair.path)
    return aligned, unaligned
