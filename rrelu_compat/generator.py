"""`Generator`: numbers the training calls of one stream of slopes; `manual_seed`: the process-wide one."""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.fork import lock
from rrelu_compat.slopes import check_uint64, philox4x32_10

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

_MASK64 = 2**64 - 1
_identities = itertools.count()
# Changed and copied by single operations, so that threads, and handlers of signals, need no lock.
_live: dict[int, weakref.ref[Generator]] = {}


class Generator:
    """A stream of slopes: its training calls are numbered ``(seed, call), (seed, call + 1), ...``.

    Thread-safe: no two calls get the same number. A copy (``copy``, ``deepcopy``, ``pickle``) is a
    separate object that continues the same stream; deep-copying a *layer* shares its Generator.

    Parameters
    ----------
    seed : int
        In ``[0, 2**64)``.
    call : int
        The number of the next training call, in ``[0, 2**64)``.

    Raises
    ------
    TypeError, ValueError
        If `seed` or `call` is no such integer.

    Examples
    --------
    >>> generator = Generator(7)
    >>> generator.take(), generator.take()
    ((7, 0), (7, 1))
    >>> generator
    Generator(seed=7, call=2)
    """

    __slots__ = ("__weakref__", "_identity", "_lock", "_state", "_words", "device", "tensor")

    def __init__(self, seed: int, call: int = 0) -> None:
        seed, call = check_uint64("seed", seed), check_uint64("call", call)
        # One buffer for life: compiled graphs hold a view of it and advance it themselves.
        self._state: NDArray[np.uint64] = np.array([seed, call], dtype=np.uint64)
        # Indexing a memoryview gives Python ints at a third of the price of NumPy scalars.
        self._words = memoryview(self._state)  # type: ignore[arg-type]
        self._lock = lock()
        self._identity = next(_identities)
        #: PyTorch's view of `state`, made by its adapter: compiled graphs in inference mode need one.
        self.tensor: Any = None
        #: What reads and writes the state while it is on a device (``rrelu_compat.torch.bind_to_device``).
        self.device: Any = None
        key = id(self)
        _live[key] = weakref.ref(self, lambda _: _live.pop(key, None))

    @property
    def seed(self) -> int:
        """The seed, an int in ``[0, 2**64)``."""
        return int(self._words[0] if self.device is None else self.device.read()[0])

    @property
    def call(self) -> int:
        """The number of the next training call, an int in ``[0, 2**64)``."""
        return int(self._words[1] if self.device is None else self.device.read()[1])

    @property
    def state(self) -> NDArray[np.uint64]:
        """The live buffer of ``[seed, call]``, uint64, the same memory as long as the Generator lives."""
        return self._state

    @property
    def identity(self) -> int:
        """A number that no other stream position shares: new whenever the Generator is repositioned."""
        return self._identity

    def take(self) -> tuple[int, int]:
        """Return ``(seed, call)`` for one training call and move on to the next."""
        words = self._words
        with self._lock:
            if self.device is not None:
                return self._take_from_device()
            seed: int = words[0]
            # Nothing is called between these two lines, so no handler of a signal comes between them. (It may
            # come before or after, and take a number: the lock lets it in.)
            call: int = words[1]
            words[1] = (call + 1) & _MASK64
        return seed, call

    def _take_from_device(self) -> tuple[int, int]:
        seed, call = self.device.read()
        self.device.write(seed, (call + 1) & _MASK64)
        return seed, call

    def reposition(self, seed: int, call: int = 0) -> None:
        """Continue at ``(seed, call)``, as a new Generator would."""
        seed, call = check_uint64("seed", seed), check_uint64("call", call)
        with self._lock:
            self._words[0] = seed
            self._words[1] = call
            if self.device is not None:
                self.device.write(seed, call)
            self._identity = next(_identities)

    def fold_in(self, n: int) -> Generator:
        """Return an independent Generator derived from the seed and `n`.

        It does not depend on how many calls were taken, so ``fold_in(rank)`` gives each data-parallel
        rank, and ``fold_in(layer_number)`` each layer, the same stream in every run.

        Parameters
        ----------
        n : int
            In ``[0, 2**64)``.

        Examples
        --------
        >>> Generator(7).fold_in(1).seed != Generator(7).fold_in(2).seed
        True
        """
        n = check_uint64("n", n)
        seed = self.seed
        # The counter of call 2**64 - 1, which no stream reaches, so folded seeds are no slopes' words.
        counter = tuple(
            np.array([word], dtype=np.uint64)
            for word in (n & 0xFFFFFFFF, n >> 32, 0xFFFFFFFF, 0xFFFFFFFF)
        )
        low, high, _, _ = philox4x32_10(counter, (seed & 0xFFFFFFFF, seed >> 32))
        return Generator(int(low[0]) | int(high[0]) << 32)

    def state_dict(self) -> dict[str, int]:
        """Return ``{"seed": ..., "call": ...}``, plain ints, for a checkpoint."""
        with self._lock:
            return {"seed": self.seed, "call": self.call}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken.

        Raises
        ------
        ValueError
            If the keys are not exactly ``seed`` and ``call``, or a value is out of range.
        """
        if set(state) != {"seed", "call"}:
            raise ValueError(
                f"state must have the keys 'seed' and 'call' and no other, got {sorted(state)}"
            )
        self.reposition(state["seed"], state["call"])

    def __reduce__(self) -> tuple[type[Generator], tuple[int, int]]:
        with self._lock:
            return type(self), (self.seed, self.call)

    def __repr__(self) -> str:
        return f"Generator(seed={self.seed}, call={self.call})"


# The process-wide Generator is one object for life, so that compiled graphs may keep its buffer.
_process = Generator(0)
_process_on = False


def manual_seed(seed: int | None) -> Generator | None:
    """Give every training call of the process the slopes of one stream, in every framework.

    The same line in a PyTorch and in a Paddle script gives the same slopes in both. Layers and calls
    with a ``generator=`` of their own are not touched. In data-parallel training use
    ``manual_seed(seed + rank)``, else all ranks draw alike.

    Parameters
    ----------
    seed : int or None
        In ``[0, 2**64)``. None turns the process-wide stream off: slopes then follow the framework's
        own default generator.

    Returns
    -------
    Generator or None
        The process-wide Generator, for ``state_dict`` in a checkpoint; None if turned off.

    Raises
    ------
    TypeError, ValueError
        If `seed` is neither None nor such an integer.
    """
    global _process_on
    if seed is None:
        _process_on = False
        return None
    _process.reposition(seed)
    _process_on = True
    return _process


def process_generator() -> Generator | None:
    """Return the Generator of `manual_seed`, or None when it is off."""
    return _process if _process_on else None


def set_process_generator(on: bool) -> None:
    """Turn the process-wide Generator on or off where it stands (recomputation restores it so)."""
    global _process_on
    _process_on = on


def live_generators() -> list[Generator]:
    """Return every Generator that is alive (recomputation saves and restores their positions)."""
    found = [reference() for reference in list(_live.values())]
    return [generator for generator in found if generator is not None]
