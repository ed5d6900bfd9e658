"""The kernels on the memory of Paddle tensors on the CPU."""

from __future__ import annotations

import ctypes
import functools
import math
from typing import TYPE_CHECKING, Any

from rrelu_compat import kernels
from rrelu_compat.backends.paddle.tensors import thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

#: What slopes are made from: ``(seed, call, lower, upper)``.
Key = tuple[int, int, float, float]


@functools.lru_cache(maxsize=256)
def _bit_array(n: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    # A ctypes array: its address costs 0.1 us, that of a NumPy array 0.9.
    return ctypes.c_ubyte * ((n + 7) // 8)


def bits_for(x: Any) -> tuple[Any, int]:
    """Return memory for one bit per element of `x`, and its address."""
    bits = _bit_array(math.prod(x.shape))()
    return bits, ctypes.addressof(bits)


def _run(
    linear: Callable[..., None],
    strided: Callable[..., None],
    source: Any,
    target: Any,
    bits: int,
    code: int,
    key: Key,
) -> None:
    seed, call, lower, upper = key
    shape = source.shape
    n = math.prod(shape)
    draw = (seed, call, 0, lower, upper, thread_count(n))
    if source.is_contiguous():
        linear(code, n, source.data_ptr(), target.data_ptr(), bits, *draw)
    else:
        strided(
            code, tuple(shape), source.data_ptr(), tuple(source.strides),
            target.data_ptr(), tuple(target.strides), bits, None, *draw,
        )  # fmt: skip


def write_forward(x: Any, y: Any, bits: int, code: int, key: Key) -> None:
    """Run the forward kernel from `x` to `y`: `x` itself or contiguous; bits at an address or 0."""
    _run(kernels.forward, kernels.forward_strided, x, y, bits, code, key)


def write_backward(g: Any, out: Any, bits: int, code: int, key: Key) -> None:
    """Run the backward kernel from `g` to `out`: `g` itself or contiguous."""
    _run(kernels.backward, kernels.backward_strided, g, out, bits, code, key)
