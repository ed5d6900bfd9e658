"""Keys that live on a CUDA device: drawn there, or numbered by a Generator that is bound to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from rrelu_compat.backends.torch import recompute, seeds
from rrelu_compat.backends.torch.pack import DeviceKey
from rrelu_compat.backends.torch.tensors import key_numbers, key_tensor
from rrelu_compat.generator import Generator, process_generator

if TYPE_CHECKING:
    from torch import Tensor

    from rrelu_compat.backends.torch.recompute import Entry


class DeviceState:
    """The state of a Generator on a device: what `Generator.device` is while it is bound."""

    __slots__ = ("words",)

    def __init__(self, words: Tensor) -> None:
        self.words = words

    def read(self) -> tuple[int, int]:
        """Return seed and next call; waits for the device."""
        return key_numbers(self.words)

    def write(self, seed: int, call: int) -> None:
        """Continue at another position."""
        self.words.copy_(key_tensor(seed, call))

    def key(self) -> DeviceKey:
        """Take one call on the current stream, without the host; captured, each replay takes one."""
        with torch.inference_mode(False), torch.no_grad():
            taken = self.words.clone()
            self.words[1:].add_(1)
        return DeviceKey(taken)


def capturing() -> bool:
    """Whether the current stream is being captured into a CUDA graph."""
    initialized: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return initialized and torch.cuda.is_current_stream_capturing()


def refuse_capture(source: str) -> None:
    """Raise while a CUDA graph is captured: what the host decides now, every replay would repeat."""
    if capturing():
        raise RuntimeError(
            f"a CUDA graph is being captured, but the slopes come from {source}: every replay would have "
            "the same. Bind the Generator first, rrelu_compat.torch.bind_to_device(generator, device), or "
            "leave it out (and manual_seed off): PyTorch's generator of the device draws at each replay"
        )


def bind_to_device(generator: Generator, device: Any) -> None:
    """Move the state of a Generator to a CUDA device, so that captured CUDA graphs can advance it.

    Training calls on that device then take their numbers there, in the order of the stream, and a
    captured graph takes new ones at each replay. Reading the Generator (``call``, ``state_dict``,
    calls on other devices) waits for the device. Use it from one stream at a time, and not in a compiled
    function.

    Parameters
    ----------
    generator : rrelu_compat.Generator
        For the process-wide one: what `rrelu_compat.manual_seed` returned.
    device : torch.device or str
        A CUDA device.

    Raises
    ------
    TypeError, ValueError
        If `generator` is no `rrelu_compat.Generator`, or `device` no CUDA device.
    """
    if not isinstance(generator, Generator):
        raise TypeError(
            "generator must be a rrelu_compat.Generator, "
            f"got {type(generator).__name__} generator={generator!r}"
        )
    place = torch.device(device)
    if place.type != "cuda":
        raise ValueError(f"device must be a CUDA device, got device={device!r}")
    if place.index is None:
        place = torch.device("cuda", torch.cuda.current_device())
    _bind(generator, place)


def _bind(generator: Generator, device: torch.device) -> None:
    unbind(generator)
    with torch.inference_mode(False):
        generator.device = DeviceState(key_tensor(generator.seed, generator.call).to(device))


def unbind(generator: Generator) -> None:
    """Bring the state of a Generator back from the device; nothing happens if it is not bound."""
    bound = generator.device
    if bound is not None:
        position = bound.read()
        generator.device = None
        generator.reposition(*position)


def _drawn(device: torch.device, generator: torch.Generator | None) -> DeviceKey:
    """Draw a key on the device; in a capture PyTorch sees to it that each replay draws another."""
    words = torch.empty(2, dtype=torch.int64, device=device)
    return DeviceKey(words.random_(-(2**63), None, generator=generator), generator is None)


def _fresh(device: torch.device, generator: Any) -> tuple[Any, int]:
    if generator is None:
        generator = process_generator()
    if isinstance(generator, Generator):
        if generator.device is not None and generator.device.words.device == device:
            return generator.device.key(), 0
        refuse_capture(f"{generator!r}, which is on the host")
        return generator.take()
    if generator is None or generator.device == device or generator.device.type != "cpu":
        return _drawn(device, generator), 0
    refuse_capture("a torch.Generator on the CPU")
    return seeds.fresh_seed(generator), 0


def take(device: torch.device, generator: Any, what: Any) -> tuple[Any, int, Entry | None]:
    """`seeds.take` for a plain tensor on a CUDA device: the key stays there where it can.

    PyTorch's default CPU generator gives one number here too.
    """
    number = seeds.draw_number()
    if not recompute.watched():
        return *_fresh(device, generator), None
    entry, repeats = recompute.call(number, what, generator, lambda: _fresh(device, generator))
    if repeats and isinstance(entry.seed, DeviceKey) and entry.seed.default:
        # What comes after it in the region, dropout say, must find the device's generator as before.
        _drawn(device, None)
    return entry.seed, entry.call, entry
