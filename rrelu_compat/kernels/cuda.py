"""The CUDA kernels: the functions of `rrelu_compat.kernels`, on a device and a stream.

Device addresses, sizes and seeds come in; no tensors. Compiled by NVRTC at first use, through
``cuda.core`` (the extra ``cuda``), and kept for each device and dtype. A launch is asynchronous and never
waits for the device, so it can be captured into a CUDA graph; make one call before the capture, since
compiling and loading code is not allowed inside.

``forward(dtype, n, x, y, bits, seed, call, start, lower, upper, stream, device, key=0)``
    RReLU of `n` contiguous elements at address `x`, written to `y` (which may be `x`).
``backward(dtype, n, g, out, bits, seed, call, start, lower, upper, stream, device, key=0)``
    The gradient of `g`, written to `out` (which may be `g`).
``forward_strided(dtype, shape, x, x_strides, y, y_strides, bits, index_strides, seed, ...)``
    The same for any layout.
``backward_strided(dtype, shape, g, g_strides, out, out_strides, bits, index_strides, seed, ...)``
    The same for any layout.
``fill_slopes(dtype, shape, out, index_strides, seed, call, start, lower, upper, stream, device, key=0)``
    The slopes themselves, contiguous, in a compute dtype (`F32` or `F64`).
``missing(device)``
    Why there are no kernels for a device, or None.

What the CPU's functions say about shapes, strides, bits and indices holds here too. `stream` is a CUDA
stream handle as an int (0: the legacy default stream), `device` its device's number. `key`, if not 0, is
the address in that device's memory of two uint64, seed and call, 8-byte aligned: they are read when the
kernel runs, instead of `seed` and `call`. Addresses are multiples of the dtype's size.

Speed: x and y at multiples of four elements, and `start` of 4, take the vector kernels. For a
channels-last tensor pass shape and strides in the order of memory and the C-order strides of the logical
shape as `index_strides` (`in_memory_order`), in forward and backward alike: bits then lie in that order.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.errors import install_hint
from rrelu_compat.fork import lock
from rrelu_compat.kernels import ITEMSIZE
from rrelu_compat.kernels import _cuda_program as program
from rrelu_compat.layout import c_strides

if TYPE_CHECKING:
    from collections.abc import Sequence

Ints = tuple[int, ...]
#: Size, and the steps in x, in y and in the Philox index.
Axis = tuple[int, int, int, int]

INSTALL = install_hint("cuda")
_F32, _F64 = 2, 3

_lock = lock()
_programs: dict[tuple[int, int, str, str], Any] = {}
_kernels: dict[tuple[int, int, int, str], Any] = {}


def _capability(device: int) -> int:
    from cuda.core import Device

    major, minor = Device(device).compute_capability
    return int(major) * 10 + int(minor)


@functools.cache
def missing(device: int) -> str | None:
    """Return why there are no kernels for a device, None if there are; remembered."""
    try:
        program.supported()
        program.target(_capability(device))
    except ImportError as error:
        return f"cuda.core or its bindings are not installed ({error}): {INSTALL}"
    except Exception as error:  # whatever loading a driver and a compiler may throw
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def describe(device: int) -> str:
    """Return compiler and architecture, as ``rrelu-compat info`` says them; or why there is no kernel."""
    if reason := missing(device):
        return f"none ({reason})"
    (major, minor), _ = program.supported()
    return f"cuda (NVRTC {major}.{minor}, {program.target(_capability(device))[0]})"


def merge_axes(shape: Ints, *strides: Ints) -> list[Ints]:
    """Return the axes of a tensor as (size, stride, stride, ...), as few as will do.

    Axes of size 1 are dropped; neighbours that all the strides run through as through one are merged.
    """
    axes: list[Ints] = []
    for axis in zip(shape, *strides, strict=True):
        size, *steps = axis
        if size == 1:
            continue
        if axes and all(
            outer == size * step for outer, step in zip(axes[-1][1:], steps, strict=True)
        ):
            axes[-1] = (axes[-1][0] * size, *steps)
        else:
            axes.append(axis)
    return axes or [(1,) * (1 + len(strides))]


def in_memory_order(shape: Ints, *strides: Ints) -> list[int]:
    """Return the order of the axes from the largest step of the first `strides` to the smallest.

    Examples
    --------
    >>> in_memory_order((2, 16, 5, 5), (400, 1, 80, 16))  # channels last
    [0, 2, 3, 1]
    """
    return sorted(range(len(shape)), key=lambda axis: tuple(-abs(s[axis]) for s in strides))


def _tiles(axes: Sequence[Ints], start: int) -> bool:
    """Whether the tiled kernels take these axes: see ``rr_tiled`` in ``rrelu_cuda.h``."""
    if len(axes) < 2:
        return False
    *outer, row, column = axes
    indices = [axis[-1] for axis in outer] + [column[-1], start]
    return (
        column[0] % 8 == 0
        and row[0] % 4 == 0
        and row[-1] == 1
        and all(index % 4 == 0 for index in indices)
    )


def _signed(value: int) -> int:
    # cuda.core passes a Python int as a signed 64-bit one; the kernel reads the same bits unsigned.
    return value - 2**64 if value >= 2**63 else value


def _draw(
    dtype: int, seed: int, call: int, start: int, lower: float, upper: float, key: int
) -> tuple[Any, ...]:
    """Return the kernels' parameters from `start` on."""
    real = np.float64 if dtype == _F64 else np.float32
    return (
        _signed(start), key, _signed(seed), _signed(call),
        real(lower), real(upper - lower), real(upper), int(lower != upper),
    )  # fmt: skip


