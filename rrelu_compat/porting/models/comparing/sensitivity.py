"""The model against itself, one unit in the last place aside: how far rounding moves each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.porting.models.comparing.tolerance import UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.comparing.recording import Key, Recording
    from rrelu_compat.porting.models.frameworks import Framework

#: How many times it is measured: a single value may happen to stand still.
RUNS = 3


def measure(
    framework: Framework,
    tensors: list[Any],
    plain: Recording,
    run: Callable[[Callable[[Key, NDArray[Any]], NDArray[Any] | None]], Recording],
    results: Callable[[], Mapping[Key, NDArray[Any]]],
    reset: Callable[[], None],
    dtype: str,
    seed: int,
) -> dict[Key, float]:
    """Return how far each value moves when weights and what layers take move by their last place.

    Each layer starts from the values of the plain run, so that this is what rounding does in it and in
    the code before it, not what became of all roundings before.

    Parameters
    ----------
    tensors : list
        The parameters, whose values and gradients are put back.
    plain : Recording
        Of the run that is the measure.
    run : callable
        Runs the model with the function it is given in `record`'s `go_on_with`.
    results : callable
        Returns what stands in the model after a pass: gradients of parameters, and statistics.
    reset : callable
        Puts statistics and random streams back to where they were before the pass.
    """
    after = results()
    before = [
        (tensor, framework.to_numpy(tensor), framework.gradient(tensor)) for tensor in tensors
    ]
    moved: dict[Key, float] = {}
    try:
        for number in range(RUNS):
            random = np.random.default_rng([seed, number])

            def nudged(
                values: NDArray[Any], random: np.random.Generator = random
            ) -> NDArray[Any] | None:
                if values.dtype.kind != "f" or not values.size:
                    return None
                step = random.choice((-UNIT[dtype], UNIT[dtype]), size=values.shape)
                return (values * (1 + step)).astype(values.dtype)  # type: ignore[no-any-return]

            def aside(
                key: Key,
                values: NDArray[Any],
                nudged: Callable[[NDArray[Any]], NDArray[Any] | None] = nudged,
            ) -> NDArray[Any] | None:
                same = plain.values.get(key)
                return None if same is None or same.shape != values.shape else nudged(same)

            reset()
            for tensor, values, _ in before:
                other = nudged(values)
                if other is not None:
                    framework.assign(tensor, other)
                framework.put_gradient(tensor, None)
            again = run(aside)
            if again.error is not None:
                break
            for key, values in (*again.values.items(), *results().items()):
                same = plain.values.get(key, after.get(key))
                if same is not None and same.shape == values.shape and values.dtype.kind == "f":
                    with np.errstate(invalid="ignore"):
                        apart = np.abs(values.astype(np.float64) - same)
                    finite = apart[np.isfinite(apart)]
                    moved[key] = max(moved.get(key, 0.0), float(finite.max(initial=0.0)))
    finally:
        for tensor, values, gradient in before:
            framework.assign(tensor, values)
            framework.put_gradient(tensor, gradient)
    return moved
