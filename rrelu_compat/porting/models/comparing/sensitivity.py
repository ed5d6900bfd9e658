"""The model against itself, one unit in the last place aside: how far rounding moves each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.generator import Generator
from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.comparing.recording import Key
from rrelu_compat.porting.models.comparing.tolerance import UNIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.comparing.judge import Judge
    from rrelu_compat.porting.models.comparing.recording import Recording
    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models

#: How many times it is measured: a single value may happen to stand still.
RUNS = 2


class Standing:
    """The statistics and streams of a model as they stand, to be put back.

    Also tells what a pass left behind: gradients of parameters and statistics.
    """

    def __init__(self, framework: Framework, model: Any, layers: Mapping[str, Any]) -> None:
        self._framework, self._layers = framework, layers
        self._buffers = {
            (path, name): framework.to_numpy(tensor)
            for path, layer in layers.items()
            for name, tensor in self._tensors(layer).items()
        }
        self._calls = [
            (layer.generator, layer.generator.state_dict())
            for layer in layers.values()
            if isinstance(layer, RReLULayer) and isinstance(layer.generator, Generator)
        ]

    def _tensors(self, layer: Any) -> dict[str, Any]:
        # Paddle keeps running statistics as parameters that are not trained.
        return {**self._framework.parameters(layer), **self._framework.buffers(layer)}

    def buffer(self, path: str, name: str) -> NDArray[Any] | None:
        """Return a statistic as it stood."""
        return self._buffers.get((path, name))

    def put_back(self) -> None:
        """Put statistics and streams back."""
        self._put(self._buffers)
        for generator, state in self._calls:
            generator.load_state_dict(state)

    def put_after(self, results: Mapping[Key, NDArray[Any]]) -> None:
        """Put back the statistics that a pass left, from `results`; the streams have moved on."""
        self._put({(key.path, key.what): values for key, values in results.items()})

    def results(self) -> dict[Key, NDArray[Any]]:
        """Return gradients of parameters and statistics."""
        framework, found = self._framework, {}
        for path, layer in self._layers.items():
            for name, tensor in framework.parameters(layer).items():
                gradient = framework.gradient(tensor)
                if gradient is not None:
                    found[Key(path, 0, f"gradient of {name}", "")] = framework.to_numpy(gradient)
            for name, tensor in framework.buffers(layer).items():
                found[Key(path, 0, name, "")] = framework.to_numpy(tensor)
        return found

    def _put(self, values: Mapping[tuple[str, str], NDArray[Any]]) -> None:
        for path, layer in self._layers.items():
            for name, tensor in self._tensors(layer).items():
                if (path, name) in values:
                    self._framework.assign(tensor, values[path, name])


def make_equal(models: Models, judge: Judge, gradients: bool = False) -> None:
    """Give Paddle's parameters and statistics, or gradients, PyTorch's values."""
    torch, paddle = models.torch, models.paddle
    for pair in models.pairs.values():
        for link in judge.links(pair):
            if not gradients:
                values = link.to_paddle(torch.to_numpy(link.torch))
                if values is not None:
                    paddle.assign(link.paddle, values)
                continue
            one, two = torch.gradient(link.torch), paddle.gradient(link.paddle)
            if one is not None and two is not None:
                values = link.to_paddle(torch.to_numpy(one))
                if values is not None:
                    paddle.put_gradient(link.paddle, paddle.from_numpy(values, link.paddle))


def measure(
    framework: Framework,
    layers: Mapping[str, Any],
    plain: Recording,
    run: Callable[[Callable[[Key, NDArray[Any]], NDArray[Any] | None]], Recording],
    results: Callable[[], dict[Key, NDArray[Any]]],
    reset: Callable[[], None],
    dtype: str,
    seed: int,
) -> dict[Key, float]:
    """Return how far each value moves when weights and what layers return move by their last place.

    Parameters
    ----------
    plain : Recording
        Of the run that is the measure.
    run : callable
        Runs the model with the function it is given in `record`'s `go_on_with`.
    results : callable
        Returns what stands in the model after a pass: gradients of parameters and statistics.
    reset : callable
        Puts statistics and random streams back to where they were before the pass.
    """
    after = results()
    gradients = _gradients(framework, layers)
    parameters = [
        (tensor, framework.to_numpy(tensor))
        for layer in layers.values()
        for tensor in framework.parameters(layer).values()
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

            reset()
            for tensor, values in parameters:
                other = nudged(values)
                if other is not None:
                    framework.assign(tensor, other)
                    framework.put_gradient(tensor, None)
            again = run(lambda key, _: nudged(plain.values[key]) if key in plain.values else None)
            if again.error is not None:
                break
            for key, values in (*again.values.items(), *results().items()):
                before = plain.values.get(key, after.get(key))
                if before is not None and before.shape == values.shape and values.dtype.kind == "f":
                    with np.errstate(invalid="ignore"):
                        apart = np.abs(values.astype(np.float64) - before)
                    finite = apart[np.isfinite(apart)]
                    moved[key] = max(moved.get(key, 0.0), float(finite.max(initial=0.0)))
    finally:
        for tensor, values in parameters:
            framework.assign(tensor, values)
        for tensor, gradient in gradients:
            framework.put_gradient(tensor, gradient)
    return moved


def _gradients(framework: Framework, layers: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    tensors: Iterable[Any] = {
        id(tensor): tensor
        for layer in layers.values()
        for tensor in framework.parameters(layer).values()
    }.values()
    return [(tensor, framework.gradient(tensor)) for tensor in tensors]
