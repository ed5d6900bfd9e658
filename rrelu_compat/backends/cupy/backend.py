"""CuPy arrays: RReLU and its gradient on an NVIDIA GPU, as `rrelu_compat.backends.numpy` on the CPU.

Not run on a GPU so far: see ``docs/cuda.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import cupy
import numpy as np

from rrelu_compat import kernels as host
from rrelu_compat.backends import arrays
from rrelu_compat.generator import Generator, process_generator
from rrelu_compat.kernels import cuda as kernels
from rrelu_compat.layout import c_strides

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.spec import RReLUSpec

    Array = Any  # cupy.ndarray

name = "cupy"


class _Pack(NamedTuple):
    """What forward and backward of one call share."""

    code: int
    lower: float
    upper: float
    #: Two uint64 on the device, or numbers.
    key: Array | tuple[int, int]
    #: The order of axes in which the bits lie.
    order: list[int]


def is_tensor(x: object) -> bool:
    """Whether `x` is a CuPy array."""
    return isinstance(x, cupy.ndarray)


def check_generator(generator: Any) -> None:
    """Raise a ``TypeError`` for a generator that CuPy calls do not take."""
    arrays.check_generator(
        generator,
        (cupy.random.RandomState, "cupy.random.RandomState"),
        (cupy.random.Generator, "cupy.random.Generator"),
    )


def _key(generator: Any) -> Array | tuple[int, int]:
    """Return the key of one training call; from CuPy's generators it comes and stays on the device."""
    if generator is None:
        generator = process_generator()
    if generator is None:
        generator = cupy.random.get_random_state()
    if isinstance(generator, Generator):
        return generator.take()
    if isinstance(generator, cupy.random.Generator):
        words = generator.integers(0, 2**32 - 1, size=4, dtype=np.uint32, endpoint=True)
    else:
        words = generator.randint(0, 2**32, size=4, dtype=np.uint32)
    return words.view(np.uint64)


def _addressable(x: Array) -> bool:
    """Whether `x` begins, and strides go, by whole elements, as the kernels need it."""
    return all(number % x.itemsize == 0 for number in (x.data.ptr, *x.strides))


def _run(
    strided: Callable[..., None], source: Array, target: Array, bits: int, pack: _Pack
) -> None:
    shape = source.shape
    by_order = (
        tuple(numbers[axis] for axis in pack.order)
        for numbers in (
            shape,
            arrays.strides_of(source),
            arrays.strides_of(target),
            c_strides(shape),
        )
    )
    sizes, x_strides, y_strides, index = by_order
    device = source.device.id
    if isinstance(pack.key, tuple):
        (seed, call), key = pack.key, 0
    else:
        seed, call, key = 0, 0, pack.key.data.ptr
    strided(
        pack.code, sizes, source.data.ptr, x_strides, target.data.ptr, y_strides, bits, index, seed, call,
        0, pack.lower, pack.upper, cupy.cuda.get_current_stream().ptr, device, key,
    )  # fmt: skip


def _multipliers(passes: Array, pack: _Pack) -> Array:
    """Return 1 or the slope from the host: where there are no kernels for the device."""
    compute = np.dtype(np.float64 if pack.code == host.F64 else np.float32)
    seed, call = pack.key if isinstance(pack.key, tuple) else map(int, pack.key.get())
    slopes = np.empty(passes.shape, compute)
    code = host.DTYPES[compute.name]
    host.fill_slopes(
        code, slopes.shape, slopes.ctypes.data, None, seed, call, 0, pack.lower, pack.upper,
        host.thread_count(),
    )  # fmt: skip
    return cupy.where(passes, cupy.ones((), compute), cupy.asarray(slopes))


def _scaled(x: Array, multipliers: Array) -> Array:
    return (x.astype(multipliers.dtype) * multipliers).astype(x.dtype)


def _forward(
    x: Array, spec: RReLUSpec, training: bool, generator: Any, keep: bool
) -> tuple[Array, Array, _Pack]:
    """Return the result, what the gradient needs to know of signs, and the pack."""
    check_generator(generator)
    arrays.check_call(x, spec, training)
    code = arrays.code_of(x.dtype)
    lower, upper = spec.slope_range(training, code != host.F64)
    with x.device:
        y = x if spec.inplace else cupy.empty_like(x)
        order = kernels.in_memory_order(y.shape, y.strides)
        # Memory comes before the number: a call that fails for want of memory takes none.
        if kernels.missing(x.device.id) is not None:
            passes = x >= 0
            pack = _Pack(code, lower, upper, _key(generator) if training else (0, 0), order)
            y[...] = _scaled(x, _multipliers(passes, pack))
            return y, passes, pack
        bits: Array = cupy.empty((x.size + 7) // 8, np.uint8) if keep else None
        source, target = (one if _addressable(one) else one.copy() for one in (x, y))
        pack = _Pack(code, lower, upper, _key(generator) if training else (0, 0), order)
        _run(kernels.forward_strided, source, target, bits.data.ptr if keep else 0, pack)
        if target is not y:
            y[...] = target
    return y, bits, pack


def apply(x: Array, spec: RReLUSpec, *, training: bool, generator: Any = None) -> Array:
    """Return RReLU of `x`; `x` itself if ``spec.inplace``."""
    return _forward(x, spec, training, generator, False)[0]


def apply_with_vjp(
    x: Array, spec: RReLUSpec, *, training: bool, generator: Any = None
) -> tuple[Array, Callable[[Array], Array]]:
    """Return RReLU of `x` and the function that maps a gradient of it to the gradient of `x`."""
    shape, dtype, device = x.shape, x.dtype, x.device
    y, signs, pack = _forward(x, spec, training, generator, True)

    def vjp(g: Array) -> Array:
        """Return the gradient of the input for the gradient `g` of the output."""
        with device:
            g = cupy.asarray(g)
            arrays.check_gradient(g, shape, dtype)
            if signs.dtype == np.bool_:
                return _scaled(g, _multipliers(signs, pack))
            source = g if _addressable(g) else g.copy()
            out = cupy.empty_like(source)
            _run(kernels.backward_strided, source, out, signs.data.ptr, pack)
            return out

    return y, vjp


def info() -> dict[str, Any]:
    """Return version, devices, dtypes and the kernel in use."""
    return {
        "version": cupy.__version__,
        "devices": [f"cuda:{k}" for k in range(cupy.cuda.runtime.getDeviceCount())],
        "dtypes": list(host.DTYPES),
        "kernels": {"cuda": kernels.describe(0)},
    }


backend = arrays.ArrayBackend(name, is_tensor, apply, check_generator, info)
