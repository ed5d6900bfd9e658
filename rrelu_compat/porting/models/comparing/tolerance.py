"""How much rounding explains: every threshold of `compare`, and what each is derived from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.comparing.recording import Key

#: The unit in the last place of 1, by dtype.
UNIT = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}
#: How many times its own sensitivity to one unit in the last place a value may be off: the frameworks
#: add in another order, over as many terms as a layer has, where the sensitivity is to one rounding.
TIMES = {"float64": 256.0, "float32": 64.0, "float16": 16.0, "bfloat16": 16.0}
#: How many units in the last place a value may be off that nothing moves.
LEAST = {"float64": 64.0, "float32": 64.0, "float16": 32.0, "bfloat16": 26.0}
#: A derived tolerance above this, in float64, would hide faults.
BLIND = 1e-5
#: Values smaller than this part of the largest of their sort in the model are noise beside it.
FLOOR = 1e-3
#: Of gradients, by dtype: where they cancel, what is left is the rounding of much larger terms.
GRADIENT_FLOORS = {"float64": 1e-3, "float32": 0.1, "float16": 0.5, "bfloat16": 0.5}
#: After steps of optimizers other than SGD, Momentum, Adam and AdamW, whose constants Paddle keeps as
#: float32 in ways that were not looked at.
OTHER_OPTIMIZERS = 1e-5


@dataclass
class Yardstick:
    """What is a rounding, for each value: from the model's own sensitivity, or as the caller says.

    Attributes
    ----------
    dtype : str
    given : float or None
        The caller's relative tolerance.
    moved : dict of Key to float
        How far one unit in the last place moves a value, at most.
    """

    dtype: str
    given: float | None
    moved: dict[Key, float] = field(default_factory=dict)

    @property
    def measures(self) -> bool:
        """Whether a derived tolerance in float64 can be too wide to be one."""
        return self.given is None and self.dtype == "float64"

    def relative(self, key: Key, scale: float) -> float:
        """Return the difference that rounding explains, as a part of `scale`."""
        if self.given is not None:
            return self.given
        least = LEAST[self.dtype] * UNIT[self.dtype]
        moved = TIMES[self.dtype] * self.moved.get(key, 0.0)
        return max(least, moved / scale) if scale > 0 else least


class Difference(NamedTuple):
    """How far two arrays are apart: relative to `scale`, and the worst element of `count` elements."""

    relative: float
    scale: float
    where: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None


def difference(one: NDArray[Any], other: NDArray[Any], floor: float = 0.0) -> Difference:
    """Return the largest difference relative to the largest value, `floor` at least.

    Infinite if the shapes differ, or what is infinite or NaN. Booleans and integers: 0 or infinite.
    """
    infinite = float("inf")
    if one.shape != other.shape:
        return Difference(infinite, floor)
    if one.dtype.kind not in "fc" or other.dtype.kind not in "fc":
        if np.array_equal(one, other):
            return Difference(0.0, floor)
        return _at(infinite, floor, one, other, one != other)
    finite = np.isfinite(one)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if not np.array_equal(finite, np.isfinite(other)) or not same[~finite].all():
        return _at(infinite, floor, one, other, ~same & ~(finite & np.isfinite(other)))
    if not one.size:
        return Difference(0.0, floor)
    wide = np.complex128 if "c" in one.dtype.kind + other.dtype.kind else np.float64
    one, other = np.where(finite, one, 0).astype(wide), np.where(finite, other, 0).astype(wide)
    apart = np.abs(one - other)
    scale = max(float(np.abs(one).max()), float(np.abs(other).max()), floor)
    if scale == 0:
        return Difference(0.0, 0.0)
    return _at(float(apart.max()) / scale, scale, one, other, apart)


def count_apart(one: NDArray[Any], other: NDArray[Any], allowed: float) -> int:
    """Return how many elements are apart by more than `allowed`."""
    if one.shape != other.shape:
        return max(one.size, other.size)
    if one.dtype.kind not in "fc":
        return int((one != other).sum())
    with np.errstate(invalid="ignore"):
        return int((~(np.abs(one - other) <= allowed) & (one != other)).sum())


def _at(
    relative: float, scale: float, one: NDArray[Any], other: NDArray[Any], apart: NDArray[Any]
) -> Difference:
    index = tuple(int(i) for i in np.unravel_index(int(np.argmax(apart)), apart.shape))
    values = tuple(float(np.real(array[index])) for array in (one, other))
    return Difference(relative, scale, index, (values[0], values[1]))


def largest(arrays: Iterable[NDArray[Any] | None]) -> float:
    """Return the largest finite magnitude in floating arrays, 0 if there is none."""
    found = 0.0
    for array in arrays:
        if array is not None and array.dtype.kind == "f" and array.size:
            found = max(found, float(np.abs(array[np.isfinite(array)]).max(initial=0.0)))
    return found
