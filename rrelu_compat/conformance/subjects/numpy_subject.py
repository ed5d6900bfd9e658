"""The subject ``numpy``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.backends import numpy as backend
from rrelu_compat.conformance.capabilities import DTYPES, Capabilities
from rrelu_compat.conformance.framework import FrameworkSubject
from rrelu_compat.conformance.snippets import Snippets
from rrelu_compat.conformance.strided import as_strided_parts, rebuild
from rrelu_compat.generator import Generator
from rrelu_compat.numpy import RReLU, rrelu, rrelu_vjp
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.conformance.numerics import Array


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


class NumPySubject(FrameworkSubject):
    """NumPy has no autograd: gradients are those of `rrelu_compat.numpy.rrelu_vjp`."""

    def vjp(
        self,
        x: Array,
        lower: Any,
        upper: Any,
        *,
        inplace: bool = False,
        **keywords: Any,
    ) -> tuple[Array, Callable[[Array], Array]]:
        """Return the output and the pullback."""
        if inplace:
            return backend.apply_with_vjp(x, RReLUSpec(lower, upper, True), **keywords)
        return rrelu_vjp(x, lower, upper, **keywords)


def _forward(
    x: Any, lower: Any, upper: Any, *, training: bool, inplace: bool, generator: Any
) -> Any:
    return rrelu(x, lower, upper, training=training, inplace=inplace, generator=generator)


def _layer(lower: Any, upper: Any, *, inplace: bool, generator: Any) -> Any:
    return RReLU(lower, upper, inplace, generator=generator)


subject = NumPySubject(
    "numpy",
    NumPyKit(),
    forward=_forward,
    layer=_layer,
    generator=Generator,
    capabilities=Capabilities(
        dtypes=DTYPES,
        gradients=True,
        inplace=True,
        layers=True,
        live_bounds=True,
        pickling=True,
        seeding=True,
        global_seeding=True,
        portable_slopes=True,
        manual_seed=True,
        portable_errors=True,
        strided=True,
        memory_format=True,
        device_names=True,
        threads=True,
    ),
    snippets=Snippets(
        imports="import rrelu_compat.numpy",
        tensor="{name} = {array}",
        seed="np.random.seed({seed})",
        generator="{name} = rrelu_compat.Generator({seed})",
        forward="{y} = rrelu_compat.numpy.rrelu({x}, {lower}, {upper}, training={training}{options})",
        vjp="{y}, pullback_{y} = rrelu_compat.numpy.rrelu_vjp({x}, {lower}, {upper}, training={training})",
        pullback="{gx} = pullback_{y}({g})",
        layer="{name} = rrelu_compat.numpy.RReLU({lower}, {upper}{options})",
        show='print("{name} =", {name})',
    ),
)
