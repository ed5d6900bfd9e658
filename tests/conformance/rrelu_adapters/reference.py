"""A right adapter that claims everything, in small steps that wrong ones replace one at a time."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rrelu_compat import Generator, RReLUSpec, slopes
from rrelu_compat.conformance import Capabilities
from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.strided import as_strided_parts, rebuild
from rrelu_compat.errors import DTypeError
from rrelu_compat.generator import process_generator

EVERYTHING = Capabilities(
    dtypes=DTYPES,
    gradients=True,
    double_gradients=True,
    forward_mode=True,
    batching=True,
    inplace=True,
    layers=True,
    live_bounds=True,
    pickling=True,
    seeding=True,
    global_seeding=True,
    portable_slopes=True,
    manual_seed=True,
    portable_errors=True,
    strided=True,
    memory_format=True,
    device_names=True,
    threads=True,
    recompute=("again",),
)


class Reference:
    """RReLU on NumPy arrays; `draw`, `slopes`, `scale`, `evaluation_slope`, ... may be replaced."""

    name = "reference"
    capabilities = EVERYTHING

    def __init__(self) -> None:
        self.stream = Generator(0)

    # Tensors

    def from_numpy(self, array: np.ndarray, *, device: str) -> np.ndarray:
        return rebuild(*as_strided_parts(array))

    def to_numpy(self, tensor: np.ndarray) -> np.ndarray:
        return np.array(tensor, order="C")

    def strides(self, tensor: np.ndarray) -> tuple[int, ...]:
        return tuple(s // tensor.itemsize for s in tensor.strides)

    def device_of(self, tensor: np.ndarray) -> str:
        return "cpu"

    # Streams

    def generator(self, seed: int) -> Any:
        return Generator(seed)

    def seed(self, n: int) -> None:
        self.stream.reposition(n)

    def draw(self, generator: Any) -> tuple[int, int]:
        """Return the seed and number of this call."""
        if generator is None:
            generator = process_generator() or self.stream
        return generator.take()

    # Numbers

    def slopes(
        self, shape: tuple[int, ...], lower: float, upper: float, compute: np.dtype, key: Any
    ) -> np.ndarray:
        """Return the slopes of a training call."""
        seed, call = key
        return slopes(shape, lower, upper, seed=seed, call=call, dtype=compute.name)

    def evaluation_slope(self, lower: float, upper: float) -> float:
        return (lower + upper) / 2

    def compute(self, dtype: np.dtype) -> np.dtype:
        return np.dtype(np.float64 if dtype == np.float64 else np.float32)

    def scale(self, a: Any, x: np.ndarray) -> np.ndarray:
        """Return a * x, rounded."""
        return (np.asarray(a) * x.astype(self.compute(x.dtype))).astype(x.dtype)

    def side(self, x: np.ndarray) -> np.ndarray:
        return x >= 0

    def positive(self, x: np.ndarray) -> np.ndarray:
        return x

    def join(self, side: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> np.ndarray:
        """Return the result, laid out like the positive side's input."""
        out = np.empty_like(positive)
        out[...] = np.where(side, positive, negative)
        return out

    def finish(self, y: np.ndarray, x: np.ndarray, inplace: bool) -> np.ndarray:
        if not inplace:
            return y
        if 0 in x.strides and x.size > 1 and x.shape[x.strides.index(0)] > 1:
            raise ValueError("x overlaps itself")
        x[...] = y
        return x

    def check(self, x: np.ndarray, lower: Any, upper: Any, training: bool) -> RReLUSpec:
        if x.dtype.name not in DTYPES:
            raise DTypeError(x.dtype)
        spec = RReLUSpec(lower, upper)
        spec.slope_range(training, x.dtype != np.float64)
        return spec

    def choose(
        self, x: np.ndarray, spec: RReLUSpec, training: bool, generator: Any
    ) -> tuple[Any, Any]:
        """Return the slopes of a call and its key."""
        compute = self.compute(x.dtype)
        if not training:
            return compute.type(self.evaluation_slope(spec.lower, spec.upper)), None
        key = self.draw(generator)
        return self.slopes(x.shape, spec.lower, spec.upper, compute, key), key

    # The operation

    def forward(
        self,
        x: np.ndarray,
        lower: Any,
        upper: Any,
        *,
        training: bool,
        inplace: bool = False,
        generator: Any = None,
    ) -> np.ndarray:
        return self.vjp(x, lower, upper, training=training, inplace=inplace, generator=generator)[0]

    def vjp(
        self,
        x: np.ndarray,
        lower: Any,
        upper: Any,
        *,
        training: bool,
        inplace: bool = False,
        generator: Any = None,
    ) -> tuple[np.ndarray, Any]:
        spec = self.check(x, lower, upper, training)
        a, key = self.choose(x, spec, training, generator)
        side = self.side(x)
        kept = x.copy()
        y = self.finish(self.join(side, self.positive(x), self.scale(a, x)), x, inplace)
        return y, lambda g: self.pull(g, side, a, spec, key, kept)

    def pull(
        self, g: np.ndarray, side: np.ndarray, a: Any, spec: RReLUSpec, key: Any, x: np.ndarray
    ) -> np.ndarray:
        """Return the gradient; `x` is the input as it was."""
        return np.where(side, g, self.scale(a, g)).astype(g.dtype)

    def recomputed_vjp(
        self,
        x: np.ndarray,
        lower: Any,
        upper: Any,
        *,
        training: bool,
        variant: str,
        generator: Any = None,
    ) -> tuple[np.ndarray, Any]:
        key: list[Any] = []

        def noting(generator: Any) -> tuple[int, int]:
            key.append(self.draw(generator))
            return key[-1]

        twin = self.recalling(noting)
        y, _ = twin.vjp(x, lower, upper, training=training, generator=generator)

        def pullback(g: np.ndarray) -> np.ndarray:
            again = self.recalling(lambda _: self.recall(key[0], generator))
            _, pull = again.vjp(x, lower, upper, training=training, generator=generator)
            return pull(g)

        return y, pullback

    def recall(self, key: tuple[int, int], generator: Any) -> tuple[int, int]:
        """Return the key that the repeated forward uses."""
        return key

    def recalling(self, draw: Any) -> Any:
        twin = type(self)()
        twin.__dict__.update(self.__dict__)
        twin.draw = draw
        return twin

    def double_vjp(self, x: Any, g: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        y, pullback = self.vjp(x, lower, upper, **keywords)
        # The gradient is linear in g and its own adjoint.
        return y, pullback(g), pullback

    def jvp(self, x: Any, tangent: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        y, pullback = self.vjp(x, lower, upper, **keywords)
        return y, pullback(tangent)

    def vmap(self, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        return self.forward(x, lower, upper, **keywords)

    def layer(self, lower: Any, upper: Any, *, inplace: bool = False, generator: Any = None) -> Any:
        return Layer(type(self), lower, upper, inplace, generator)


@functools.cache
def instance(kind: type[Reference]) -> Reference:
    """Return the one object of an adapter class; layers find it so, also after unpickling."""
    return kind()


class Layer:
    """A layer of an adapter."""

    def __init__(
        self, kind: type[Reference], lower: Any, upper: Any, inplace: bool, generator: Any
    ) -> None:
        self._kind = kind
        self._spec = RReLUSpec(lower, upper, inplace)
        self.generator = generator
        self.training = True

    @property
    def lower(self) -> float:
        return self._spec.lower

    @lower.setter
    def lower(self, value: float) -> None:
        self._spec = RReLUSpec(value, self._spec.upper, self._spec.inplace)

    @property
    def upper(self) -> float:
        return self._spec.upper

    @upper.setter
    def upper(self, value: float) -> None:
        self._spec = RReLUSpec(self._spec.lower, value, self._spec.inplace)

    def train(self) -> None:
        self.training = True

    def eval(self) -> None:
        self.training = False

    def __call__(self, x: Any) -> Any:
        return instance(self._kind).forward(
            x,
            self.lower,
            self.upper,
            training=self.training,
            inplace=self._spec.inplace,
            generator=self.generator,
        )

    def __deepcopy__(self, memo: Any) -> Layer:
        twin = type(self)(self._kind, self.lower, self.upper, self._spec.inplace, self.generator)
        twin.training = self.training
        return twin
