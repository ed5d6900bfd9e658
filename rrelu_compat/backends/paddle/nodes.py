"""RReLU of eager tensors, on the CPU and on a GPU: our kernels, and the autograd nodes around them.

A ``PyLayer`` won't do: Paddle ignores what hooks on its output return and crashes on a second backward.
Instead, identity operations of Paddle's own make the nodes, and a gradient hook on the first of two does
our work:

    x -> reshape (node 1: our hook) -> reshape (node 2: the user's hooks) -> result

Two are needed: with one, a user's hook on the result would see the gradient after ours. The hook keeps one
bit per element, not the input, so it needs no version check: an input changed later does no harm.

Of small tensors the multipliers (1 or the slope) are made, and Paddle's own ``multiply`` applies and
differentiates them: no Python runs in backward.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle

from rrelu_compat import kernels
from rrelu_compat.backends.paddle import cpu, private, recompute
from rrelu_compat.backends.paddle.kept_outputs import keeper
from rrelu_compat.backends.paddle.tensors import DTYPE_OF_CODE, check_no_overlap, thread_count

if TYPE_CHECKING:
    from rrelu_compat.backends.paddle.cpu import Key

_C_ops: Any = private.C_ops
#: Up to this many elements multipliers are made (measured by benchmarks/cpu.py: where the ways cross).
SMALL = 4096
# Arrays of NumPy: they are the same in static mode.
_ones = {code: np.ones(SMALL, dtype) for code, dtype in ((kernels.F32, "f4"), (kernels.F64, "f8"))}
_ones_at = {code: ones.ctypes.data for code, ones in _ones.items()}


class _Gradient:
    """The gradient hook: multiplies by 1 or by the slope of the forward. Keeps one bit per element."""

    __slots__ = ("_bits", "_code", "_key", "_run", "address")

    def __init__(self, run: Any, x: Any, code: int, key: Key) -> None:
        self._run = run
        self._bits, self.address = run.bits_for(x)
        self._code = code
        self._key = key

    def __call__(self, g: Any) -> Any:
        dtype = DTYPE_OF_CODE[self._code]
        if g.dtype != dtype:
            g = g.astype(dtype)
        out = _C_ops.empty_like(g, dtype, g.place)
        self._run.write_backward(g, out, self.address, self._code, self._key)
        # Gradients that are to be differentiated are results of operations; all others are leaves, although
        # they say stop_gradient=False.
        if not g.stop_gradient and not g.is_leaf and paddle.is_grad_enabled():
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


def room(x: Any, code: int) -> Any:
    """Return memory for the result: made before a number is drawn, so that its want costs none."""
    return _C_ops.empty_like(x, DTYPE_OF_CODE[code], x.place)


def apply(run: Any, x: Any, y: Any, code: int, key: Key, recording: bool) -> Any:
    """Write RReLU of `x` into `y`, its `room`; return it, as a result of `x` if `recording`.

    `run` is the module whose kernels serve `x`.
    """
    if not recording:
        run.write_forward(x, y, 0, code, key)
        return y
    if (
        run is cpu
        and code > kernels.BF16
        and not recompute.seen  # Paddle's recompute gives back what multiply saved only once
        and x.is_contiguous()
        and 0 < math.prod(x.shape) <= SMALL
    ):
        _write_multipliers(x, y, code, code, key)
        y.stop_gradient = True
        # A copy of x, because multiply would want x itself unchanged until backward.
        return _C_ops.multiply(_C_ops.assign(x), y)
    hook = _Gradient(run, x, code, key)
    run.write_forward(x, y, hook.address, code, key)
    return _attach(x, y, hook)


def _write_multipliers(x: Any, out: Any, code: int, compute: int, key: Key) -> None:
    """Write 1 where ``x >= 0``, else the slope, into `out`, contiguous and of the dtype `compute`."""
    bits, address = cpu.bits_for(x)
    # The bits come first, from a forward that changes nothing (of another dtype, into memory of its own).
    target = out if code == compute else _C_ops.empty_like(x, DTYPE_OF_CODE[code], x.place)
    cpu.write_forward(x, target, address, code, (0, 0, 1.0, 1.0))
    n = math.prod(x.shape)
    if n > SMALL:
        ones = np.ones(n, _ones[compute].dtype)
        ones_at = ones.ctypes.data
    else:
        ones_at = _ones_at[compute]
    seed, call, lower, upper = key
    kernels.backward(
        compute, n, ones_at, out.data_ptr(), address, seed, call, 0, lower, upper, thread_count(n)
    )
    del bits  # until here its address was in use


def multipliers(x: Any, code: int, key: Key) -> Any:
    """Return 1 where ``x >= 0``, else the slope; in the compute dtype, contiguous."""
    x = x.contiguous()
    compute = kernels.F64 if code == kernels.F64 else kernels.F32
    out = paddle.empty(x.shape, DTYPE_OF_CODE[compute])
    _write_multipliers(x, out, code, compute, key)
    return out


def check_inplace(x: Any, recording: bool) -> None:
    """Raise, before data is touched or a number drawn, where `x` can't be worked on in place."""
    check_no_overlap(x)
    if not recording:
        return
    if x.is_leaf:
        raise ValueError(
            "x is a leaf that requires a gradient (stop_gradient=False): inplace=True would overwrite "
            "what its gradient is for; use inplace=False, or paddle.no_grad()"
        )
    operation = keeper(x)
    if operation is not None:
        raise ValueError(
            f"x is the output of {operation}, which keeps it in Paddle to make its gradient: inplace=True "
            "would overwrite it; use inplace=False"
        )


def apply_(run: Any, x: Any, code: int, key: Key, recording: bool) -> Any:
    """Replace `x` by its RReLU and return it; `check_inplace` comes first."""
    if not recording:
        run.write_forward(x, x, 0, code, key)
        # Whoever saved the old value for backward must find out.
        x._bump_inplace_version()
        return x
    _C_ops.reshape_(x, x.shape)
    hook = _Gradient(run, x, code, key)
    run.write_forward(x, x, hook.address, code, key)
    x._register_grad_hook(hook)
    _C_ops.reshape_(x, x.shape)
    return x
