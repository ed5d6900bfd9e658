"""Where a training call takes its ``(seed, call)`` from."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rrelu_compat.backends.torch import private, recompute
from rrelu_compat.backends.torch.tensors import CPU
from rrelu_compat.fork import lock_that_forks_wait_for
from rrelu_compat.generator import Generator, live_generators, process_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from rrelu_compat.backends.torch.recompute import Entry

#: (seed, call, the entry of the recomputation log or None)
Taken = tuple[int, int, "Entry | None"]


def _scratch(device: torch.device) -> Tensor:
    # An inference or fake tensor here would fail in every later call.
    with private.outside():
        return torch.empty(1, dtype=torch.int64, device=device)


class _Scratch(threading.local):
    """One number's worth of memory for each thread: two threads must not read one draw."""

    def __init__(self) -> None:
        self.buffer = _scratch(CPU)
        with private.outside():
            # Reading through a memoryview costs a tenth of Tensor.item().
            self.words = memoryview(self.buffer.numpy())  # type: ignore[arg-type]


_local = _Scratch()
_drawing = lock_that_forks_wait_for()

#: What graphs without a Generator thread through their draws, so that these keep their order and number.
FRAMEWORK_STATE = np.zeros(2, dtype=np.uint64)
with private.outside():  # the first import may be anywhere
    FRAMEWORK_TENSOR = torch.from_numpy(FRAMEWORK_STATE).view(torch.int64)


def check_generator(generator: object) -> None:
    """Raise ``TypeError`` unless `generator` is None or something slopes can come from."""
    if generator is not None and not isinstance(generator, (Generator, torch.Generator)):
        raise TypeError(
            "generator must be a rrelu_compat.Generator, a torch.Generator or None, got "
            f"{type(generator).__module__}.{type(generator).__qualname__} generator={generator!r}"
        )


def prepare(generator: Generator) -> None:
    """Give a Generator the tensor through which compiled graphs without gradients reach its state."""
    if generator.tensor is None:
        with private.outside():
            generator.tensor = torch.from_numpy(generator.state).view(torch.int64)


for _generator in live_generators():  # the process-wide one is always among them
    prepare(_generator)


def draw_number() -> int:
    """Draw one number from PyTorch's default CPU generator: each training call does so exactly once."""
    local = _local
    # PyTorch's generator has a lock that a forked child never gets if another thread holds it at the fork.
    with _drawing:
        local.buffer.random_()
    number: int = local.words[0]
    return number


def fresh_seed(generator: torch.Generator) -> int:
    return int(_scratch(generator.device).random_(generator=generator).item())


def take(generator: Any, what: Any, agree: Callable[[int], int] | None = None) -> Taken:
    """Return the ``(seed, call)`` of one training call, and its entry in the recomputation log.

    Parameters
    ----------
    generator : rrelu_compat.Generator, torch.Generator or None
        None: the process-wide one if it is on, else PyTorch's default generator.
    what : tuple
        What the call is, by which a repetition of it is known again: elements, dtype code, bounds.
    agree : callable, optional
        Called with a seed that was drawn from a generator of PyTorch; returns the one to use.
    """
    # One number whatever the source, so that other random layers draw the same with and without checkpoints,
    # of any make.
    number = draw_number()
    if not recompute.watched():
        return *_fresh(number, generator, agree), None
    entry, _ = recompute.call(number, what, generator, lambda: _fresh(number, generator, agree))
    return entry.seed, entry.call, entry


def _fresh(
    number: int, generator: Any, agree: Callable[[int], int] | None = None
) -> tuple[int, int]:
    if generator is None:
        generator = process_generator()
    if generator is None or generator is torch.default_generator:
        seed = number
    elif isinstance(generator, Generator):
        return generator.take()
    else:
        check_generator(generator)
        seed = fresh_seed(generator)
    return (seed if agree is None else agree(seed)), 0


def take_anywhere(generator: Any, what: Any, agree: Callable[[int], int] | None = None) -> Taken:
    """`take` where transforms or dispatch modes are active: they must not see, batch or forbid the draw."""
    with contextlib.ExitStack() as stack:
        if private.functorch_active():
            stack.enter_context(private.clear_interpreters())
        stack.enter_context(private.disable_current_modes())
        stack.enter_context(private.without_vmap_mode())
        return take(generator, what, agree)


def take_in_graph(own: tuple[int, int] | Generator | None, place: int) -> tuple[int, int]:
    """`take` for a graph that is running.

    Parameters
    ----------
    own : (seed, call), Generator or None
        Where the graph's Generator stands, or itself; None: the number drawn from PyTorch is the seed.
    place : int
        Where in the graph the draw is.
    """
    number = draw_number()

    def fresh() -> tuple[int, int]:
        taken = own.take() if isinstance(own, Generator) else own
        return (number, 0) if taken is None else taken

    if not recompute.watched():
        return fresh()
    entry, _ = recompute.call(number, None, None, fresh, place)
    return entry.seed, entry.call


def generator_by_handle(handle: int) -> Generator | None:
    """Return the Generator whose ``id`` a graph carries; None for -1.

    Raises
    ------
    RuntimeError
        If it is no longer alive.
    """
    if handle == -1:
        return None
    for generator in live_generators():
        if id(generator) == handle:
            return generator
    raise RuntimeError("the rrelu_compat.Generator of this compiled graph is no longer alive")
