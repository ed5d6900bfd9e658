"""NumPy arrays on the CPU: RReLU and its gradient."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat import kernels
from rrelu_compat.backends import arrays
from rrelu_compat.generator import Generator, process_generator

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from rrelu_compat.spec import RReLUSpec

    Array = NDArray[Any]

name = "numpy"


def is_tensor(x: object) -> bool:
    """Whether `x` is a NumPy array."""
    return isinstance(x, np.ndarray)


def seed_and_call(generator: Any) -> tuple[int, int]:
    """Return the seed and call number of one training call (design: generator, process, default).

    Raises
    ------
    TypeError
        If `generator` is not one that NumPy calls take.
    """
    if generator is None:
        generator = process_generator()
        if generator is None:
            return int.from_bytes(np.random.bytes(8), "little"), 0
    if isinstance(generator, Generator):
        return generator.take()
    return int.from_bytes(generator.bytes(8), "little"), 0


def check_generator(generator: Any) -> None:
    """Raise a ``TypeError`` for a generator that NumPy calls do not take."""
    arrays.check_generator(generator, (np.random.Generator, "numpy.random.Generator"))


def _check_array(x: Array, spec: RReLUSpec, training: bool) -> None:
    # Not np.ma: NumPy would import it here, perhaps while something else does.
    masked = getattr(sys.modules.get("numpy.ma"), "MaskedArray", None)
    if masked is not None and isinstance(x, masked):
        raise TypeError("x must not be a masked array: apply RReLU to x.data or x.filled(...)")
    if spec.inplace and not x.flags.writeable:
        raise ValueError(
            "x must be writeable for inplace=True, but it is read-only: pass x.copy() or inplace=False"
        )
    arrays.check_call(x, spec, training)


def _address(x: Array) -> int:
    address: int = x.__array_interface__["data"][0]
    return address


def _run(
    kernel: Callable[..., None],
    strided: Callable[..., None],
    source: Array,
    target: Array,
    bits: int,
    *draw: Any,
) -> None:
    """Run a kernel from `source` to `target`, both of one shape and native dtype, of any layout."""
    code = arrays.code_of(source.dtype)
    if source.flags.c_contiguous and target.flags.c_contiguous:
        kernel(code, source.size, _address(source), _address(target), bits, *draw)
        return
    strided(
        code, source.shape, _address(source), arrays.strides_of(source),
        _address(target), arrays.strides_of(target), bits, None, *draw,
    )  # fmt: skip


def _addressable(x: Array) -> bool:
    """Whether strides count whole elements (fields of structured arrays may not) in native order."""
    return x.dtype.isnative and all(stride % x.itemsize == 0 for stride in x.strides)


# No kernel splits less; asking for the number of threads costs some microseconds.
_SMALL = 1 << 15


def _draw(spec: RReLUSpec, code: int, n: int, training: bool, generator: Any) -> tuple[Any, ...]:
    """Return the kernels' arguments from `seed` on; takes a number in training."""
    lower, upper = spec.slope_range(training, code != kernels.F64)
    seed, call = seed_and_call(generator) if training else (0, 0)
    return seed, call, 0, lower, upper, 1 if n < _SMALL else kernels.thread_count()


def _forward(
    x: Array, spec: RReLUSpec, training: bool, generator: Any, bits: int
) -> tuple[Array, tuple[Any, ...]]:
    check_generator(generator)
    _check_array(x, spec, training)
    native = x.dtype if x.dtype.isnative else x.dtype.newbyteorder("=")
    code = arrays.code_of(native)
    # Memory comes before the number: a call that fails for want of memory takes none.
    # A memory map's result lives in memory; other subclasses (units, matrices) keep their type.
    y = x if spec.inplace else np.empty_like(x, subok=not isinstance(x, np.memmap))
    source, target = x.view(np.ndarray), y.view(np.ndarray)
    if not _addressable(source):
        source = source.astype(native)
    result = target if _addressable(target) else np.empty(x.shape, native)
    draw = _draw(spec, code, x.size, training, generator)
    _run(kernels.forward, kernels.forward_strided, source, result, bits, *draw)
    if result is not target:
        target[...] = result
    return y, draw


def apply(x: Array, spec: RReLUSpec, *, training: bool, generator: Any = None) -> Array:
    """Return RReLU of `x`; `x` itself if ``spec.inplace``."""
    return _forward(x, spec, training, generator, 0)[0]


def apply_with_vjp(
    x: Array, spec: RReLUSpec, *, training: bool, generator: Any = None
) -> tuple[Array, Callable[[Array], Array]]:
    """Return RReLU of `x` and the function that maps a gradient of it to the gradient of `x`."""
    shape, dtype = x.shape, x.dtype.newbyteorder("=")
    bits = np.zeros((math.prod(shape) + 7) // 8, np.uint8)
    y, draw = _forward(x, spec, training, generator, _address(bits))

    def vjp(g: Array) -> Array:
        """Return the gradient of the input for the gradient `g` of the output."""
        g = np.asarray(g)
        arrays.check_gradient(g, shape, dtype)
        source = g if _addressable(g) else g.astype(dtype)
        out = np.empty_like(source)
        _run(kernels.backward, kernels.backward_strided, source, out, _address(bits), *draw)
        return out

    return y, vjp


def info() -> dict[str, Any]:
    """Return version, devices, dtypes and the kernel in use."""
    dtypes = ["float16", "float32", "float64"]
    try:
        import ml_dtypes  # noqa: F401
    except ModuleNotFoundError:
        pass
    else:
        dtypes.insert(1, "bfloat16")
    return {
        "version": np.__version__,
        "devices": ["cpu"],
        "dtypes": dtypes,
        "kernels": {"cpu": kernels.path()},
    }


backend = arrays.ArrayBackend(name, is_tensor, apply, check_generator, info)
