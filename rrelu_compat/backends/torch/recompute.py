"""Recomputed forwards: which call a repeated training forward stands for.

Checkpointing runs the forward of a *region* a second time, in the backward pass. A region keeps a log of its
training calls, and the k-th call of a repetition stands for the k-th call of the log. What other threads draw
meanwhile, what was reseeded, whether PyTorch's generator is set back: none of it matters.

Order is the key where PyTorch itself repeats: non-reentrant regions, and its own ``CheckpointFunction``. A
compiled graph repeats single operations: there the place of a draw in the graph is the key. An
``autograd.Function`` of another make may repeat its parts in any order (reversible networks do): there
the number that every call draws from PyTorch's default CPU generator finds the call, since whoever repeats a
random forward sets that generator back first.

A repeated call that is not the same (elements, dtype, bounds, generator) raises, and so does one that is
not found, or not without doubt. A log hangs on the object that PyTorch keeps as long as the region can be
repeated: the checkpoint frame, or the context of the ``autograd.Function``. It goes when the graph goes.
"""

from __future__ import annotations

import functools
import itertools
import operator
import sys
import weakref
from typing import TYPE_CHECKING, Any, NamedTuple

from torch.utils.checkpoint import CheckpointFunction

from rrelu_compat.backends.torch import private
from rrelu_compat.errors import RecomputeError

if TYPE_CHECKING:
    from collections.abc import Callable

_LOG, _POSITION = "_rrelu_compat_log", "_rrelu_compat_position"
_CHECKPOINT_FILE = CheckpointFunction.backward.__code__.co_filename
_top_hooks: Any = functools.partial(private.top_hooks, False)
_NEVER = object()


class Entry:
    """One remembered training call; alive as long as something that may repeat it.

    `what` is what the call was: elements, dtype code, bounds; None in graphs, which check it themselves.
    `generator` is the argument of that name.
    """

    __slots__ = ("__weakref__", "call", "generator", "seed", "what")

    def __init__(self, seed: Any, call: int, what: Any, generator: Any) -> None:
        self.seed = seed
        self.call = call
        self.what = what
        self.generator = generator


#: The training calls of a region, in order, each with the number that was drawn for it and, in a compiled
#: graph, its place there.
Log = list[tuple[int, "int | None", Entry]]

# All entries with their numbers: changed and copied by single operations, so there is no lock to hold.
_entries: dict[int, tuple[weakref.ref[Entry], int]] = {}


def remembered() -> int:
    """Return how many calls are remembered at present."""
    return len(_entries)


def watched() -> bool:
    """Whether a call that is made now may be repeated, or is a repetition."""
    return (
        private.graph_task() != -1
        or private.top_hooks(False) is not None
        # Below the forward of every autograd.Function forward AD is off (no_grad does not turn it off).
        or not (private.forward_ad_enabled() or private.in_inference())
    )


def hooked() -> bool:
    """Whether saved-tensor hooks may replace what a node saves."""
    return private.top_hooks(False) is not None


# ---- who repeats, and who records ----


