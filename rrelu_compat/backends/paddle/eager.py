"""RReLU of eager tensors: our kernel, and the autograd nodes around it.

A ``PyLayer`` won't do: Paddle ignores what hooks on its output return and crashes on a second backward.
Instead, identity operations of Paddle's own make the nodes, and a gradient hook on the first of two does
our work:

    x -> reshape (node 1: our hook) -> reshape (node 2: the user's hooks) -> result

Two are needed: with one, a user's hook on the result would see the gradient after ours. The hook keeps one
bit per element, not the input, so it needs no version check: an input changed later does no harm.
"""

from __future__ import annotations

import ctypes
import functools
import math
from typing import Any

import paddle

from rrelu_compat import kernels
from rrelu_compat.backends.paddle.tensors import DTYPE_OF_CODE, check_no_overlap, thread_count

# Untyped: what Paddle's own Python code calls, without the checks of its public functions.
_C_ops: Any = paddle._C_ops
_CPU = paddle.CPUPlace()

#: What slopes are made from: ``(seed, call, lower, upper)``.
Key = tuple[int, int, float, float]


@functools.lru_cache(maxsize=256)
def _bit_array(n: int) -> type[ctypes.Array[ctypes.c_ubyte]]:
    # A ctypes array: its address costs 0.1 us, that of a NumPy array 0.9.
    return ctypes.c_ubyte * ((n + 7) // 8)


def _forward_into(x: Any, y: Any, bits: int, code: int, n: int, key: Key) -> None:
    seed, call, lower, upper = key
    threads = thread_count(n)
    if x.is_contiguous():
        kernels.forward(
            code, n, x.data_ptr(), y.data_ptr(), bits, seed, call, 0, lower, upper, threads
        )
    else:
        kernels.forward_strided(
            code, tuple(x.shape), x.data_ptr(), tuple(x.strides), y.data_ptr(), tuple(y.strides),
            bits, None, seed, call, 0, lower, upper, threads,
        )  # fmt: skip


class _Gradient:
    """The gradient hook: multiplies by 1 or by the slope of the forward. Keeps one bit per element."""

    __slots__ = ("_address", "_bits", "_code", "_key")

    def __init__(self, n: int, code: int, key: Key) -> None:
        self._bits = _bit_array(n)()
        self._address = ctypes.addressof(self._bits)
        self._code = code
        self._key = key

    @property
    def address(self) -> int:
        return self._address

    def __call__(self, g: Any) -> Any:
        dtype = DTYPE_OF_CODE[self._code]
        if g.dtype != dtype:
            g = g.astype(dtype)
        if not g.is_contiguous():
            g = g.contiguous()
        out = _C_ops.empty_like(g, dtype, _CPU)
        n = math.prod(g.shape)
        seed, call, lower, upper = self._key
        kernels.backward(
            self._code, n, g.data_ptr(), out.data_ptr(), self._address,
            seed, call, 0, lower, upper, thread_count(n),
        )  # fmt: skip
        if not g.stop_gradient and paddle.is_grad_enabled():
            # Linear in g, so the gradient of the gradient is the same operation again.
            return _attach(g, out, self)
        return out


def _attach(x: Any, y: Any, hook: _Gradient) -> Any:
    """Return `y`'s data as a result computed from `x`, whose gradient `hook` makes."""
    node = _C_ops.reshape(x, x.shape)
    node._register_grad_hook(hook)
    result = _C_ops.reshape(node, node.shape)
    # Not _share_buffer_to: input and result would share a version counter.
    y._share_underline_tensor_to(result)
    return result


def records(x: Any) -> bool:
    """Whether an operation on `x` is recorded for backward."""
    return not x.stop_gradient and paddle.is_grad_enabled()


def apply(x: Any, code: int, key: Key, recording: bool) -> Any:
    """Return RReLU of `x`, a new contiguous tensor."""
    n = math.prod(x.shape)
    y = _C_ops.empty_like(x, DTYPE_OF_CODE[code], _CPU)
    if not recording:
        _forward_into(x, y, 0, code, n, key)
        return y
    hook = _Gradient(n, code, key)
    _forward_into(x, y, hook.address, code, n, key)
    return _attach(x, y, hook)


def multipliers(x: Any, code: int, key: Key) -> Any:
    """Return 1 where ``x >= 0``, else the slope; in the compute dtype, contiguous."""
    x = x.contiguous()
    n = math.prod(x.shape)
    _, _, _, slope = key
    signs = _Gradient(n, code, key)
    # For its bits alone.
    y = _C_ops.empty_like(x, DTYPE_OF_CODE[code], _CPU)
    _forward_into(x, y, signs.address, code, n, (0, 0, slope, slope))
    compute = kernels.F64 if code == kernels.F64 else kernels.F32
    out = paddle.ones(x.shape, DTYPE_OF_CODE[compute])
    seed, call, lower, upper = key
    kernels.backward(
        compute, n, out.data_ptr(), out.data_ptr(), signs.address,
        seed, call, 0, lower, upper, thread_count(n),
    )  # fmt: skip
    return out


def check_inplace(x: Any, recording: bool) -> None:
    """Raise, before data is touched or a number drawn, where `x` can't be worked on in place."""
    check_no_overlap(x)
    if recording and x.is_leaf:
        raise ValueError(
            "x is a leaf that requires a gradient (stop_gradient=False): inplace=True would overwrite "
            "what its gradient is for; use inplace=False, or paddle.no_grad()"
        )


def apply_(x: Any, code: int, key: Key, recording: bool) -> Any:
    """Replace `x` by its RReLU and return it; `check_inplace` comes first."""
    n = math.prod(x.shape)
    if not recording:
        _forward_into(x, x, 0, code, n, key)
        # Whoever saved the old value for backward must find out.
        x._bump_inplace_version()
        return x
    _C_ops.reshape_(x, x.shape)
    hook = _Gradient(n, code, key)
    _forward_into(x, x, hook.address, code, n, key)
    x._register_grad_hook(hook)
    _C_ops.reshape_(x, x.shape)
    return x
