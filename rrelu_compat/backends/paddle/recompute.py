"""``paddle.distributed.fleet.recompute``: a repeated forward gets the slopes of the one it repeats.

Paddle calls a registered pair of functions around every segment: get before its forward, get and set before
it is repeated, set after. Nothing is rewound by them here, since other threads may be drawing: each thread
keeps a log of its draws, get returns the place in it, and set makes the thread draw from there once more. The
order of the calls is the key; a call that differs from the one it repeats raises.

Paddle has one place for such a pair and allows one registration. The object it lives in is given a
subclass that runs ours and the user's, so the place stays free.

With ``preserve_rng_state=False``, or a recomputation that did not go through the pair,
the slopes would be drawn afresh and the gradient would be wrong: that is seen on the stack, and raises.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import paddle
import paddle.distributed.fleet.recompute as package

from rrelu_compat import kernels
from rrelu_compat.errors import RecomputeError
from rrelu_compat.fork import lock
from rrelu_compat.generator import Generator, live_generators, process_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What a call is: elements, code of the dtype, bounds; None in a static program, which is itself repeated.
What = tuple[int, int, float, float] | None

#: Whether the process has ever recomputed; until then drawing takes the short way. True until it was checked
#: that Paddle would tell.
seen = True
_checked = _asked = _unknown = _probe_asked = False
#: The thread that runs `_probe`: what Paddle asks there says nothing about the program.
_probing: int | None = None

# The modules shadow their functions of the same name, hence by way of sys.modules.
_FILES = frozenset(
    sys.modules[f"{package.__name__}.{name}"].__dict__[function].__code__.co_filename
    for name, function in (
        ("recompute", "recompute"),
        ("recompute_hybrid", "recompute_hybrid"),
    )
)
# Where a thread waits that runs a static program.
_EXECUTORS = frozenset(
    function.__code__.co_filename
    for function in (
        paddle.static.Executor.__init__,
        paddle.jit.dy2static.partial_program.PartialProgramLayer.__init__,
        paddle.jit.dy2static.pir_partial_program.PartialProgramLayer.__init__,
    )
)
_PADDLE = os.path.dirname(paddle.__file__) + os.sep
_NOT_REENTRANT = ("_recompute_without_reentrant", "unpack")
_CODE: Any = sys.modules[f"{package.__name__}.recompute"].__dict__[_NOT_REENTRANT[0]].__code__
_FORWARD = ("forward", "_recompute_without_reentrant")
_REPEATING = ("backward", "unpack")

_lock, _check_lock = lock(), lock()


def _text(what: What) -> str:
    if what is None:
        return "values of a static program"
    n, code, lower, upper = what
    dtype = next(name for name, number in kernels.DTYPES.items() if number == code)
    return f"{n} elements of {dtype}, lower={lower!r}, upper={upper!r}"


class _Entry:
    """One draw: the place after it, what the call was, whose generator it named, and what it was given."""

    __slots__ = ("call", "following", "generator", "seed", "what")

    def __init__(
        self, what: What = None, generator: Any = None, seed: int = 0, call: int = 0
    ) -> None:
        self.following: _Entry | None = None
        self.what, self.seed, self.call = what, seed, call
        # Weak: the log must keep nobody's generator alive.
        self.generator = None if generator is None else weakref.ref(generator)


class _Snapshot:
    """A moment in the log of one thread: what the thread draws then follows on `last`."""

    __slots__ = ("__weakref__", "end", "last", "user")

    def __init__(self, last: _Entry, user: Any) -> None:
        self.last = last
        #: The latest draw of the segment, once it is known that its forward is over.
        self.end: _Entry | None = None
        self.user = user


class _Replay:
    """Gives once more, in their order, the numbers that a snapshot's thread drew."""

    def __init__(self, snapshot: _Snapshot) -> None:
        self._last, self._end = snapshot.last, snapshot.end
        # Those made later are the segment's own: it makes them afresh each time.
        self._older = frozenset(live_generators())

    def next(self, generator: Any, what: What) -> tuple[int, int]:
        """Return the seed and call of the next draw; it must be the same call as then."""
        entry = self._last.following
        if entry is None or self._last is self._end:
            raise RecomputeError(
                "the recomputed forward makes more training calls than the original one: it must run "
                "the same layers"
            )
        if what != entry.what:
            raise RecomputeError(
                f"a training call of the recomputed forward has {_text(what)}; the original one had "
                f"{_text(entry.what)}: a segment must make the same calls when it is repeated"
            )
        if not self._same(generator, entry):
            raise RecomputeError(
                f"a training call of the recomputed forward has generator={generator!r}, and did not in "
                "the original one: a segment must make the same calls when it is repeated"
            )
        self._last = entry
        return entry.seed, entry.call

    def _same(self, generator: Any, entry: _Entry) -> bool:
        if generator is None or entry.generator is None:
            return generator is entry.generator
        if generator is entry.generator():
            return True
        return isinstance(generator, Generator) and generator not in self._older


