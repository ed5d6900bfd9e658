"""The numbers of dropout and its like: the same in both frameworks, from the slopes' counter stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.generator import Generator
from rrelu_compat.slopes import slopes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# The streams of the RReLU layers are the seed folded with small numbers.
_FIRST = 2**40
_GRID = 2.0**24


class Draws:
    """The random numbers of one pass.

    Each draw is numbered within the innermost layer in which it happens that the other model has, too:
    so code between layers, layers, and what a framework makes of several layers draw the same.

    Parameters
    ----------
    seed : int
    step : int
    numbers : dict of str to int
        The number of each paired layer, by its path in this model.
    """

    def __init__(self, seed: int, step: int, numbers: dict[str, int]) -> None:
        self._root = Generator(seed).fold_in(_FIRST + step)
        self._numbers = numbers
        self._within = [0]
        self._streams: dict[int, Generator] = {}
        #: How many elements each place drew, and what for: (number of the layer, words).
        self.made: list[tuple[int, str]] = []

    def enter(self, path: str) -> None:
        """A layer begins; one without counterpart counts as what it stands in."""
        self._within.append(self._numbers.get(path, self._within[-1]))

    def leave(self, path: str) -> None:
        """A layer ends."""
        self._within.pop()

    def uniform(self, shape: Sequence[int], what: str = "") -> NDArray[np.float64]:
        """Return numbers in [0, 1), exact in float32."""
        place = self._within[-1]
        stream = self._streams.setdefault(place, self._root.fold_in(place))
        seed, call = stream.take()
        self.made.append((place, what))
        fine = slopes(tuple(shape), 0.0, 1.0, seed=seed, call=call, dtype="float64")
        coarse: NDArray[np.float64] = np.floor(np.minimum(fine, 1 - 1 / _GRID) * _GRID) / _GRID
        return coarse

    def normal(self, shape: Sequence[int], what: str = "") -> NDArray[np.float64]:
        """Return standard normal numbers (Box and Muller), exact in float32."""
        one, two = self.uniform((2, *shape), what)
        values = np.sqrt(-2 * np.log(1 - one)) * np.cos(2 * np.pi * two)
        return values.astype(np.float32).astype(np.float64)  # type: ignore[no-any-return]

    def exponential(self, shape: Sequence[int], what: str = "") -> NDArray[np.float64]:
        """Return exponential numbers, above zero, exact in float32."""
        values: NDArray[np.float64] = -np.log1p(-self.uniform(shape, what)) + 2.0**-30
        return values.astype(np.float32).astype(np.float64)

    def gumbel(self, shape: Sequence[int]) -> NDArray[np.float64]:
        """Return the noise of ``gumbel_softmax``."""
        return -np.log(self.exponential(shape, "gumbel_softmax"))


class CurrentDraws:
    """Where the frameworks' functions find the `Draws` of the pass that is running."""

    def __init__(self) -> None:
        self.draws: Draws | None = None


def replaced_by(where: CurrentDraws, original: Any, new: Callable[..., Any]) -> Any:
    """Return a function that draws from `where` while a pass is running, and is `original` otherwise."""

    def call(*arguments: Any, **keywords: Any) -> Any:
        if where.draws is None:
            return original(*arguments, **keywords)
        return new(where.draws, original, *arguments, **keywords)

    return call
