"""Where a training call takes its ``(seed, call)`` from."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from rrelu_compat.backends.torch import private
from rrelu_compat.backends.torch.recompute import Entry, is_recomputation_hook, recall, remember
from rrelu_compat.backends.torch.tensors import CPU
from rrelu_compat.generator import Generator, live_generators, process_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_graph_task = private.graph_task
_top_hooks = private.top_hooks
_forward_ad_enabled = private.forward_ad_enabled
_in_inference = torch.is_inference_mode_enabled

#: (seed, call, the entry of the recomputation log or None)
Taken = tuple[int, int, "Entry | None"]


def _scratch(device: torch.device) -> Tensor:
    # An inference or fake tensor here would fail in every later call.
    with torch.inference_mode(False), private.disable_current_modes():
        return torch.empty(1, dtype=torch.int64, device=device)


class _Scratch(threading.local):
    """One number's worth of memory for each thread: two threads must not read one draw."""

    def __init__(self) -> None:
        self.buffer = _scratch(CPU)
        # Reading through a memoryview costs a tenth of Tensor.item().
        self.words = memoryview(self.buffer.numpy())  # type: ignore[arg-type]


_local = _Scratch()

#: What graphs without a Generator thread through their draws, so that these keep their order and number.
FRAMEWORK_STATE = np.zeros(2, dtype=np.uint64)
FRAMEWORK_TENSOR = torch.from_numpy(FRAMEWORK_STATE).view(torch.int64)


def check_generator(generator: object) -> None:
    """Raise ``TypeError`` unless `generator` is None or something slopes can come from."""
    if generator is not None and not isinstance(generator, (Generator, torch.Generator)):
        raise TypeError(
            f"generator={generator!r} has type {type(generator).__module__}."
            f"{type(generator).__qualname__}: rrelu_compat.Generator, torch.Generator or None is allowed"
        )


def prepare(generator: Generator) -> None:
    """Give a Generator the tensor through which compiled graphs without gradients reach its state."""
    if generator.tensor is None:
        with torch.inference_mode(False), private.disable_current_modes():
            generator.tensor = torch.from_numpy(generator.state).view(torch.int64)


for _generator in live_generators():  # the process-wide one is always among them
    prepare(_generator)


def draw_number() -> int:
    """Draw one number from PyTorch's default CPU generator: each training call does so exactly once."""
    local = _local
    local.buffer.random_()
    number: int = local.words[0]
    return number


def fresh_seed(generator: torch.Generator) -> int:
    return int(_scratch(generator.device).random_(generator=generator).item())


def repeating() -> bool:
    """Whether a forward that runs now is the repetition of an earlier one."""
    if _graph_task() != -1:
        return True
    hooks = _top_hooks(False)
    return hooks is not None and is_recomputation_hook(hooks[0])


def take(generator: Any, agree: Callable[[int], int] | None = None) -> Taken:
    """Return the ``(seed, call)`` of one training call, and its entry in the recomputation log.

    Parameters
    ----------
    generator : rrelu_compat.Generator, torch.Generator or None
        None: the process-wide one if it is on, else PyTorch's default generator.
    agree : callable, optional
        Called with a seed that was drawn from a generator of PyTorch; returns the one to use.
    """
    number = draw_number()
    hooks = _top_hooks(False)
    if _graph_task() != -1 or (hooks is not None and is_recomputation_hook(hooks[0])):
        entry = recall(number)
        return entry.seed, entry.call, entry
    if generator is None:
        generator = process_generator()
    if generator is None:
        seed, call = number, 0
    elif isinstance(generator, Generator):
        seed, call = generator.take()
        agree = None
    else:
        check_generator(generator)
        seed, call = fresh_seed(generator), 0
    if agree is not None:
        seed = agree(seed)
    # What can be repeated is remembered: everything under saved-tensor hooks (non-reentrant checkpoints), and
    # everything below the forward of an autograd.Function (it turns forward AD off; no_grad does not).
    if hooks is not None or not (_forward_ad_enabled() or _in_inference()):
        return seed, call, remember(number, seed, call)
    return seed, call, None


def take_anywhere(generator: Any, agree: Callable[[int], int] | None = None) -> Taken:
    """`take` where transforms or dispatch modes are active: they must not see, batch or forbid the draw."""
    with contextlib.ExitStack() as stack:
        if private.functorch_active():
            stack.enter_context(private.clear_interpreters())
        stack.enter_context(private.disable_current_modes())
        return take(generator, agree)


def take_in_graph(own: tuple[int, int] | Generator | None) -> tuple[int, int]:
    """`take` for a graph that is running.

    Parameters
    ----------
    own : (seed, call), Generator or None
        Where the graph's Generator stands, or itself; None: the number drawn from PyTorch is the seed.
    """
    number = draw_number()
    if repeating():
        entry = recall(number)
        return entry.seed, entry.call
    if isinstance(own, Generator):
        own = own.take()
    seed, call = (number, 0) if own is None else own
    if _top_hooks(False) is not None or not (_forward_ad_enabled() or _in_inference()):
        remember(number, seed, call)
    return seed, call


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