class _Level:
    """What a thread is doing: nothing special, or a replay, to end when `origin` is set again."""

    def __init__(self, replay: _Replay | None = None, origin: _Snapshot | None = None) -> None:
        self.replay = replay
        self.origin = origin
        #: The latest draw. Earlier ones are kept by the snapshots that need them.
        self.last = _Entry()
        self.open: weakref.WeakSet[_Snapshot] = weakref.WeakSet()
        #: The snapshots whose forwards may still run, and how many forwards there are around each.
        self.running: list[tuple[int, weakref.ref[_Snapshot]]] = []

    def end(self, depth: int) -> None:
        """Note that the forwards are over that were within `depth` others or more."""
        while self.running and self.running[-1][0] >= depth:
            snapshot = self.running.pop()[1]()
            if snapshot is not None:
                snapshot.end = self.last


class _Levels(list[_Level]):
    """A list that can be referred to weakly."""

    __slots__ = ("__weakref__",)


# By thread. Executors run the operations of a static program in threads of their own.
_all_levels: weakref.WeakValueDictionary[int, _Levels] = weakref.WeakValueDictionary()


class _Thread(threading.local):
    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self.levels = _Levels([_Level()])
        self.latest: weakref.ref[_Snapshot] | None = None
        with _lock:
            _all_levels[self.ident] = self.levels


_thread = _Thread()


def _get_state(user: Any) -> _Snapshot:
    level = _thread.levels[-1]
    snapshot = _Snapshot(level.last, user)
    level.open.add(snapshot)
    names = _segments(sys._getframe())
    if names and names[0] in _FORWARD:  # not in a backward, which gets the present state
        level.end(len(names) - 1)
        level.running.append((len(names) - 1, weakref.ref(snapshot)))
    _thread.latest = weakref.ref(snapshot)
    return snapshot


def _set_state(snapshot: _Snapshot) -> None:
    levels = _thread.levels
    for depth in range(len(levels) - 1, 0, -1):
        if levels[depth].origin is snapshot:
            del levels[depth:]
            return
    # Paddle gets the present state right before it sets the segment's: that one ends the replay.
    origin = None if _thread.latest is None else _thread.latest()
    levels.append(_Level(_Replay(snapshot), origin))


def _segments(frame: Any) -> list[str]:
    """Return which functions of Paddle's recomputation run segments there, innermost first."""
    names = []
    while frame is not None:
        code = frame.f_code
        if code.co_filename in _FILES and code.co_name in (*_FORWARD, *_REPEATING):
            names.append(code.co_name)
        frame = frame.f_back
    return names


def _frame_in_executor(frame: Any) -> bool:
    """Whether a thread, now at `frame`, waits for a static program that it runs."""
    return frame.f_code.co_filename in _EXECUTORS


@contextlib.contextmanager
def in_thread_of_the_executor() -> Iterator[None]:
    """Draw as the thread that runs the static program whose operation runs here.

    Raises
    ------
    RecomputeError
        If several threads run programs, and one of them recomputes.
    """
    if not seen:
        yield
        return
    frames = sys._current_frames()
    here = threading.get_ident()
    callers = [k for k, frame in frames.items() if k != here and _frame_in_executor(frame)]
    with _lock:
        levels = [_all_levels[k] for k in callers if k in _all_levels]
    if len(callers) != 1:
        if any(len(stack) > 1 or stack[-1].open for stack in levels):
            raise RecomputeError(
                "several threads run static programs while one of them recomputes: whose slopes "
                "are whose is not known"
            )
        yield
        return
    before = _thread.ident, _thread.levels
    _thread.ident = callers[0]
    if levels:
        _thread.levels = levels[0]
    try:
        yield
    finally:
        _thread.ident, _thread.levels = before


def _check_repeatable(restored_by_paddle: bool) -> None:
    """Raise where this forward repeats one whose numbers were not kept, or can't be repeated by Paddle."""
    frame: Any = sys._current_frames()[_thread.ident]
    reentrant = False
    while frame is not None:
        code = frame.f_code
        if code.co_filename in _FILES:
            if code.co_name in _REPEATING:
                variables = frame.f_locals
                # backward goes on after it has the outputs: what draws then (a hook) repeats nothing.
                if "outputs" not in variables:
                    break
            reentrant = reentrant or code.co_name == "forward"
            if reentrant and code.co_name == "_recompute_without_reentrant":
                raise RecomputeError(
                    "recompute(..., use_reentrant=True) inside recompute(..., use_reentrant=False) has wrong "
                    "gradients in Paddle, whatever the layers: make the outer one reentrant too"
                )
        frame = frame.f_back
    else:
        return
    holder = variables.get("ctx")
    preserved = getattr(holder, "preserve_rng_state", variables.get("preserve_rng_state", True))
    if not preserved:
        raise RecomputeError(
            "recompute(..., preserve_rng_state=False) would draw other slopes than its forward did, "
            "and give a wrong gradient: leave preserve_rng_state=True"
        )
    if not restored_by_paddle:
        raise RecomputeError(
            "this recomputation began before rrelu_compat's Paddle backend was loaded, so its slopes "
            "are not known: import rrelu_compat.paddle before the first recompute()"
        )