def _all_hooks() -> list[Any]:
    """Return the saved-tensor hooks of this thread, innermost first."""
    # Only the top can be looked at, so all are taken off and put back. It is one call of C code: an interrupt
    # (Ctrl-C, a handler that raises) comes before or after it, and no hook is lost.
    found: list[Any] = []
    taken: list[Any] = [None]
    top, same = itertools.tee(iter(_top_hooks, None))
    off = zip(top, map(taken.append, same), iter(private.pop_hooks, _NEVER), strict=False)
    on = itertools.starmap(private.push_hooks, iter(taken.pop, None))
    found.extend(itertools.chain(map(operator.itemgetter(0), off), on))
    return found[: len(found) // 2]


def _closure(function: Any) -> dict[str, Any]:
    function = getattr(function, "__wrapped__", function)
    cells = getattr(function, "__closure__", None) or ()
    return dict(zip(function.__code__.co_freevars, cells, strict=True)) if cells else {}


def _under_hooks() -> tuple[list[Any], Any, Any]:
    """Return the non-reentrant regions that record, the one that is repeated, and the hook that repeats it.

    Only regions within the one that is repeated record.
    """
    if private.top_hooks(False) is None:
        return [], None, None
    recording: list[Any] = []
    for pack, _ in _all_hooks():
        name = getattr(pack, "__qualname__", "")
        if "_recomputation_hook" in name and "target_frame_ref" in (cells := _closure(pack)):
            return recording, cells["target_frame_ref"].cell_contents(), pack
        if "_checkpoint_hook" in name and "frame" in (cells := _closure(pack)):
            recording.append(cells["frame"].cell_contents)
    return recording, None, None


class _Around(NamedTuple):
    """What the stack says, within the innermost repetition or backward."""

    #: The Functions whose forward is running.
    running: list[Any]
    #: The Function whose backward is running, if that is further in than a repeated non-reentrant region.
    backward: Any
    #: What it repeats now: "in order", if it is PyTorch's own checkpoint; else "by key", or "nothing".
    repeats: str
    #: The stack frames of ``checkpoint``.
    checkpoints: list[Any]


def _on_stack(under_hooks: bool) -> _Around:
    """Look at the stack; `under_hooks` tells whether a non-reentrant region is repeated.

    With care: reading the locals of a frame keeps them alive until it returns, so not those of modules.
    """
    running: list[Any] = []
    checkpoints: list[Any] = []
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        name = code.co_name
        if code.co_filename == _CHECKPOINT_FILE:
            if name == "unpack_hook" and under_hooks:
                break
            if "gen" in code.co_varnames:  # "checkpoint", or from 2.14 on its "_checkpoint_impl"
                checkpoints.append(frame)
        if code.co_argcount or code.co_flags & 4:  # 4: *args
            first = code.co_varnames[0]
            if first == "ctx" or (name in ("forward", "backward") and first != "self"):
                context = frame.f_locals.get(first)
                if type(context).__name__ == "FakeBackwardCFunction":  # of compiled autograd
                    context = getattr(context, "real", None)
                if isinstance(context, private.FunctionContext):
                    if name == "backward":
                        running = [other for other in running if other is not context]
                        if code.co_filename != _CHECKPOINT_FILE:
                            return _Around(running, context, "by key", checkpoints)
                        # It unpacks its inputs before it repeats, and goes back through the repetition after.
                        variables = frame.f_locals
                        now = "detached_inputs" in variables and "outputs" not in variables
                        return _Around(
                            running, context, "in order" if now else "nothing", checkpoints
                        )
                    if not any(context is other for other in running):
                        running.append(context)
        frame = frame.f_back  # type: ignore[assignment]
    return _Around(running, None, "", checkpoints)


def _is_within(region: Any, checkpoints: list[Any]) -> bool:
    """Whether one of these stack frames of ``checkpoint`` runs a non-reentrant region."""
    for frame in checkpoints:
        running = getattr(frame.f_locals.get("gen"), "gi_frame", None)
        if running is not None and running.f_locals.get("new_frame") is region:
            return True
    return False


def _by_key(context: Any, number: int, place: int | None) -> Entry:
    """Return the call that a Function of another make, a compiled graph or compiled autograd repeats."""
    kept: Log = getattr(context, _LOG, [])
    found = [entry for _, here, entry in kept if here is not None and here == place]
    if len(found) == 1:
        return found[0]
    if kept:
        found = [entry for drawn, _, entry in kept if drawn == number]
    else:
        # Compiled autograd repeats graphs without an object that could carry a log.
        candidates = [entry() for entry, drawn in list(_entries.values()) if drawn == number]
        found = [entry for entry in candidates if entry is not None]
    if not found:
        raise _unknown()
    if len({(entry.seed, entry.call) for entry in found}) > 1:
        raise RecomputeError(
            "RReLU (training) is repeated, and two of its calls drew the same number from PyTorch's "
            "generator, so which of them is repeated cannot be told: do not reseed PyTorch inside the "
            "forward of an autograd.Function that repeats itself, nor backpropagate two graphs made from "
            "the same random state under compiled autograd"
        )
    return found[0]


def _unknown() -> RecomputeError:
    return RecomputeError(
        "RReLU (training) was called in a backward pass, but not as the repetition of a call that is "
        "known, so its slopes cannot be those of the forward. Either an autograd.Function repeats its "
        "forward with other random numbers (it must set PyTorch's generator back first, and no other "
        "thread may draw meanwhile), or this is a new training forward inside a backward pass or one of "
        "its hooks (run it outside, or in evaluation mode)"
    )


def _next(log: Log, positions: dict[str, int], key: str) -> Entry | None:
    """Return the call of a region that comes next in its repetition; None past the last."""
    position = positions.get(key, 0)
    positions[key] = position + 1
    return log[position][2] if position < len(log) else None


def _past(log: Log) -> RecomputeError:
    return RecomputeError(
        f"a checkpoint repeats its region with more RReLU calls in training than the {len(log)} of its "
        "forward, so their slopes are not known: the region must make the same calls both times"
    )


def call(
    number: int,
    what: Any,
    generator: Any,
    fresh: Callable[[], tuple[Any, int]],
    place: int | None = None,
) -> tuple[Entry, bool]:
    """Return the entry of a training call that is `watched`, and whether it repeats an earlier one.

    Parameters
    ----------
    number : int
        What was drawn for the call from PyTorch's default CPU generator.
    what, generator
        What the call is; see `Entry`.
    fresh : callable
        Takes the ``(seed, call)`` of a call that repeats none.
    place : int, optional
        Where in a compiled graph the call is made.

    Raises
    ------
    RecomputeError
        If it repeats a call that is not known, not without doubt, or not the same.
    """
    private.check_recomputation()
    frames, frame, pack = _under_hooks()
    around = _Around([], None, "", [])
    task = private.graph_task()
    if task != -1 or not private.forward_ad_enabled():
        around = _on_stack(pack is not None)
    entry: Entry | None = None
    if around.backward is not None:
        # Hooks that are further out belong to who called this backward.
        frames = [region for region in frames if _is_within(region, around.checkpoints)]
        if around.repeats == "in order":
            log = getattr(around.backward, _LOG, [])
            entry = _next(log, around.backward.__dict__, f"{_POSITION}_{task}")
            if entry is None:
                raise _past(log)
        elif around.repeats == "by key":
            entry = _by_key(around.backward, number, place)
        else:
            raise _unknown()
    elif pack is not None:
        log = getattr(frame, _LOG, [])
        entry = _next(log, pack.__dict__, _POSITION)
        if entry is None and getattr(frame, "forward_completed", True):
            raise _past(log)
        # A backward inside a region repeats what there is of it; what comes after is thrown away.
        entry = entry or Entry(0, 0, None, None)
    elif task != -1:
        entry = _by_key(None, number, place)
    repeats = entry is not None
    if entry is None:
        entry = Entry(*fresh(), what, generator)
        key = id(entry)
        _entries[key] = weakref.ref(entry, lambda _: _entries.pop(key, None)), number
    else:
        _check_same(entry, what, generator, fresh)
    for region in (*frames, *around.running):
        region.__dict__.setdefault(_LOG, []).append((number, place, entry))
    return entry, repeats


def _check_same(
    entry: Entry, what: Any, generator: Any, fresh: Callable[[], tuple[Any, int]]
) -> None:
    if entry.what is None or what is None:
        return
    same = entry.generator is generator
    if not same and entry.generator is not None and generator is not None:
        # One that the region makes for itself is another object each time, where the first one stood.
        same = fresh() == (entry.seed, entry.call)
    if entry.what != what or not same:
        names = ("elements", "dtype code", "lower", "upper", "generator")
        before, now = (*entry.what, entry.generator), (*what, generator)
        different = ", ".join(
            f"{name} {a!r} and now {b!r}"
            for name, a, b in zip(names, before, now, strict=True)
            if a is not b and a != b
        )
        raise RecomputeError(
            f"a checkpoint repeats its region with another RReLU call in training than its forward made "
            f"there ({different}), so the gradient would be wrong: the region must make the same calls in "
            "the same order both times"
        )


def check_repeated(original: tuple[int, int], repeated: tuple[int, int]) -> None:
    """Raise if a non-reentrant region was repeated with another call than its node was made with."""
    if original != repeated:
        raise RecomputeError(
            f"a checkpoint repeated the RReLU call (seed, call) = {original} as {repeated}, so the gradient "
            "would be wrong: the region must make the same calls in the same order both times"
        )


__all__ = ["Entry", "call", "check_repeated", "hooked", "remembered", "watched"]
