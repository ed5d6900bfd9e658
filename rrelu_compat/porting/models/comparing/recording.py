"""One forward and backward pass of a model, with everything that passes its layers recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rrelu_compat.generator import process_generator

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.frameworks import Framework


class Key(NamedTuple):
    """What was recorded: the path of the layer, which of its calls, what, and which tensor of it.

    `what` is "input", "output", "input gradient", or, for ``path=""``, "loss".
    """

    path: str
    call: int
    what: str
    item: int


@dataclass
class Recording:
    """Values in the order they were seen, and what the pass left behind.

    Attributes
    ----------
    values : dict of Key to ndarray
        Of the forward pass, then of the backward pass.
    functional : dict of Key to int
        How many numbers had been taken from the process-wide stream when an input or output was seen.
    drawn : dict of Key to str
        What drew random numbers since the input or output that was seen before: "ours", functional
        calls of this package, or "theirs", the framework; "" for nothing.
    tensors : dict of Key to object
        The tensor itself of each input; layers that share one share its gradient.
    error : Exception or None
        What the model raised.
    """

    values: dict[Key, NDArray[Any]] = field(default_factory=dict)
    functional: dict[Key, int] = field(default_factory=dict)
    drawn: dict[Key, str] = field(default_factory=dict)
    tensors: dict[Key, Any] = field(default_factory=dict)
    error: Exception | None = None

    def with_the_input_of(self, key: Key) -> list[str]:
        """Return the paths of the layers that got the same tensor."""
        return [
            other.path
            for other, tensor in self.tensors.items()
            if tensor is self.tensors.get(key) and other.path
        ]


def tensors_in(structure: Any, framework: Framework) -> list[Any]:
    """Return the tensors in nested tuples, lists and dicts, in order."""
    if framework.is_tensor(structure):
        return [structure]
    if isinstance(structure, dict):
        structure = list(structure.values())
    if isinstance(structure, (tuple, list)):
        return [tensor for item in structure for tensor in tensors_in(item, framework)]
    return []


def record(
    framework: Framework,
    model: Any,
    layers: Mapping[str, Any],
    ends: Collection[str],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    loss: Callable[[Any], Any],
) -> Recording:
    """Run ``loss(model(*arguments, **keywords)).backward()`` and record what passes each layer.

    Gradients at the inputs are recorded of the layers whose paths are in `ends`. An exception ends the
    recording and is kept in it.
    """
    recording = Recording()
    state = [(_calls(), framework.random_state())]
    handles = [
        handle
        for path, layer in layers.items()
        for handle in _watch(framework, recording, state, path, layer, path in ends)
    ]
    try:
        output = model(*arguments, **keywords)
        for handle in handles:
            handle.remove()
        handles = []
        value = loss(output)
        recording.values[Key("", 0, "loss", 0)] = framework.to_numpy(value)
        value.backward()
    except Exception as error:
        recording.error = error
    finally:
        for handle in handles:
            handle.remove()
    return recording


def _calls() -> int:
    generator = process_generator()
    return 0 if generator is None else generator.call


def _watch(
    framework: Framework,
    recording: Recording,
    state: list[tuple[int, str | bytes]],
    path: str,
    layer: Any,
    gradients: bool,
) -> list[Any]:
    running: list[int] = []  # calls: a layer may call itself
    count = [0]

    def keep(call: int, what: str, structure: Any) -> None:
        (calls, random), state[0] = state[0], (_calls(), framework.random_state())
        # Ours move on the framework's state as well.
        drawn = "ours" if state[0][0] != calls else "theirs" if state[0][1] != random else ""
        for item, tensor in enumerate(tensors_in(structure, framework)):
            key = Key(path, call, what, item)
            recording.values[key] = framework.to_numpy(tensor)
            recording.functional[key] = state[0][0]
            recording.drawn[key] = drawn
            if what == "input" and gradients and framework.asks_gradient(tensor):
                recording.tensors[key] = tensor
                framework.on_gradient(tensor, receiver(Key(path, call, f"{what} gradient", item)))

    def receiver(key: Key) -> Callable[[Any], None]:
        def receive(gradient: Any) -> None:
            recording.values[key] = framework.to_numpy(gradient)

        return receive

    def on_entry(_: Any, arguments: Any, keywords: Any) -> None:
        running.append(count[0])
        count[0] += 1
        keep(running[-1], "input", (arguments, keywords))

    def on_exit(_: Any, arguments: Any, output: Any) -> None:
        keep(running.pop(), "output", output)

    return framework.hook(layer, on_entry, on_exit)


def relative_difference(one: NDArray[Any], other: NDArray[Any], floor: float = 0.0) -> float:
    """Return the largest difference relative to the largest value, `floor` at least.

    Infinite if the shapes differ, or what is infinite or NaN. Booleans and integers: 0 or infinite.
    """
    if one.shape != other.shape:
        return float("inf")
    if one.dtype.kind not in "fc" or other.dtype.kind not in "fc":
        return 0.0 if np.array_equal(one, other) else float("inf")
    finite = np.isfinite(one)
    if not np.array_equal(one[~finite], other[~finite], equal_nan=True):
        return float("inf")
    if not np.array_equal(finite, np.isfinite(other)):
        return float("inf")
    wide = np.complex128 if "c" in one.dtype.kind + other.dtype.kind else np.float64
    one, other = one[finite].astype(wide), other[finite].astype(wide)
    if not one.size:
        return 0.0
    scale = max(float(np.abs(one).max()), float(np.abs(other).max()), floor)
    return float(np.abs(one - other).max()) / scale if scale > 0 else 0.0