def _check_address(name: str, address: int, size: int) -> None:
    if address % size:
        raise ValueError(
            f"{name} must be a multiple of {size}, the bytes of an element, got {name}={address:#x}"
        )


def _kernel(device: int, dtype: int, rank: int, name: str) -> Any:
    """Return a loaded kernel; compiles at first use. `device` is current."""
    try:
        return _kernels[device, dtype, rank, name]
    except KeyError:
        pass
    arch, code = program.target(_capability(device))
    with _lock:
        compiled = _programs.get((dtype, rank, arch, code))
        if compiled is None:
            compiled = program.compile_program(dtype, rank, arch, code)
            _programs[dtype, rank, arch, code] = compiled
        return _kernels.setdefault((device, dtype, rank, name), compiled.get_kernel(name))


@functools.lru_cache(maxsize=256)
def _stream(handle: int) -> Any:
    from cuda.core import LEGACY_DEFAULT_STREAM, Stream

    return Stream.from_handle(handle) if handle else LEGACY_DEFAULT_STREAM


@functools.lru_cache(maxsize=256)
def _config(grid: int) -> Any:
    from cuda.core import LaunchConfig

    return LaunchConfig(grid=grid, block=program.THREADS)


def _make_current(device: int) -> Any:
    """Make `device` current in this thread; return the context to go back to, or None."""
    from cuda.bindings import driver
    from cuda.core import Device

    status, context = driver.cuCtxGetCurrent()
    if int(status) == 0 and int(context):
        if int(driver.cuCtxGetDevice()[1]) == device:
            return None
    else:
        # A thread that has used no device yet stays on this one, as the CUDA runtime does it.
        context = None
    Device(device).set_current()
    return context


def _go_back(context: Any) -> None:
    from cuda.bindings import driver

    (status,) = driver.cuCtxSetCurrent(context)
    if int(status):
        raise RuntimeError(f"the CUDA context could not be restored: {status!r}")


