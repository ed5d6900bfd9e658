"""Wrong layers and wrong sharing between threads."""

from __future__ import annotations

import threading
import time

from rrelu_adapters.pairs import Pair
from rrelu_adapters.reference import Layer, Reference
from rrelu_compat import Generator


class OwnLayer(Reference):
    """An adapter with a layer class of its own."""

    layer_class: type[Layer] = Layer

    def layer(self, lower, upper, *, inplace=False, generator=None):
        return self.layer_class(type(self), lower, upper, inplace, generator)


class _State(Layer):
    """A layer that is pickled by its dictionary."""

    def __getstate__(self):
        return self.__dict__.copy()

    def __setstate__(self, state):
        self.__dict__.update(state)


class _ForgetsMode(_State):
    def __setstate__(self, state):
        super().__setstate__(state)
        self.training = True


class _ForgetsBounds(_State):
    def __setstate__(self, state):
        super().__setstate__(state)
        self.__init__(self._kind, 0.125, 0.25, False, self.generator)


class _BeginsAgain(_State):
    """The generator is pickled by its seed alone."""

    def __getstate__(self):
        state = self.__dict__.copy()
        if self.generator is not None:
            state["generator"] = Generator(self.generator.seed)
        return state


class _CopiesGenerator(Layer):
    def __deepcopy__(self, memo):
        twin = super().__deepcopy__(memo)
        if self.generator is not None:
            twin.generator = Generator(self.generator.seed, self.generator.call)
        return twin


class _SharesMode(Layer):
    """The mode belongs to the class."""

    mode = True

    @property
    def training(self):
        return type(self).mode

    @training.setter
    def training(self, value):
        type(self).mode = value


class _FixedBounds(Layer):
    """The bounds are read when the layer is built."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._fixed = self._spec

    def __call__(self, x):
        live, self._spec = self._spec, self._fixed
        try:
            return super().__call__(x)
        finally:
            self._spec = live


class _DeafToEval(Layer):
    def eval(self):
        pass


class _EvaluatesAtFirst(Layer):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.training = False


class _LateChecks(Layer):
    """Bounds are looked at when the layer is called."""

    def __init__(self, kind, lower, upper, inplace, generator):
        super().__init__(kind, 0, 1, inplace, generator)
        self._late = (lower, upper)

    def __call__(self, x):
        if self._late is not None:
            lower, upper = self._late
            self._late = None
            self.lower = min(self.lower, lower)
            self.upper = upper
            self.lower = lower
        return super().__call__(x)


class WithState(OwnLayer):
    layer_class = _State


class ForgetsMode(OwnLayer):
    layer_class = _ForgetsMode


class ForgetsBounds(OwnLayer):
    layer_class = _ForgetsBounds


class BeginsAgain(OwnLayer):
    layer_class = _BeginsAgain


class CopiesGenerator(OwnLayer):
    layer_class = _CopiesGenerator


class SharesMode(OwnLayer):
    layer_class = _SharesMode


class FixedBounds(OwnLayer):
    layer_class = _FixedBounds


class DeafToEval(OwnLayer):
    layer_class = _DeafToEval


class EvaluatesAtFirst(OwnLayer):
    layer_class = _EvaluatesAtFirst


class LateChecks(OwnLayer):
    layer_class = _LateChecks


class _CarelessCounter(Generator):
    """Reads the number, then writes the next: two threads may read the same."""

    __slots__ = ()

    def take(self):
        seed, call = self.seed, self.call
        time.sleep(0)  # lets another thread in
        self._words[1] = call + 1
        return seed, call


class _LockedCounter(_CarelessCounter):
    __slots__ = ()
    _one = threading.Lock()

    def take(self):
        with self._one:
            return super().take()


class Careless(Reference):
    def __init__(self):
        super().__init__()
        self.stream = _CarelessCounter(0)

    def generator(self, seed):
        return _CarelessCounter(seed)


class Locked(Reference):
    def __init__(self):
        super().__init__()
        self.stream = _LockedCounter(0)

    def generator(self, seed):
        return _LockedCounter(seed)


class SharedScratch(Reference):
    """Slopes are kept in one place for all calls until the backward."""

    kept = None

    def choose(self, x, spec, training, generator):
        a, key = super().choose(x, spec, training, generator)
        self.kept = a
        time.sleep(0)
        return a, key

    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, side, self.kept, spec, key, x)


PAIRS = [
    Pair(ForgetsMode, "layer.pickling", WithState),
    Pair(ForgetsBounds, "layer.pickling", WithState),
    Pair(BeginsAgain, "layer.pickling-continues-stream", WithState),
    Pair(CopiesGenerator, "layer.deepcopy-shares-generator", WithState),
    Pair(SharesMode, "layer.copies-are-apart", WithState),
    Pair(FixedBounds, "layer.live-bounds", WithState),
    Pair(DeafToEval, "layer.switches", WithState),
    Pair(EvaluatesAtFirst, "layer.trains-at-first", WithState),
    Pair(LateChecks, "errors.layer-refuses-early", WithState),
    Pair(Careless, "threads.no-two-alike", Locked),
    Pair(SharedScratch, "threads.gradients"),
]
