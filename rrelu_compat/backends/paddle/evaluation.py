"""Evaluation: where Paddle's own ``leaky_relu`` gives the specified result, it is used."""

from __future__ import annotations

import functools

import numpy as np
import paddle

from rrelu_compat import kernels

_COMPUTE = {kernels.F32: np.float32, kernels.F64: np.float64}


@functools.cache
def slope_is_double() -> bool:
    """Whether ``leaky_relu`` takes its slope in double precision; Paddle before 3.3 does not."""
    with paddle.base.dygraph.guard():  # also in static mode
        y = paddle.nn.functional.leaky_relu(paddle.full([1], -1.0, "float64"), 0.1)
        return bool(y.item() == -0.1)


@functools.lru_cache(maxsize=256)
def leaky_relu_is_exact(code: int, slope: float) -> bool:
    """Whether ``leaky_relu`` gives ``x`` where ``x >= 0`` and else ``slope * x``, bit for bit.

    It has no kernel for the half types, and it makes -inf of ``0 * -inf``, which is NaN.
    """
    compute = _COMPUTE.get(code)
    if compute is None or compute(slope) == 0:
        return False
    return code == kernels.F32 or slope_is_double()
