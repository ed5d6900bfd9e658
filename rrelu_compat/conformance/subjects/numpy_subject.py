"""The subject ``numpy``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat import numpy as drop_in
from rrelu_compat.backends.numpy import backend
from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.strided import as_strided_parts, rebuild
from rrelu_compat.conformance.subjects.array_subject import ArraySubject

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array


class NumPyKit:
    """NumPy's arrays."""

    def from_numpy(self, array: Array, *, device: str) -> Array:
        """Return a copy of an array, with its strides."""
        copy = rebuild(*as_strided_parts(array))
        if array.flags.c_contiguous and not array.flags.writeable:
            copy.flags.writeable = False
        return copy

    def to_numpy(self, tensor: Array) -> Array:
        """Return a contiguous copy."""
        return np.array(tensor, order="C")

    def seed(self, n: int) -> None:
        """Seed the legacy ``np.random``."""
        np.random.seed(n)

    def strides(self, tensor: Array) -> tuple[int, ...]:
        """Return strides in elements."""
        return tuple(s // tensor.itemsize for s in tensor.strides)

    def device_of(self, tensor: Array) -> str:
        """Return "cpu"."""
        return "cpu"


subject = ArraySubject(
    "numpy",
    NumPyKit(),
    drop_in,
    backend,
    tensor="{name} = {array}",
    seed="np.random.seed({seed})",
    dtypes=DTYPES,
)
