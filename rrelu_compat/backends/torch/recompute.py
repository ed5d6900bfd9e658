"""Recomputed forwards: which call a repeated training forward stands for.

Checkpointing runs the forward of a *region* a second time, in the backward pass, with PyTorch's default
CPU generator set back to where it was. Every training call draws one number from that generator, so the
repeated call draws the number of the original one, and the number finds the original ``(seed, call)``
in the log of the region. Numbers alone would not do: whoever reseeds PyTorch in every step
draws the same ones again and again. So a log is only read inside a recomputation, only the log of the
region that is being recomputed, and what is not found there, or not without doubt, raises.

A log hangs on the object that PyTorch itself keeps as long as the region can be recomputed: the checkpoint
frame (non-reentrant), or the context of the ``autograd.Function`` in whose forward the call was made
(reentrant checkpointing of any make, compiled graphs). It goes when the graph goes.
"""

from __future__ import annotations

import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

from rrelu_compat.backends.torch import private
from rrelu_compat.errors import RecomputeError

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOG = "_rrelu_compat_log"
_top_hooks = private.top_hooks
_pop_hooks = private.pop_hooks
_push_hooks = private.push_hooks
_FunctionContext = private.FunctionContext


class Entry:
    """One remembered training call; alive as long as something that may repeat it."""

    __slots__ = ("__weakref__", "call", "number", "seed")

    def __init__(self, number: int, seed: int, call: int) -> None:
        self.number = number
        self.seed = seed
        self.call = call


_entries: weakref.WeakSet[Entry] = weakref.WeakSet()
_entries_lock = threading.Lock()


def remembered() -> int:
    """Return how many calls are remembered at present."""
    with _entries_lock:
        return len(_entries)


def _closure(function: Any) -> dict[str, Any]:
    function = getattr(function, "__wrapped__", function)
    cells = getattr(function, "__closure__", None) or ()
    return dict(zip(function.__code__.co_freevars, cells, strict=True)) if cells else {}


def _is_checkpoint_hook(pack: Any) -> bool:
    qualname = getattr(pack, "__qualname__", "")
    return "_checkpoint_hook" in qualname or "_recomputation_hook" in qualname


def is_recomputation_hook(pack: Any) -> bool:
    """Whether this pack hook is the one under which PyTorch repeats a non-reentrant region."""
    return "_recomputation_hook" in getattr(pack, "__qualname__", "")


def _checkpoint_frames() -> Iterator[Any]:
    """Yield the frame of every non-reentrant region that is running, innermost first."""
    stack = []
    # Only the top can be looked at, so all are taken off and put back: nested regions need the outer too.
    try:
        while (hooks := _top_hooks(False)) is not None:
            _pop_hooks()
            stack.append(hooks)
    finally:
        for pack, unpack in reversed(stack):
            _push_hooks(pack, unpack)
    for pack, _ in stack:
        if not _is_checkpoint_hook(pack):
            continue
        cells = _closure(pack)
        if "frame" in cells:
            yield cells["frame"].cell_contents
        elif "target_frame_ref" in cells:
            frame = cells["target_frame_ref"].cell_contents()
            if frame is not None:
                yield frame


def _function_contexts() -> Iterator[Any]:
    """Yield the context of every ``autograd.Function`` whose forward or backward is on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_argcount or code.co_flags & 4:  # 4: *args
            name = code.co_name
            first = code.co_varnames[0]
            # Not the forwards of modules: looking at a frame's locals keeps them alive until it returns.
            if first == "ctx" or (name in ("forward", "backward") and first != "self"):
                value = frame.f_locals.get(first)
                if isinstance(value, _FunctionContext):
                    yield value
        frame = frame.f_back  # type: ignore[assignment]


def _regions() -> list[Any]:
    regions = list(_checkpoint_frames())
    if not private.forward_ad_enabled() or private.graph_task() != -1:
        regions += _function_contexts()
    return regions


def _note(entry: Entry, regions: list[Any]) -> None:
    for region in regions:
        log = region.__dict__.setdefault(_LOG, {})
        known = log.setdefault(entry.number, entry)
        if known is not None and (known.seed, known.call) != (entry.seed, entry.call):
            # Two calls under one number: PyTorch was reseeded in the region.
            log[entry.number] = None


def remember(number: int, seed: int, call: int) -> Entry:
    """Note a call for the regions that may repeat it; the caller's autograd node keeps the entry too."""
    private.check_recomputation()
    entry = Entry(number, seed, call)
    with _entries_lock:
        _entries.add(entry)
    _note(entry, _regions())
    return entry


def recall(number: int) -> Entry:
    """Return the call that a repeated forward stands for.

    Raises
    ------
    RecomputeError
        If it is not known, or not without doubt.
    """
    logs = [log for region in _regions() if (log := region.__dict__.get(_LOG))]
    if logs:
        found = [log[number] for log in logs if number in log]
    else:
        # Compiled autograd repeats graphs without an object that could carry a log.
        with _entries_lock:
            found = [entry for entry in _entries if entry.number == number]
    if not found:
        raise RecomputeError(
            "RReLU (training) was called in a backward pass, but not as the repetition of a call that is "
            "known, so its slopes cannot be those of the forward. Either a checkpoint repeats it with other "
            "random numbers (preserve_rng_state=False, or checkpointing in several threads at once: "
            "use preserve_rng_state=True, one thread), or it is a new training forward inside a backward "
            "pass or one of its hooks (run it outside, or in evaluation mode)"
        )
    if None in found or len({(entry.seed, entry.call) for entry in found}) > 1:
        raise RecomputeError(
            "RReLU (training) is repeated by a checkpoint, and two of its calls drew the same number from "
            "PyTorch's generator, so which of them is repeated cannot be told: do not reseed PyTorch "
            "inside a checkpointed region, nor backpropagate two graphs made from the same random state "
            "under compiled autograd"
        )
    entry: Entry = found[0]
    return entry


def check_repeated(original: tuple[int, int], repeated: tuple[int, int]) -> None:
    """Raise if a non-reentrant region was repeated with another call than its node was made with."""
    if original != repeated:
        raise RecomputeError(
            f"a checkpoint repeated the RReLU call (seed, call) = {original} as {repeated}, so the gradient "
            "would be wrong: use preserve_rng_state=True and do not reseed inside a checkpointed region"
        )


__all__ = [
    "Entry",
    "check_repeated",
    "is_recomputation_hook",
    "recall",
    "remember",
    "remembered",
]
