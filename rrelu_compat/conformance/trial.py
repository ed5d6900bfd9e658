"""`Trial`: what a check works with. It draws examples, calls the subject, notes what was done."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rrelu_compat.conformance import strategies
from rrelu_compat.conformance.calls import Calls
from rrelu_compat.conformance.numerics import Array, epsilon, same_bits, tiny

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.conformance.case import Case


class CheckFailure(AssertionError):
    """A requirement that does not hold; the message says which element, what it is and should be."""


class Trial(Calls):
    """One example of one case.

    Arrays are NumPy arrays; tensors are the subject's. The short methods (`forward`, `vjp`) take and
    return arrays; `tensor`, `apply` and `numpy` are for checks that look at the tensors themselves.

    Parameters
    ----------
    case : Case
        The check, and what it is run with.
    seed : int
        Start of the streams that this trial uses.
    draw : callable or None
        Draws from a Hypothesis strategy; None for checks that run once.
    """

    def __init__(self, case: Case, seed: int, draw: Any = None) -> None:
        super().__init__(case)
        self.seed = seed
        self._draw = draw

    # Drawing

    def draw(self, strategy: Any) -> Any:
        """Draw from a Hypothesis strategy."""
        return self._draw(strategy)

    def draw_choice(self, options: tuple[str, ...]) -> str:
        """Draw one of `options`."""
        return strategies.draw_choice(self.draw, options)

    def draw_small(self, count: int) -> list[int]:
        """Draw `count` integers from 0 to 3."""
        return strategies.draw_small(self.draw, count)

    def draw_shape(self) -> tuple[int, ...]:
        """Draw a shape."""
        return strategies.draw_shape(self.draw)

    def draw_values(self, kind: str, shape: tuple[int, ...]) -> Array:
        """Draw an array of the case's dtype; `kind` as in `strategies.table`."""
        count = int(np.prod(shape, dtype=np.int64))
        return strategies.draw_values(self.draw, self.dtype.name, kind, count).reshape(shape)

    def draw_array(self, kind: str = "any") -> Array:
        """Draw an array of any shape, contiguous."""
        return self.draw_values(kind, self.draw_shape())

    def draw_bounds(self) -> tuple[float, float]:
        """Draw ``(lower, upper)`` within the subject's interval, of few binary digits."""
        return strategies.draw_bounds(self.draw, self.subject.capabilities.bounds, True)

    def draw_any_bounds(self) -> tuple[float, float]:
        """Draw any ``(lower, upper)`` within the subject's interval."""
        return strategies.draw_bounds(self.draw, self.subject.capabilities.bounds, False)

    def draw_layout(self, array: Array, layouts: tuple[str, ...] = strategies.LAYOUTS) -> Array:
        """Return the values of `array` in a drawn memory layout."""
        return strategies.draw_layout(self.draw, array, layouts)

    def rng(self) -> np.random.Generator:
        """Return NumPy's generator, seeded for this trial: inputs of checks that run once."""
        return np.random.default_rng(self.seed)

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

    def specified(self, y: Array, expected: Array, x: Array, what: str = "y") -> None:
        """Fail unless `y` has the bits of `expected`; the sign of the result at 0 is not looked at.

        The checks ``special.signed-zeros*`` do that: one divergence, one failing check.
        """
        self.like(y, expected, what)
        self.holds(
            same_bits(y, expected) | ((x == 0) & (y == 0)),
            lambda at: f"{what}{at} = {y[at]}, expected {expected[at]} for x{at} = {x[at]}",
        )

    def close(self, y: Array, expected: Array, what: str) -> None:
        """Fail unless two arrays agree up to two roundings of their dtype; NaN equals NaN."""
        self.like(y, expected, what)
        a, b = y.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= 2 * epsilon(y.dtype) * np.abs(b) + tiny(y.dtype)
        self.holds(
            near | (a == b) | (np.isnan(a) & np.isnan(b)),
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
