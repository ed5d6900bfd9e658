"""`Trial`: what a check works with. It draws examples, calls the subject, notes what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rrelu_compat.conformance import draws
from rrelu_compat.conformance.arithmetic import Array, epsilon, same_bits, tiny
from rrelu_compat.conformance.guarding import CheckFailure
from rrelu_compat.conformance.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.conformance.registry import Case


class Trial(Recorder):
    """One example of one case.

    Arrays are NumPy arrays; tensors are the subject's. The short methods (`forward`, `vjp`) take and
    return arrays; `tensor`, `apply` and `numpy` are for checks that look at the tensors themselves.

    Parameters
    ----------
    case : Case
        The check, and what it is run with.
    seed : int
        Start of the streams that this trial uses.
    source : Source, optional
        What is drawn from; the simplest choices if not given.
    large : bool
        Whether the profile has time for large sizes and long periods.
    """

    def __init__(
        self, case: Case, seed: int, source: draws.Source | None = None, large: bool = False
    ) -> None:
        super().__init__(case)
        self.seed = seed
        self.large = large
        self.source = source or draws.Source()

    # Drawing

    def draw_choice(self, options: tuple[str, ...]) -> str:
        """Draw one of `options`."""
        return options[self.source.one(len(options))]

    def draw_small(self, count: int) -> list[int]:
        """Draw `count` integers from 0 to 3; 0 where each new shape is expensive."""
        if self.claims("few_shapes"):
            return [0] * count
        return [int(k) for k in self.source.many(count, 4)]

    def draw_shape(self) -> tuple[int, ...]:
        """Draw a shape."""
        return draws.draw_shape(self.source, self.claims("few_shapes"))

    def draw_values(self, kind: str, shape: tuple[int, ...]) -> Array:
        """Draw an array of the case's dtype; `kind` as in `draws.table`."""
        count = int(np.prod(shape, dtype=np.int64))
        values = draws.table(self.dtype.name, kind, not self.claims("subnormals"))
        return values[self.source.many(count, values.size)].reshape(shape)

    def draw_array(self, kind: str = "any") -> Array:
        """Draw an array of any shape, contiguous."""
        return self.draw_values(kind, self.draw_shape())

    def draw_bounds(self) -> tuple[float, float]:
        """Draw ``(lower, upper)`` within the subject's interval, of few binary digits."""
        return draws.draw_bounds(self.source, self.subject.capabilities.bounds, True)

    def draw_any_bounds(self) -> tuple[float, float]:
        """Draw any ``(lower, upper)`` within the subject's interval."""
        return draws.draw_bounds(self.source, self.subject.capabilities.bounds, False)

    def draw_layout(self, array: Array, layouts: tuple[str, ...] = draws.LAYOUTS) -> Array:
        """Return the values of `array` in a drawn memory layout."""
        return draws.lay_out(array, self.draw_choice(layouts))

    def spread(self, shape: tuple[int, ...], low: float, high: float) -> Array:
        """Return numbers between `low` and `high` in the case's dtype: inputs of checks that run once."""
        return draws.spread(self.seed, shape, low, high).astype(self.dtype)

    def minus_ones(self, *shape: int) -> Array:
        """Return an array of -1, whose result in training is minus the slopes."""
        return np.full(shape, -1, self.dtype)

    # Judging

    def fail(self, message: str) -> NoReturn:
        """Fail the check."""
        raise CheckFailure(message)

    def ensure(self, condition: Any, message: str) -> None:
        """Fail with `message` unless `condition`."""
        if not condition:
            self.fail(message)

    def like(self, y: Array, x: Array, what: str) -> None:
        """Fail unless `y` has the shape and dtype of `x`."""
        self.ensure(y.shape == x.shape, f"{what} has shape {y.shape}, expected {x.shape}")
        self.ensure(y.dtype == x.dtype, f"{what} has dtype {y.dtype}, expected {x.dtype}")

    def equal(self, y: Array, expected: Array, what: str, x: Array | None = None) -> None:
        """Fail unless `y` has the bits of `expected`, any NaN equal to any other."""
        self.like(y, expected, what)
        self.holds(
            same_bits(y, expected),
            lambda at: (
                f"{what}{at} = {y[at]}, expected {expected[at]}"
                + (f" for x{at} = {x[at]}" if x is not None else "")
            ),
        )

    def specified(self, y: Array, expected: Array, x: Array | None = None, what: str = "y") -> None:
        """Fail unless `y` has the bits that the specification says, within the platform's limits.

        The sign of the result at ``x == 0`` is not looked at (the checks ``special.signed-zeros*``
        do that: one divergence, one failing check); without `x`, for a gradient, the sign of no
        zero is: a sum of two branches, ``0.0 + -0.0``, is as right as a choice between them.
        """
        self.like(y, expected, what)
        zeros = (y == 0) & (expected == 0)
        good = same_bits(y, expected) | (zeros if x is None else zeros & (x == 0))
        good |= self.within_limits(y, expected)
        self.holds(
            good,
            lambda at: (
                f"{what}{at} = {y[at]}, expected {expected[at]}"
                + (f" for x{at} = {x[at]}" if x is not None else "")
            ),
        )

    def within_limits(self, y: Array, expected: Array) -> Array:
        """Return where a difference is explained by a limit that the subject claims."""
        good = np.zeros(y.shape, bool)
        if not self.claims("negative_zero"):
            good |= (y == 0) & (expected == 0)
        if not self.claims("subnormals"):
            # What is just normal may come of a flushed step in between.
            good |= (np.abs(expected.astype(np.float64)) <= 2 * tiny(self.dtype)) & (y == 0)
        if not self.claims("compute_rounding"):
            good |= self._near(y, expected)
        return good

    def _near(self, y: Array, expected: Array) -> Array:
        a, b = y.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= 2 * epsilon(y.dtype) * np.abs(b) + tiny(y.dtype)
        return np.asarray(near | (a == b) | (np.isnan(a) & np.isnan(b)))

    def close(self, y: Array, expected: Array, what: str) -> None:
        """Fail unless two arrays agree up to two roundings of their dtype; NaN equals NaN."""
        self.like(y, expected, what)
        self.holds(
            self._near(y, expected),
            lambda at: f"{what}{at} = {y[at]}, expected {expected[at]} up to rounding",
        )

    def holds(self, good: Array, message: Callable[[Any], str]) -> None:
        """Fail with `message` of the first index where `good` is False."""
        good = np.asarray(good)
        if not good.all():
            first = np.unravel_index(int(np.argmin(good.reshape(-1))), good.shape)
            at = _Index(int(k) for k in first)
            count = int(good.size - good.sum())
            more = f" (and {count - 1} more of {good.size})" if count > 1 else ""
            self.fail(message(at) + more)


class _Index(tuple):  # type: ignore[type-arg]
    """An index that prints as ``[1, 2]``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"
