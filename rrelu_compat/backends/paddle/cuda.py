"""The kernels on the memory of Paddle tensors on an NVIDIA GPU. Not run on a GPU so far.

Bits lie on the device, in a Paddle tensor. Seed and call are numbers of the host: Paddle's generator of the
device gives them without waiting for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import paddle

from rrelu_compat.backends.paddle import private
from rrelu_compat.kernels import cuda as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.backends.paddle.cpu import Key


def device_of(x: Any) -> int:
    """Return the number of the GPU that a tensor is on."""
    number: int = x.place.gpu_device_id()
    return number


def stream_of(device: int) -> int:
    """Return the handle of Paddle's current stream of a GPU."""
    return private.stream_of(device)


def default_generator(device: int) -> Any:
    """Return Paddle's default generator of a GPU."""
    return private.default_cuda_generator(device)


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
    device = device_of(source)
    draw = (seed, call, 0, lower, upper, stream_of(device), device)
    shape = tuple(source.shape)
    if source.is_contiguous() and target.is_contiguous():
        n = math.prod(shape)
        linear(code, n, source.data_ptr(), target.data_ptr(), bits, *draw)
        return
    strided(
        code, shape, source.data_ptr(), tuple(source.strides),
        target.data_ptr(), tuple(target.strides), bits, None, *draw,
    )  # fmt: skip


def write_forward(x: Any, y: Any, bits: int, code: int, key: Key) -> None:
    """Run the forward kernel from `x` to `y` (which may be `x`), and to the bits at an address or 0."""
    _run(kernels.forward, kernels.forward_strided, x, y, bits, code, key)


def write_backward(g: Any, out: Any, bits: int, code: int, key: Key) -> None:
    """Run the backward kernel from `g` to `out`."""
    _run(kernels.backward, kernels.backward_strided, g, out, bits, code, key)


def bits_for(x: Any) -> tuple[Any, int]:
    """Return memory for one bit per element of `x`, on its device, and its address."""
    bits = private.C_ops.empty([(math.prod(x.shape) + 7) // 8], paddle.uint8, x.place)
    return bits, bits.data_ptr()


def missing(x: Any) -> str | None:
    """Return why there are no kernels for the device of `x`; None if there are."""
    return kernels.missing(device_of(x))


def info() -> dict[str, str]:
    """Return the kernels by device, for ``rrelu-compat info``; empty where Paddle sees no GPU."""
    if not paddle.device.is_compiled_with_cuda() or not paddle.device.cuda.device_count():
        return {}
    return {"gpu": kernels.describe(0)}
