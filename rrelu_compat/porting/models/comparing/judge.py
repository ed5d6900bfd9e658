"""Holds what two models did against each other, in the order of execution, and keeps the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.porting.models.comparing import causes, known
from rrelu_compat.porting.models.comparing.recording import Key, Recording, relative_difference
from rrelu_compat.porting.models.comparing.result import Divergence, Row
from rrelu_compat.porting.models.correspondence import kind_of, other_way

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.comparing.pairing import Models, Pair

#: Values smaller than this part of the largest of their sort in the model are noise beside it.
FLOOR = 1e-3
#: Of gradients, by dtype. Where they cancel (the bias before a normalization) what is left is the
#: rounding of much larger terms, so the floor times the tolerance has to hold many roundings.
GRADIENT_FLOORS = {"float64": 1e-3, "float32": 0.1, "float16": 0.5, "bfloat16": 0.5}
#: Relative difference of parameters after steps of optimizers whose constants Paddle keeps as float32.
AFTER_OPTIMIZER = 1e-5
#: Of running statistics, whose momentum Paddle keeps as float32.
STATISTICS = 1e-6


class Judge:
    """Compares step by step.

    Attributes
    ----------
    rows : list of Row
    first : Divergence or None
    losses : list of (float, float)
    notes : list of str
    """

    def __init__(
        self, models: Models, weights: dict[str, str], dtype: str, tolerance: float
    ) -> None:
        self.rows: list[Row] = []
        self.first: Divergence | None = None
        self.losses: list[tuple[float, float]] = []
        self.notes: list[str] = []
        self._models = models
        self._weights = weights
        self._floor = GRADIENT_FLOORS[dtype]
        self._tolerance = tolerance
        self._excuse = ""  # why nothing is judged any more
        self._samples: dict[str, int] = {}  # fewest values that a BatchNorm layer averaged over
        # By layer and name: the elements of parameters whose gradient is rounding only.
        self._noise: dict[tuple[str, str], NDArray[Any]] = {}

    def passes(self, step: int, ours: Recording, theirs: Recording) -> None:
        """Compare a forward and a backward pass."""
        self._forward(step, ours, theirs)
        if self.first is None or not self.first.quantity.startswith("exception"):
            self._backward(step, ours, theirs)

    def _forward(self, step: int, ours: Recording, theirs: Recording) -> None:
        values = {key: value for key, value in ours.values.items() if "gradient" not in key.what}
        floor = FLOOR * _largest(value for key, value in values.items() if key.what == "output")
        before = ""  # the last layer whose output agrees
        for key, value in values.items():
            pair = self._models.pairs.get(key.path)
            if pair is None:
                continue
            self._count_samples(pair, key, value)
            other = key._replace(path=pair.paddle_path)
            if other not in theirs.values:
                if theirs.error is not None:
                    break
                cause = causes.cause_of_missing_call(self._models, ours, theirs, pair)
                self._add(step, key.path, key.what, float("inf"), cause)
                continue
            difference = relative_difference(value, theirs.values[other], floor)
            if difference > self._tolerance and self.first is None:
                cause = self._forward_cause(pair, ours, theirs, key, other, before)
                if value.shape != theirs.values[other].shape:
                    shapes = f"{value.shape} in PyTorch, {theirs.values[other].shape} in Paddle"
                    cause = f"{cause} (shape {shapes})"
            else:
                cause = ""
            self._add(step, key.path, key.what, difference, cause)
            if key.what == "loss":
                self.losses.append((float(value), float(theirs.values[other])))
            elif key.what == "output" and self._is_leaf(pair):
                before = key.path
        if theirs.error is not None and self.first is None:
            last = next((key.path for key in reversed(theirs.values)), "")
            error = theirs.error
            text = f"Paddle's model raised {type(error).__name__}: {_shortened(str(error))}"
            self.first = Divergence(step, last, "exception", float("inf"), text)

    def _forward_cause(
        self, pair: Pair, ours: Recording, theirs: Recording, key: Key, other: Key, before: str
    ) -> str:
        if key.what == "loss":
            return "the outputs agree, so the two losses are not the same function"
        inside = key.what == "output" and self._is_leaf(pair)
        found = causes.cause_at_layer(self._models, pair, self._weights) if inside else None
        if found is None:
            found = causes.cause_of_mode(self._models, key.path)
        if found is None:
            if inside:
                return "it computes something else from the same input and the same weights"
            found = causes.cause_between(self._models, ours, theirs, key, other)
        if found is None and key.path == "" and key.what == "input":
            return "the models got different inputs"
        place = f"in the code after {before!r}: " if before and not inside else ""
        return place + (
            found or "functions, arithmetic or views between the layers are not the same"
        )

    def _backward(self, step: int, ours: Recording, theirs: Recording) -> None:
        keys = [key for key in ours.values if key.what == "input gradient"]
        keys.sort(key=lambda key: key.path == "")  # the model's input is that of a layer, too
        floor = self._floor * _largest(ours.values[key] for key in keys)
        gradients = {path: self._parameter_gradients(path) for path in self._models.pairs}
        largest = _largest(one for rows in gradients.values() for _, one, _ in rows)
        for key in keys:
            pair = self._models.pairs.get(key.path)
            if pair is None:
                continue
            # The parameters of the layers that take a tensor get their gradients before it does.
            for path in (*ours.with_the_input_of(key._replace(what="input")), key.path):
                self._add_gradients(step, path, gradients.pop(path, []), largest)
            other = key._replace(path=pair.paddle_path)
            if other in theirs.values:
                difference = relative_difference(ours.values[key], theirs.values[other], floor)
            else:
                difference = float("inf")
            cause = causes.cause_in_backward(self._models, pair, ours, theirs, key)
            self._add(step, key.path, key.what, difference, cause)
        for path in reversed(list(gradients)):
            self._add_gradients(step, path, gradients[path], largest)

    def _parameter_gradients(
        self, path: str
    ) -> list[tuple[str, NDArray[Any] | None, NDArray[Any] | None]]:
        torch, paddle = self._models.torch, self._models.paddle
        pair = self._models.pairs[path]
        own = torch.parameters(pair.torch)
        return [
            (
                name,
                _gradient(torch, tensor, lambda array: array),
                _gradient(paddle, other, lambda array, t=tensor, turn=turn: turn(array, t)),
            )
            for name, tensor, other, turn in self._tensors(pair)
            if name in own
        ]

    def _add_gradients(
        self, step: int, path: str, gradients: list[tuple[str, Any, Any]], largest: float
    ) -> None:
        for name, one, other in gradients:
            if one is None and other is None:
                continue
            if one is None or other is None:
                where = "PyTorch" if one is None else "Paddle"
                cause = f"no gradient reaches it in {where}: frozen, detached or not used"
                self._add(step, path, f"gradient of {name}", float("inf"), cause)
                continue
            if one.shape == other.shape:
                size = np.maximum(np.abs(one), np.abs(other))
                noise = (size <= self._tolerance * largest) & (size > 0)
                self._noise[path, name] = self._noise.get((path, name), False) | noise
            difference = relative_difference(one, other, self._floor * largest)
            cause = causes.cause_of_gradient(self._models.pairs[path])
            self._add(step, path, f"gradient of {name}", difference, cause)

    def parameters(self, step: int, optimizer: str, note: str | None) -> None:
        """Compare parameters and running statistics after an optimizer step; `note` is what to know of it."""
        torch, paddle = self._models.torch, self._models.paddle
        found = [
            (pair.path, name, tensor, torch.to_numpy(tensor), other, turn)
            for pair in self._models.pairs.values()
            for name, tensor, other, turn in self._tensors(pair)
        ]
        floor = FLOOR * _largest(one for _, _, _, one, _, _ in found)
        for path, name, tensor, one, other, turn in found:
            statistic = name.startswith("running_")
            two = turn(paddle.to_numpy(other), tensor)
            tolerance = self._tolerance
            if statistic:
                tolerance = max(tolerance, STATISTICS)
            elif note is not None:
                tolerance = max(tolerance, AFTER_OPTIMIZER)
            difference = relative_difference(one, two, 0.0 if statistic else floor)
            excuse = ""
            if name == "running_var" and known.is_biased_variance(
                one, two, self._samples.get(path, 0)
            ):
                excuse = known.BIASED_VARIANCE
            elif not statistic and note is not None and known.RMSPROP in note:
                excuse = known.RMSPROP
            elif not statistic and note is not None and difference > tolerance:
                noise = self._noise.get((path, name))
                if noise is not None and (
                    relative_difference(one[~noise], two[~noise], floor) <= tolerance
                ):
                    excuse = f"its gradient is rounding only, which {optimizer} scales up"
                    # The next step starts from one and the same value.
                    paddle.assign(other, turn(one, other))
            if statistic:
                cause = self._weights.get(path) or causes.cause_of_statistics(
                    self._models.pairs[path]
                )
            else:
                cause = "the gradients agree, so the optimizers do not: compare their settings"
            self._add(step, path, name, difference, cause, tolerance, excuse)
        if note is not None:
            self._tolerance = max(self._tolerance, AFTER_OPTIMIZER)
            if known.RMSPROP in note:
                self._excuse = known.RMSPROP

    def _tensors(self, pair: Pair) -> Iterator[tuple[str, Any, Any, Any]]:
        """Yield name, PyTorch's tensor, Paddle's, and ``turn(values of one, the other)``."""
        torch, paddle = self._models.torch, self._models.paddle
        ours = {**torch.parameters(pair.torch), **torch.buffers(pair.torch)}
        theirs = {**paddle.parameters(pair.paddle), **paddle.buffers(pair.paddle)}
        kind = kind_of(pair.torch)
        if kind is not None and kind is kind_of(pair.paddle):
            for name, other in kind.tensors:
                if name in ours and other in theirs:

                    def turn(array: NDArray[Any], like: Any, name: str = name) -> NDArray[Any]:
                        same = other_way(kind, name, pair.paddle, array, tuple(like.shape))
                        return array if same is None else same

                    yield name, ours[name], theirs[other], turn
            return
        for name, tensor in ours.items():
            if name in theirs and tuple(theirs[name].shape) == tuple(tensor.shape):
                yield name, tensor, theirs[name], lambda array, like: array
            else:
                text = f"{name!r} of {pair.path!r} ({type(pair.torch).__name__}) was not compared"
                if text not in self.notes:
                    self.notes.append(text)

    def _count_samples(self, pair: Pair, key: Key, value: NDArray[Any]) -> None:
        kind = kind_of(pair.torch)
        if key.what == "input" and kind is not None and kind.name == "BatchNorm" and value.ndim > 1:
            samples = value.size // max(value.shape[1], 1)
            self._samples[pair.path] = min(samples, self._samples.get(pair.path, samples))

    def _is_leaf(self, pair: Pair) -> bool:
        return not self._models.torch.children(pair.torch)

    def _add(
        self,
        step: int,
        path: str,
        quantity: str,
        difference: float,
        cause: str,
        tolerance: float | None = None,
        excuse: str = "",
    ) -> None:
        tolerance = self._tolerance if tolerance is None else tolerance
        excuse = (excuse or self._excuse) if difference > tolerance else ""
        layer = self._models.torch_layers[path]
        kind = type(layer).__name__
        self.rows.append(Row(step, path, kind, quantity, difference, tolerance, excuse))
        if self.first is None and not self.rows[-1].agrees:
            self.first = Divergence(step, path, quantity, difference, cause)


def _gradient(framework: Any, tensor: Any, turned: Any) -> NDArray[Any] | None:
    gradient = framework.gradient(tensor)
    return None if gradient is None else turned(framework.to_numpy(gradient))


def _largest(arrays: Iterable[NDArray[Any] | None]) -> float:
    """Return the largest finite magnitude in floating arrays, 0 if there is none."""
    largest = 0.0
    for array in arrays:
        if array is not None and array.dtype.kind == "f" and array.size:
            largest = max(largest, float(np.abs(array[np.isfinite(array)]).max(initial=0.0)))
    return largest


def _shortened(text: str, most: int = 600) -> str:
    """Leave out the middle of a long message: Paddle's may have whole tensors in them."""
    text = text.strip()
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
