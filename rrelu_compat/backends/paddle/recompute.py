"""``paddle.distributed.fleet.recompute``: a repeated forward gets the slopes of the one it repeats.

Paddle calls a registered pair of functions around every segment: get before its forward, get and set before
it is repeated, set after. Nothing is rewound by them here, since other threads may be drawing: get returns
a `_Snapshot`, which notes what its thread then draws; set makes the thread draw from these notes instead.

Paddle has one place for such a pair and allows one registration. The object it lives in is given a
subclass that runs ours and the user's, so the place stays free.

Paddle itself saves and restores the default generator, but other threads may draw from it meanwhile: what
it gave is noted too. With ``preserve_rng_state=False``, or a recomputation that did not go through the pair,
the slopes would be drawn afresh and the gradient would be wrong: that is seen on the stack, and raises.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import paddle
import paddle.distributed.fleet.recompute as package
from paddle.base import core

from rrelu_compat.errors import RecomputeError
from rrelu_compat.fork import lock
from rrelu_compat.generator import Generator, live_generators, process_generator

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Whether the process has ever recomputed; until then drawing takes the short way.
seen = False

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
_REPEATING = ("backward", "unpack")
_NEVER = 2**63

_lock = lock()
# Draws so far from each of Paddle's generators: a gap shows that another thread drew.
_draws: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()


class _Track:
    """What a thread drew from one source after a snapshot: where it started, and how often.

    `broken` is the number of the first draw that did not follow on the one before.
    """

    __slots__ = ("broken", "count", "start", "step")

    def __init__(self, start: Any, step: int) -> None:
        self.start, self.step = start, step
        self.count, self.broken = 0, _NEVER

    def note(self, follows: bool) -> None:
        if not follows and self.broken == _NEVER:
            self.broken = self.count
        self.count += 1


class _Snapshot:
    """A moment in the streams of one thread, and what the thread drew since."""

    __slots__ = ("__weakref__", "process", "seeds", "sources", "tracks", "user")

    def __init__(self, process: Generator | None, user: Any) -> None:
        self.process = process
        self.user = user
        self.tracks: dict[Any, _Track] = {}
        #: What Paddle's default generator gave.
        self.seeds: list[int] = []
        #: Whether calls without a generator went to the process-wide one.
        self.sources = _Track(process is not None, 0)

    def note(self, generator: Any, start: Any, step: int) -> None:
        """Note one draw: number `step` of the stream that begins with the seed or state `start`."""
        track = self.tracks.get(generator)
        if track is None:
            track = self.tracks[generator] = _Track(start, step)
        follows = step == (track.step + track.count) % 2**64
        if isinstance(generator, Generator):
            follows = follows and start == track.start
        track.note(follows)


class _Replay:
    """Draws once more what a snapshot's thread drew."""

    def __init__(self, snapshot: _Snapshot) -> None:
        self.snapshot = snapshot
        self._cursors: dict[Any, int] = {}
        self._clones: dict[Any, Any] = {}
        # Those made later are the segment's own: it makes them afresh each time.
        self._older = frozenset(live_generators())

    def _next(self, key: Any, track: _Track, what: str) -> int:
        k = self._cursors.get(key, 0)
        self._cursors[key] = k + 1
        if k >= track.broken:
            raise RecomputeError(
                f"{what} was moved or shared with another thread during the forward that is "
                "recomputed: its slopes are not known any more; give each thread a Generator of its "
                "own, and call manual_seed and load_state_dict outside the segment"
            )
        if k >= track.count:
            raise RecomputeError(
                f"the recomputed forward makes more training calls with {what} than the original "
                "one: it must run the same layers"
            )
        return k

    def process(self) -> Generator | None:
        self._next(None, self.snapshot.sources, "rrelu_compat.manual_seed's stream")
        return self.snapshot.process

    def take(self, generator: Generator) -> tuple[int, int]:
        track = self.snapshot.tracks.get(generator)
        if track is None:
            if generator in self._older:
                raise RecomputeError(
                    f"{generator!r} draws in a recomputed forward, but did not in the original one"
                )
            return generator.take()
        k = self._next(generator, track, repr(generator))
        return track.start, (track.step + k) % 2**64

    def seed(self) -> int:
        k = self._cursors.get("default", 0)
        self._cursors["default"] = k + 1
        if k >= len(self.snapshot.seeds):
            raise RecomputeError(
                "the recomputed forward makes more training calls with Paddle's default generator than "
                f"the {k} of the original one: it must run the same layers"
            )
        return self.snapshot.seeds[k]

    def random(self, generator: Any) -> tuple[int, Any, int]:
        """Return a seed, the state it was drawn in, and the number of the draw."""
        track = self.snapshot.tracks.get(generator)
        if track is None:
            raise RecomputeError(
                f"{generator!r} draws in a recomputed forward, but did not in the original one"
            )
        k = self._next(generator, track, repr(generator))
        clone = self._clones.get(generator)
        if clone is None:
            clone = self._clones[generator] = core.Generator()
            clone.set_state(track.start)
        state = clone.get_state()
        return clone.random(), state, k


class _Level:
    """What a thread is doing: nothing special, or a replay, to end when `origin` is set again."""

    def __init__(self, replay: _Replay | None = None, origin: _Snapshot | None = None) -> None:
        self.replay = replay
        self.origin = origin
        self.open: weakref.WeakSet[_Snapshot] = weakref.WeakSet()


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
    process = process_generator() if level.replay is None else level.replay.snapshot.process
    snapshot = _Snapshot(process, user)
    level.open.add(snapshot)
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


def _in_recompute(frame: Any) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in _FILES:
            return True
        frame = frame.f_back
    return False


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


def _draw_from_framework(generator: Any, level: _Level) -> int:
    """Draw a seed from a generator of Paddle's that is not the default one."""
    seed: int
    if level.replay is not None:
        seed, state, step = level.replay.random(generator)
    else:
        with _lock:
            state = generator.get_state() if level.open else None
            step = _draws.get(generator, 0)
            _draws[generator] = step + 1
            seed = generator.random()
    for snapshot in level.open:
        snapshot.note(generator, state, step)
    return seed


def draw(generator: Any, default: Any, seed: int) -> tuple[int, int]:
    """Return the ``(seed, call)`` of one training call; `seed` is what the generator `default` gave."""
    level = _thread.levels[-1]
    replay = level.replay
    explicit = generator is not None
    if not explicit:
        generator = process_generator() if replay is None else replay.process()
        for snapshot in level.open:
            snapshot.sources.note((generator is not None) == snapshot.sources.start)
    if generator is default:
        generator = None
    if replay is None:
        _check_repeatable(restored_by_paddle=generator is None)
    if generator is None:
        seed = seed if replay is None else replay.seed()
        for snapshot in level.open:
            snapshot.seeds.append(seed)
        return seed, 0
    if not isinstance(generator, Generator):
        return _draw_from_framework(generator, level), 0
    seed, call = generator.take() if replay is None else replay.take(generator)
    for snapshot in level.open:
        snapshot.note(generator, seed, call)
    return seed, call


def install() -> None:
    """Make Paddle's recomputation call us; what the user registers there, before or later, still runs."""
    global seen
    manager = package.custom_state_manager
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
            global seen
            seen = True
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
    if any(map(_in_recompute, sys._current_frames().values())):
        seen = True
