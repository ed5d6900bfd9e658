"""The CPU kernels: the compiled extension where it was built, else NumPy. Same functions, same bits.

Addresses, sizes and seeds come in; no tensors. All arguments are positional.

``forward(dtype, n, x, y, bits, seed, call, start, lower, upper, threads)``
    RReLU of `n` contiguous elements at address `x`, written to `y` (which may be `x`).
``backward(dtype, n, g, out, bits, seed, call, start, lower, upper, threads)``
    The gradient of `g`, written to `out` (which may be `g`).
``forward_strided(dtype, shape, x, x_strides, y, y_strides, bits, index_strides, seed, ...)``
    The same for any layout.
``backward_strided(dtype, shape, g, g_strides, out, out_strides, bits, index_strides, seed, ...)``
    The same for any layout.
``fill_slopes(dtype, shape, out, index_strides, seed, call, start, lower, upper, threads)``
    The slopes themselves, contiguous, in a compute dtype (`F32` or `F64`).
``path()``
    The path in use: "avx512", "avx2", "c" or "numpy".

`shape` and ``*_strides`` are tuples of ints, strides in elements, 0 and negative included. An element has
the Philox index ``start + sum(i_j * index_strides[j])``; `index_strides` None means C order. `bits` is the
address of ``ceil(n / 8)`` bytes, or 0 in a forward that needs no gradient: bit ``k % 8`` of byte ``k // 8``
says that element `k` in C order passes through (``x >= 0``). Backward reads the bits, never `x`.
``lower == upper`` draws nothing: evaluation passes the mean slope as both.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

from rrelu_compat.kernels import fallback

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT_VARIABLE = "RRELU_COMPAT_KERNEL"
PATHS = ("avx512", "avx2", "c", "numpy")

F16, BF16, F32, F64 = range(4)
#: Codes by dtype name, and bytes per element by code.
DTYPES = {"float16": F16, "bfloat16": BF16, "float32": F32, "float64": F64}
ITEMSIZE = (2, 2, 4, 8)


def _choose() -> Any:
    forced = os.environ.get(ENVIRONMENT_VARIABLE) or None
    if forced is not None and forced not in PATHS:
        raise ValueError(
            f"{ENVIRONMENT_VARIABLE} must be one of {', '.join(PATHS)}, got {forced!r}"
        )
    if forced == "numpy":
        return fallback
    try:
        # The extension reads the variable too, to choose among its own paths.
        return importlib.import_module("rrelu_compat.kernels._cpu")
    except ModuleNotFoundError as error:
        if forced is None:
            return fallback
        raise ImportError(
            f"{ENVIRONMENT_VARIABLE}={forced!r} needs the compiled kernel, which was not built: "
            "install with a C compiler, or unset the variable"
        ) from error


_kernels = _choose()
#: Why NumPy serves though a compiled kernel should; None where it is there, or NumPy was asked for.
missing: str | None = (
    "the compiled CPU kernel was not built: install rrelu-compat again with a C compiler, or set "
    f"{ENVIRONMENT_VARIABLE}=numpy if this is meant"
    if _kernels is fallback and not os.environ.get(ENVIRONMENT_VARIABLE)
    else None
)
if missing is not None:
    warnings.warn(f"RReLU is computed by NumPy, many times slower: {missing}", stacklevel=2)
forward: Callable[..., None] = _kernels.forward
backward: Callable[..., None] = _kernels.backward
forward_strided: Callable[..., None] = _kernels.forward_strided
backward_strided: Callable[..., None] = _kernels.backward_strided
fill_slopes: Callable[..., None] = _kernels.fill_slopes
path: Callable[[], str] = _kernels.path
#: ``use_team(address)``: run large calls on the threads of an OpenMP, whose ``GOMP_parallel`` is there;
#: None: on threads made for each call. A child made by fork makes its own again.
use_team: Callable[[int | None], None] = _kernels.use_team


def thread_count(variable: str | None = None) -> int:
    """Return how many threads large tensors may use where the framework has no setting of its own.

    Parameters
    ----------
    variable : str or None
        An environment variable that comes before ``OMP_NUM_THREADS``. If neither is set: the
        processors this process may run on.
    """
    for name in (variable, "OMP_NUM_THREADS"):
        # OMP_NUM_THREADS may be a list, one number for each nesting level.
        first = os.environ.get(name, "").split(",")[0].strip() if name else ""
        if first.isdigit() and int(first) > 0:
            return int(first)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


__all__ = [
    "BF16",
    "DTYPES",
    "F16",
    "F32",
    "F64",
    "ITEMSIZE",
    "backward",
    "backward_strided",
    "fill_slopes",
    "forward",
    "forward_strided",
    "missing",
    "path",
    "thread_count",
    "use_team",
]
