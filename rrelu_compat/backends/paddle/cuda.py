"""Paddle tensors on an NVIDIA GPU: `eager`'s nodes around the CUDA kernels. Not run on a GPU so far.

Bits lie on the device, in a Paddle tensor. Seed and call are numbers of the host: Paddle's generator of the
device gives them without waiting for it. Without the kernels the work is done on the host.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import paddle
from paddle.base import core

from rrelu_compat import kernels as host
from rrelu_compat.backends.paddle import eager, seeds
from rrelu_compat.backends.paddle.evaluation import leaky_relu_is_exact
from rrelu_compat.backends.paddle.tensors import DTYPE_OF_CODE, dtype_code
from rrelu_compat.kernels import cuda as kernels

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.backends.paddle.eager import Key
    from rrelu_compat.spec import RReLUSpec

_C_ops: Any = paddle._C_ops
# The CPU build has no stubs for what is on a GPU.
_core: Any = core


def device_of(x: Any) -> int:
    """Return the number of the GPU that a tensor is on."""
    number: int = x.place.gpu_device_id()
    return number


def stream_of(device: int) -> int:
    """Return the handle of Paddle's current stream of a GPU."""
    handle: int = _core._get_current_stream(device).raw_stream
    return handle


def default_generator(device: int) -> Any:
    """Return Paddle's default generator of a GPU."""
    return _core.default_cuda_generator(device)


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


def _forward_into(x: Any, y: Any, bits: int, code: int, key: Key) -> None:
    _run(kernels.forward, kernels.forward_strided, x, y, bits, code, key)


class _Gradient:
    """The gradient hook, as `eager._Gradient`, with the bits on the device."""

    __slots__ = ("_code", "_key", "bits")

    def __init__(self, x: Any, code: int, key: Key) -> None:
        bytes_ = (math.prod(x.shape) + 7) // 8
        self.bits = _C_ops.empty([bytes_], paddle.uint8, x.place)
        self._code = code
        self._key = key

    def __call__(self, g: Any) -> Any:
        dtype = DTYPE_OF_CODE[self._code]
        if g.dtype != dtype:
            g = g.astype(dtype)
        out = _C_ops.empty_like(g, dtype, g.place)
        bits = self.bits.data_ptr()
        _run(kernels.backward, kernels.backward_strided, g, out, bits, self._code, self._key)
        if not g.stop_gradient and paddle.is_grad_enabled():
            return eager._attach(g, out, self)  # type: ignore[arg-type]
        return out


def _apply(x: Any, code: int, key: Key, recording: bool) -> Any:
    y = _C_ops.empty_like(x, DTYPE_OF_CODE[code], x.place)
    if not recording:
        _forward_into(x, y, 0, code, key)
        return y
    hook = _Gradient(x, code, key)
    _forward_into(x, y, hook.bits.data_ptr(), code, key)
    return eager._attach(x, y, hook)  # type: ignore[arg-type]


def _apply_(x: Any, code: int, key: Key, recording: bool) -> Any:
    if not recording:
        _forward_into(x, x, 0, code, key)
        x._bump_inplace_version()
        return x
    _C_ops.reshape_(x, x.shape)
    hook = _Gradient(x, code, key)
    _forward_into(x, x, hook.bits.data_ptr(), code, key)
    x._register_grad_hook(hook)
    _C_ops.reshape_(x, x.shape)
    return x


def apply(x: Any, spec: RReLUSpec, training: bool, generator: Any) -> Any:
    """Apply `spec` to a dense tensor on a GPU."""
    code = dtype_code(x)
    lower, upper = spec.slope_range(training, code != host.F64)
    recording = eager.records(x)
    device = device_of(x)
    reason = kernels.missing(device)
    if spec.inplace:
        eager.check_inplace(x, recording)
        if reason is not None:
            raise RuntimeError(
                f"inplace=True needs the CUDA kernels: {reason}; or pass inplace=False"
            )
    elif not training and not recording and leaky_relu_is_exact(code, lower):
        return _C_ops.leaky_relu(x, lower)
    seed = seeds.draw(generator, default_generator(device)) if training else (0, 0)
    key = (*seed, lower, upper)
    if reason is not None:
        # Copies between devices are recorded, so the gradient takes the same way back.
        return eager.apply(x.cpu(), code, key, recording).to(x.place)
    return (_apply_ if spec.inplace else _apply)(x, code, key, recording)


def info() -> dict[str, str]:
    """Return the kernels by device, for ``rrelu-compat info``; empty where Paddle sees no GPU."""
    if not paddle.device.is_compiled_with_cuda() or not paddle.device.cuda.device_count():
        return {}
    return {"gpu": kernels.describe(0)}