def _launch(
    device: int,
    stream: int,
    dtype: int,
    rank: int,
    name: str,
    per_block: int,
    n: int,
    *arguments: Any,
) -> None:
    if reason := missing(device):
        raise RuntimeError(f"no CUDA kernel for device {device}: {reason}")
    from cuda.core import launch

    context = _make_current(device)
    try:
        kernel = _kernel(device, dtype, rank, name)
        launch(_stream(stream), _config(-(-n // per_block)), kernel, *arguments)
    finally:
        if context is not None:
            _go_back(context)


def _linear(
    name: str, dtype: int, n: int, x: int, y: int, bits: int, start: int, draw: tuple[Any, ...],
    stream: int, device: int,
) -> None:  # fmt: skip
    size = ITEMSIZE[dtype]
    _check_address("x" if name == "rrelu_forward" else "g", x, size)
    _check_address("y" if name == "rrelu_forward" else "out", y, size)
    if n == 0:
        return
    whole = min(4 * size, 16)
    if x % whole == 0 and y % whole == 0 and start % 4 == 0:
        name += "_vector"
    _launch(
        device, stream, dtype, 0, name, program.LINEAR_BLOCK, n, x, y, bits, n, *draw
    )  # fmt: skip


def forward(
    dtype: int, n: int, x: int, y: int, bits: int, seed: int, call: int, start: int,
    lower: float, upper: float, stream: int, device: int, key: int = 0,
) -> None:  # fmt: skip
    """Contiguous forward: see the module."""
    draw = _draw(dtype, seed, call, start, lower, upper, key)
    _linear("rrelu_forward", dtype, n, x, y, bits, start, draw, stream, device)


def backward(
    dtype: int, n: int, g: int, out: int, bits: int, seed: int, call: int, start: int,
    lower: float, upper: float, stream: int, device: int, key: int = 0,
) -> None:  # fmt: skip
    """Contiguous backward: see the module."""
    draw = _draw(dtype, seed, call, start, lower, upper, key)
    _linear("rrelu_backward", dtype, n, g, out, bits, start, draw, stream, device)


def _strided(
    name: str, dtype: int, shape: Ints, x: int, x_strides: Ints, y: int, y_strides: Ints, bits: int,
    index_strides: Ints | None, start: int, draw: tuple[Any, ...], stream: int, device: int,
) -> None:  # fmt: skip
    n = math.prod(shape)
    index = c_strides(shape) if index_strides is None else index_strides
    axes = merge_axes(shape, x_strides, y_strides, index) if n else [(0, 1, 1, 1)]
    if len(axes) == 1 and axes[0][1:] == (1, 1, 1):
        _linear(name, dtype, n, x, y, bits, start, draw, stream, device)
        return
    size = ITEMSIZE[dtype]
    _check_address("x" if name == "rrelu_forward" else "g", x, size)
    _check_address("y" if name == "rrelu_forward" else "out", y, size)
    tiled = _tiles(axes, start)
    _launch(
        device, stream, dtype, len(axes), name + ("_tiled" if tiled else "_strided"),
        program.TILED_BLOCK if tiled else program.STRIDED_BLOCK, n,
        x, y, bits, n, *draw, *(_signed(number % 2**64) for axis in axes for number in axis),
    )  # fmt: skip


def forward_strided(
    dtype: int, shape: Ints, x: int, x_strides: Ints, y: int, y_strides: Ints, bits: int,
    index_strides: Ints | None, seed: int, call: int, start: int, lower: float, upper: float,
    stream: int, device: int, key: int = 0,
) -> None:  # fmt: skip
    """Forward for any layout: see the module."""
    _strided(
        "rrelu_forward", dtype, shape, x, x_strides, y, y_strides, bits, index_strides, start,
        _draw(dtype, seed, call, start, lower, upper, key), stream, device,
    )  # fmt: skip


def backward_strided(
    dtype: int, shape: Ints, g: int, g_strides: Ints, out: int, out_strides: Ints, bits: int,
    index_strides: Ints | None, seed: int, call: int, start: int, lower: float, upper: float,
    stream: int, device: int, key: int = 0,
) -> None:  # fmt: skip
    """Backward for any layout: see the module."""
    _strided(
        "rrelu_backward", dtype, shape, g, g_strides, out, out_strides, bits, index_strides, start,
        _draw(dtype, seed, call, start, lower, upper, key), stream, device,
    )  # fmt: skip


def fill_slopes(
    dtype: int, shape: Ints, out: int, index_strides: Ints | None, seed: int, call: int, start: int,
    lower: float, upper: float, stream: int, device: int, key: int = 0,
) -> None:  # fmt: skip
    """The slopes themselves: see the module."""
    if dtype not in (_F32, _F64):
        raise ValueError(
            f"dtype must be a compute dtype, {_F32} (float32) or {_F64} (float64), got dtype={dtype!r}"
        )
    n = math.prod(shape)
    _check_address("out", out, ITEMSIZE[dtype])
    if n == 0:
        return
    index = c_strides(shape) if index_strides is None else index_strides
    axes = merge_axes(shape, index)
    draw = _draw(dtype, seed, call, start, lower, upper, key)
    numbers = (_signed(v % 2**64) for size, step in axes for v in (size, 0, 0, step))
    _launch(
        device, stream, dtype, len(axes), "rrelu_slopes", program.SLOPES_BLOCK, n,
        0, out, 0, n, *draw, *numbers,
    )  # fmt: skip


__all__ = [
    "backward",
    "backward_strided",
    "describe",
    "fill_slopes",
    "forward",
    "forward_strided",
    "in_memory_order",
    "merge_axes",
    "missing",
]