def _probe() -> None:
    """Recompute once; raise unless a repetition that Paddle can't repeat is seen."""
    runs = []

    def segment(x: Any) -> Any:
        runs.append(1)
        if len(runs) == 2:
            _check_repeatable(restored_by_paddle=True)
        return x * 2

    x = paddle.ones([1])
    x.stop_gradient = False
    try:
        package.recompute(segment, x, preserve_rng_state=False).backward()
    except Exception as error:
        if "preserve_rng_state=False" in str(error) and _probe_asked:
            return
        raise
    raise RuntimeError("not seen")


def _check_paddle() -> None:
    """Find out whether this Paddle tells what is repeated: without it slopes could silently be others."""
    global _checked, _unknown, seen
    failed: list[Exception] = []

    def run() -> None:
        global _probing
        _probing = threading.get_ident()
        try:
            _probe()
        except Exception as error:
            failed.append(error)
        finally:
            _probing = None

    with _check_lock:  # other threads wait: until then nobody may take `seen` for False
        if _checked:
            return
        thread = threading.Thread(target=run)  # nothing of the caller's is on there
        thread.start()
        thread.join()
        functions = (*_CODE.co_consts, _CODE)
        names = {getattr(f, "co_name", "") for f in functions}
        _unknown = bool(failed) or not names.issuperset(_NOT_REENTRANT)
        seen = _unknown or _asked
        _checked = True


def _check_known() -> None:
    """Raise in a segment whose repetition could not be recognised."""
    frame: Any = sys._current_frames()[_thread.ident]
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_PADDLE) and "recompute" in file[len(_PADDLE) :]:
            raise RecomputeError(
                "RReLU in training under recompute() needs the custom_state_manager of Paddle 3.1 to 3.3, "
                f"which Paddle {paddle.__version__} does not have or does not use in the same way: use "
                "another version of Paddle, or no recompute() around RReLU"
            )
        frame = frame.f_back


def draw(generator: Any, default: Any, seed: int, what: What) -> tuple[int, int]:
    """Return the ``(seed, call)`` of one training call; `seed` is what the generator `default` gave."""
    if not _checked:
        _check_paddle()
    if _unknown:
        _check_known()
    level = _thread.levels[-1]
    if level.running:
        level.end(len(_segments(sys._current_frames()[_thread.ident])))
    named = None if generator is default else generator
    call = 0
    if level.replay is not None:
        seed, call = level.replay.next(named, what)
    else:
        if generator is None:
            generator = process_generator()
        _check_repeatable(restored_by_paddle=generator is None or generator is default)
        if isinstance(generator, Generator):
            seed, call = generator.take()
        elif generator is not None and generator is not default:
            seed = generator.random()
    entry = level.last.following = _Entry(what, named, seed, call)
    level.last = entry
    return seed, call


def install() -> None:
    """Make Paddle's recomputation call us; what the user registers there, before or later, still runs."""
    global _asked
    manager = getattr(package, "custom_state_manager", None)
    if manager is None:
        return  # `_check_paddle` finds it out
    native = type(manager)

    class ChainedManager(native):  # type: ignore[misc, valid-type]
        """Paddle's manager with one more pair of functions, which needs no registration."""

        user_get: Any = None
        user_set: Any = None

        def _get(self) -> _Snapshot:
            return _get_state(None if self.user_get is None else self.user_get())

        def _set(self, snapshot: _Snapshot) -> None:
            _set_state(snapshot)
            if self.user_set is not None and snapshot.user is not None:
                self.user_set(snapshot.user)

        @property
        def custom_get_state_func(self) -> Any:
            global _asked, _probe_asked, seen
            if threading.get_ident() == _probing:
                _probe_asked = True
                return self._get
            if not _checked:
                _check_paddle()  # before the hooks of a segment are on
            seen = _asked = True
            return self._get

        @custom_get_state_func.setter
        def custom_get_state_func(self, function: Any) -> None:
            self.user_get = function

        @property
        def custom_set_state_func(self) -> Any:
            return self._set

        @custom_set_state_func.setter
        def custom_set_state_func(self, function: Any) -> None:
            self.user_set = function

        def set_custom_get_state_func(self, function: Any) -> None:
            self._check_free(self.user_get)
            self.user_get = function

        def set_custom_set_state_func(self, function: Any) -> None:
            self._check_free(self.user_set)
            self.user_set = function

        def _check_free(self, function: Any) -> None:
            if function is not None:
                raise AssertionError(
                    "The custom_state_manager does not support duplicate settings."
                )

    before = dict(manager.__dict__)
    manager.__class__ = ChainedManager
    manager.user_get = before.get("custom_get_state_func")
    manager.user_set = before.get("custom_set_state_func")
    # Loaded inside a segment (the first rrelu of the program): that one can't be helped any more.
    if any(map(_segments, sys._current_frames().values())):
        _asked = True
