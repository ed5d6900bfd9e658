"""The passes of both models in each step: inputs, losses and streams of random numbers at their places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.generator import Generator
from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.comparing.arguments import parameters_of, tensors_of
from rrelu_compat.porting.models.comparing.recording import Key, Recording, record
from rrelu_compat.porting.models.comparing.sensitivity import measure
from rrelu_compat.porting.models.comparing.structures import tensors_in
from rrelu_compat.porting.models.draws import CurrentDraws, Draws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.correspondence import Link
    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models


class Run:
    """The two models and what a pass of either needs.

    Attributes
    ----------
    sides : pair of (Framework, model, dict of layers)
    """

    def __init__(
        self,
        models: Models,
        seed: int,
        given: Mapping[int | str, NDArray[Any]],
        losses: tuple[Any, Any],
        stream: Generator,
        where: CurrentDraws,
        backward: bool,
    ) -> None:
        self.sides = (
            (models.torch, models.torch_model, models.torch_layers),
            (models.paddle, models.paddle_model, models.paddle_layers),
        )
        self._models = models
        self._seed, self._given, self._losses = seed, given, losses
        self._stream, self._where, self._backward = stream, where, backward
        self._drawn = [0, 0]  # functional calls so far, each framework's own
        self._begun = [0, 0]  # when the step began
        self._step = 0
        ends = models.ends()
        self._ends = {pair.path for pair in ends}, {pair.paddle_path for pair in ends}
        pairs = list(models.pairs.values())
        self._numbers = (
            {pair.path: number for number, pair in enumerate(pairs)},
            {pair.paddle_path: number for number, pair in enumerate(pairs)},
        )
        self._streams: list[tuple[Generator, int]] = []
        self._buffers: list[tuple[Any, str, Any, NDArray[Any]]] = []

    def begin(self, step: int) -> None:
        """Remember where the streams and PyTorch's statistics stand before a step."""
        self._step, self._begun = step, list(self._drawn)
        self._streams = [
            (layer.generator, layer.generator.call)
            for layer in self._models.torch_layers.values()
            if isinstance(layer, RReLULayer) and isinstance(layer.generator, Generator)
        ]
        self._buffers = self._statistics()

    def record(
        self,
        side: int,
        go_on_with: Callable[[Key, NDArray[Any]], NDArray[Any] | None] | None = None,
    ) -> Recording:
        """Run one of the models forward and backward."""
        framework, model, layers = self.sides[side]
        self._stream.reposition(self._seed, self._begun[side])
        draws = Draws(self._seed, self._step, self._numbers[side])
        arguments, keywords = tensors_of(framework, layers, self._given)
        loss = self._losses[side] or weighted_sum(framework, self._seed)
        self._where.draws = draws
        try:
            with (
                framework.keeps_random_state()
            ):  # what can't be aligned is the same in each repetition
                return record(
                    framework,
                    model,
                    layers,
                    self._ends[side],
                    arguments,
                    keywords,
                    loss if self._backward else None,
                    draws=draws,
                    go_on_with=go_on_with,
                )
        finally:
            self._where.draws = None
            self._drawn[side] = self._stream.call

    def sensitivity(
        self, plain: Recording, links: Mapping[str, list[Link]], dtype: str
    ) -> dict[Key, float]:
        """Return how far rounding moves what PyTorch's model does in this step."""
        after = self._statistics()
        calls = [generator.call for generator, _ in self._streams]
        drawn = self._drawn[0]
        try:
            return measure(
                self._models.torch,
                parameters_of(self._models.torch, self._models.torch_layers),
                plain,
                lambda aside: self.record(0, aside),
                lambda: self._results(links),
                self._reset,
                dtype,
                self._seed,
            )
        finally:
            self._drawn[0] = drawn
            self._put(after)
            for (generator, _), call in zip(self._streams, calls, strict=True):
                generator.reposition(generator.seed, call)

    def variances(self) -> dict[str, tuple[NDArray[Any], int]]:
        """Return PyTorch's running variances, and of how many batches they are."""
        torch, found = self._models.torch, {}
        for path, pair in self._models.pairs.items():
            buffers = torch.buffers(pair.torch)
            if "running_var" in buffers:
                count = buffers.get("num_batches_tracked")
                batches = 0 if count is None else int(torch.to_numpy(count))
                found[path] = torch.to_numpy(buffers["running_var"]), batches
        return found

    def make_gradients_equal(self, links: Mapping[str, list[Link]]) -> None:
        """Give Paddle's parameters the gradients of PyTorch's, so that optimizers start alike."""
        torch, paddle = self._models.torch, self._models.paddle
        for link in (link for of_layer in links.values() for link in of_layer):
            one, other = torch.gradient(link.torch), paddle.gradient(link.paddle)
            same = None if one is None or other is None else link.to_paddle(torch.to_numpy(one))
            if same is not None:
                paddle.put_gradient(link.paddle, paddle.from_numpy(same, link.paddle))

    def clear_gradients(self) -> None:
        """Forget the gradients of both models."""
        for framework, _, layers in self.sides:
            for tensor in parameters_of(framework, layers):
                framework.put_gradient(tensor, None)

    def _results(self, links: Mapping[str, list[Link]]) -> dict[Key, NDArray[Any]]:
        torch, found = self._models.torch, {}
        for path, of_layer in links.items():
            for link in of_layer:
                found[Key(path, 0, link.name, "")] = link.of_torch(torch.to_numpy(link.torch))
                gradient = torch.gradient(link.torch)
                if gradient is not None:
                    key = Key(path, 0, f"gradient of {link.name}", "")
                    found[key] = link.of_torch(torch.to_numpy(gradient))
        return found

    def _statistics(self) -> list[tuple[Any, str, Any, NDArray[Any]]]:
        torch = self._models.torch
        return [
            (layer, name, tensor, torch.to_numpy(tensor))
            for layer in self._models.torch_layers.values()
            for name, tensor in torch.buffers(layer).items()
        ]

    def _put(self, statistics: list[tuple[Any, str, Any, NDArray[Any]]]) -> None:
        for layer, name, tensor, values in statistics:
            self._models.torch.assign(tensor, values)
            layer._buffers[name] = tensor  # ``self.count += 1`` has put another one there

    def _reset(self) -> None:
        self._put(self._buffers)
        for generator, call in self._streams:
            generator.reposition(generator.seed, call)


def weighted_sum(framework: Framework, seed: int) -> Callable[[Any], Any]:
    def loss(output: Any) -> Any:
        found = sorted(tensors_in(output, framework).items())
        tensors = [t for _, t in found if framework.asks_gradient(t)]
        if not tensors:
            raise ValueError("the model returns no tensor with a gradient: give loss=")
        random = np.random.default_rng(seed)
        parts = []
        for tensor in map(framework.widened, tensors):
            shape = tuple(tensor.shape)
            weights = random.standard_normal(shape) / max(np.prod(shape, dtype=int), 1)
            parts.append((tensor * framework.from_numpy(weights, tensor)).sum())
        return sum(parts[1:], parts[0])

    return loss
