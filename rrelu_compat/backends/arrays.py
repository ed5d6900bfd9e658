"""What NumPy's and CuPy's adapters have in common; arrays have ``shape``, ``strides`` in bytes, ``dtype``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rrelu_compat import kernels
from rrelu_compat.errors import DTypeError
from rrelu_compat.generator import Generator
from rrelu_compat.layout import overlaps_itself
from rrelu_compat.neutral import PlainRReLU
from rrelu_compat.spec import check_training

if TYPE_CHECKING:
    from collections.abc import Callable

    from rrelu_compat.spec import RReLUSpec


# Filled as dtypes are met: names are slow, and bfloat16 is known by name only (no package may be installed).
_codes: dict[Any, int] = {}


def code_of(dtype: Any) -> int:
    """Return the kernels' code of a NumPy dtype in native byte order, or raise a ``DTypeError``."""
    code = _codes.get(dtype)
    if code is None:
        known = dtype.fields is None and dtype.subdtype is None and dtype.isnative
        if not known or dtype.name not in kernels.DTYPES:
            raise DTypeError(dtype)
        code = _codes.setdefault(dtype, kernels.DTYPES[dtype.name])
    return code


def strides_of(x: Any) -> tuple[int, ...]:
    """Return the strides in elements."""
    return tuple(stride // x.itemsize for stride in x.strides)


def check_generator(generator: Any, *others: tuple[type, str]) -> None:
    """Raise a ``TypeError`` unless `generator` is None, of ours, or of one of the types named in `others`."""
    allowed = [(Generator, "rrelu_compat.Generator"), *others]
    if generator is not None and not isinstance(generator, tuple(kind for kind, _ in allowed)):
        names = ", ".join(f"a {name}" for _, name in allowed)
        raise TypeError(
            f"generator must be {names} or None, got {type(generator).__name__} generator={generator!r}"
        )


def check_call(x: Any, spec: RReLUSpec, training: bool) -> None:
    """Raise for a `training` that is no bool, and for an array that can't be written in place."""
    check_training(training)
    if spec.inplace and x.size and overlaps_itself(x.shape, x.strides, x.itemsize):
        raise ValueError(
            f"x must not overlap itself for inplace=True, got shape {x.shape} with strides {x.strides}: "
            "pass x.copy() or inplace=False"
        )


def check_gradient(g: Any, shape: tuple[int, ...], dtype: Any) -> None:
    """Raise a ``ValueError`` for a gradient of another shape or dtype (in any byte order) than the output."""
    if g.shape != shape or g.dtype.newbyteorder("=") != dtype:
        raise ValueError(
            f"g must have the shape and dtype of the output, {shape} and {dtype}, "
            f"got {g.shape} and {g.dtype}"
        )


@dataclass(frozen=True)
class ArrayBackend:
    """An adapter's functions as a `rrelu_compat.Backend`, whose layer is the plain one."""

    name: str
    is_tensor: Callable[[object], bool]
    apply: Callable[..., Any]
    check_generator: Callable[[Any], None]
    info: Callable[[], dict[str, Any]]

    def layer(self, spec: RReLUSpec, generator: Any) -> PlainRReLU:
        """Build a callable layer with ``train()`` and ``eval()``."""
        self.check_generator(generator)
        return PlainRReLU(spec.lower, spec.upper, spec.inplace, spec.name, generator=generator)
