"""Evaluation: where Paddle's own ``leaky_relu`` gives the specified result, it is used."""

from __future__ import annotations

import functools

import numpy as np

from rrelu_compat import kernels

_COMPUTE = {kernels.F32: np.float32, kernels.F64: np.float64}


@functools.lru_cache(maxsize=256)
def leaky_relu_is_exact(code: int, slope: float) -> bool:
    """Whether ``leaky_relu`` gives ``x`` where ``x >= 0`` and else ``slope * x``, bit for bit.

    It has no kernel for the half types, and it makes -inf of ``0 * -inf``, which is NaN.
    """
    compute = _COMPUTE.get(code)
    return compute is not None and compute(slope) != 0
