"""One forward and backward pass of a model, with everything that passes its layers recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from rrelu_compat.generator import process_generator
from rrelu_compat.porting.models.comparing.structures import opaque_parts, tensors_in

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.draws import Draws
    from rrelu_compat.porting.models.frameworks import Framework


class Key(NamedTuple):
    """What was recorded: the path of the layer, which of its calls, what, and which tensor of it.

    `what` is "input", "output", "input gradient", or, for ``path=""``, "loss". `item` is the place in a
    structure, as ``"[0]"`` or ``"['logits']"``, and ``""`` for a tensor alone.
    """

    path: str
    call: int
    what: str
    item: str


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
        The tensor itself of each input, for the length of the pass; layers that share one share its
        gradient.
    calls : dict of str to int
        How often each layer was called.
    opaque : dict of str to str
        By path, the types of objects in outputs that were not looked into.
    error : Exception or None
        What the model raised.
    """

    values: dict[Key, NDArray[Any]] = field(default_factory=dict)
    functional: dict[Key, int] = field(default_factory=dict)
    drawn: dict[Key, str] = field(default_factory=dict)
    tensors: dict[Key, Any] = field(default_factory=dict)
    sharing: dict[Key, list[str]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    opaque: dict[str, str] = field(default_factory=dict)
    error: Exception | None = None

    def with_the_input_of(self, key: Key) -> list[str]:
        """Return the paths of the layers that got the same tensor."""
        return self.sharing.get(key, [])


def record(
    framework: Framework,
    model: Any,
    layers: Mapping[str, Any],
    ends: Collection[str],
    arguments: Sequence[Any],
    keywords: Mapping[str, Any],
    loss: Callable[[Any], Any] | None,
    *,
    draws: Draws,
    go_on_with: Callable[[Key, NDArray[Any]], NDArray[Any] | None] | None = None,
) -> Recording:
    """Run ``loss(model(*arguments, **keywords)).backward()`` and record what passes each layer.

    Gradients at the inputs are recorded of the layers whose paths are in `ends`. An exception ends the
    recording and is kept in it. Without `loss` there is no backward pass. `go_on_with` may put another
    value in the place of what those layers take, return and get as a gradient.
    """
    recording = Recording()
    recorder = _Recorder(framework, recording, draws, go_on_with)
    handles = [
        handle
        for path, layer in layers.items()
        for handle in recorder.watch(path, layer, path in ends)
    ]
    try:
        output = model(*arguments, **keywords)
        for handle in handles:
            handle.remove()
        handles = []
        if loss is not None:
            value = loss(output)
            recording.values[Key("", 0, "loss", "")] = framework.to_numpy(value)
            value.backward()
    except Exception as error:
        recording.error = error
    finally:
        # Hooks on tensors hold the recording, and autograd holds the hooks.
        for handle in (*handles, *recorder.gradient_handles):
            handle.remove()
        recorder.end()
    return recording


class _Recorder:
    """The hooks of one pass."""

    def __init__(
        self,
        framework: Framework,
        recording: Recording,
        draws: Draws,
        go_on_with: Callable[[Key, NDArray[Any]], NDArray[Any] | None] | None,
    ) -> None:
        self.recording = recording
        self.gradient_handles: list[Any] = []
        self._framework = framework
        self._draws = draws
        self._go_on_with = go_on_with
        self._state = (_calls(), framework.random_state())
        # What a layer returns the next one takes: one copy serves both.
        self._copies: dict[int, tuple[Any, int, NDArray[Any]]] = {}

    def watch(self, path: str, layer: Any, is_end: bool) -> list[Any]:
        running: list[int] = []  # calls: a layer may call itself

        def on_entry(_: Any, arguments: Any, keywords: Any) -> None:
            call = self.recording.calls.get(path, 0)
            self.recording.calls[path] = call + 1
            running.append(call)
            self._draws.enter(path)
            given = (arguments, keywords) if keywords else arguments
            self._keep(path, call, "input", given, is_end)

        def on_exit(_: Any, arguments: Any, output: Any) -> None:
            self._draws.leave(path)
            for part in opaque_parts(output, self._framework):
                self.recording.opaque.setdefault(path, part)
            self._keep(path, running.pop(), "output", output, is_end)

        return self._framework.hook(layer, on_entry, on_exit)

    def end(self) -> None:
        """Let go of the tensors and of the recording; keep in it which layers share an input.

        Paddle keeps the hooks of a backward pass that raised.
        """
        by_tensor: dict[int, list[str]] = {}
        for key, tensor in self.recording.tensors.items():
            if key.path:
                by_tensor.setdefault(id(tensor), []).append(key.path)
        for key, tensor in self.recording.tensors.items():
            self.recording.sharing[key] = by_tensor.get(id(tensor), [])
        self.recording.tensors.clear()
        self._copies.clear()
        del self.recording

    def _keep(self, path: str, call: int, what: str, structure: Any, is_end: bool) -> None:
        """Record the tensors of a structure, and write into them what is to go on."""
        framework, recording = self._framework, self.recording
        before, self._state = self._state, (_calls(), framework.random_state())
        # Ours move on the framework's state as well.
        drawn = (
            "ours"
            if self._state[0] != before[0]
            else "theirs"
            if self._state[1] != before[1]
            else ""
        )
        for item, tensor in tensors_in(structure, framework).items():
            key = Key(path, call, what, item)
            values = self._copy(tensor)
            recording.values[key] = values
            recording.functional[key] = self._state[0]
            recording.drawn[key] = drawn
            if what == "input" and is_end and framework.asks_gradient(tensor):
                recording.tensors[key] = tensor
                receive = self._receiver(key._replace(what=f"{what} gradient"), is_end)
                self.gradient_handles.append(framework.on_gradient(tensor, receive))
            if self._go_on_with is not None and is_end and path:
                other = self._go_on_with(key, values)
                if other is not None:
                    # In its memory: what the tensor is a view of, and what autograd kept, go along.
                    framework.write(tensor, other)
                    self._copies.pop(id(tensor), None)

    def _receiver(self, key: Key, is_end: bool) -> Callable[[Any], Any]:
        def receive(gradient: Any) -> Any:
            values = self._framework.to_numpy(gradient)
            self.recording.values[key] = values
            if self._go_on_with is not None and is_end and key.path:
                other = self._go_on_with(key, values)
                if other is not None:
                    return self._framework.from_numpy(other, gradient)
            return None

        return receive

    def _copy(self, tensor: Any) -> NDArray[Any]:
        version = self._framework.version(tensor)
        kept = self._copies.get(id(tensor))
        if kept is None or kept[0] is not tensor or kept[1] != version:
            kept = (tensor, version, self._framework.to_numpy(tensor))
            self._copies[id(tensor)] = kept
        return kept[2]


def _calls() -> int:
    generator = process_generator()
    return 0 if generator is None else generator.call
