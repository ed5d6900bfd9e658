"""The subject ``cupy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cupy
import numpy as np

from rrelu_compat import cupy as drop_in
from rrelu_compat.backends.cupy import backend
from rrelu_compat.conformance.arithmetic import dtype_of
from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.strided import as_strided_parts
from rrelu_compat.conformance.subjects.array_subject import ArraySubject

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array


class CuPyKit:
    """CuPy's arrays."""

    def from_numpy(self, array: Array, *, device: str) -> Any:
        """Return a copy of an array, with its strides."""
        base, shape, strides, offset = as_strided_parts(array)
        if 0 in shape:
            return cupy.empty(shape, base.dtype)
        flat = cupy.asarray(base)
        bytes_ = [stride * base.itemsize for stride in strides]
        return cupy.lib.stride_tricks.as_strided(flat[offset:], shape, bytes_)

    def to_numpy(self, tensor: Any) -> Array:
        """Return a contiguous copy in the host's memory."""
        return np.array(tensor.get(), order="C")

    def seed(self, n: int) -> None:
        """Seed the generator of the current device."""
        cupy.random.seed(n)

    def strides(self, tensor: Any) -> tuple[int, ...]:
        """Return strides in elements."""
        return tuple(s // tensor.itemsize for s in tensor.strides)

    def device_of(self, tensor: Any) -> str:
        """Return "cuda"."""
        return "cuda"


def _has(dtype: str) -> bool:
    """Whether this version of CuPy has arrays of a dtype (bfloat16 came late)."""
    try:
        cupy.empty(1, dtype_of(dtype))
    except (TypeError, ValueError):
        return False
    return True


subject = ArraySubject(
    "cupy",
    CuPyKit(),
    drop_in,
    backend,
    tensor="{name} = cupy.asarray({array})",
    seed="cupy.random.seed({seed})",
    dtypes=tuple(dtype for dtype in DTYPES if _has(dtype)),
    devices=("cuda",),
)
