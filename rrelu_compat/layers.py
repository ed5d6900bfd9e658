"""What the layers of all backends share: live attributes that are checked, and copying."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, TypeVar

from rrelu_compat.errors import BoundsError
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from typing_extensions import Self

    from rrelu_compat.neutral import RReLU as _Neutral
else:
    _Neutral = object

LayerT = TypeVar("LayerT", bound="RReLULayer")


def inplace_or_name(inplace: bool | str | None, name: str | bool | None) -> tuple[bool, str | None]:
    """Tell ``inplace`` and ``name`` apart where a framework's version decides which comes first.

    PyTorch's third positional is `inplace`, Paddle 3.3's `name`, that of Paddle's next release
    `inplace` again: a bool and a str can't be confused, so either place takes either.

    Raises
    ------
    TypeError
        If two of one kind are given, or something else.
    """
    if inplace is None and name is None:
        return False, None
    if isinstance(inplace, str) or isinstance(name, bool):
        inplace, name = name, inplace
    if inplace is None:
        inplace = False
    if not isinstance(inplace, bool):
        raise TypeError(f"inplace must be True or False, got inplace={inplace!r}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a str or None, got name={name!r}")
    return inplace, name


class RReLULayer(_Neutral):
    """The framework-free part of every RReLU layer: live, validated attributes and copying.

    A subclass stores the spec as ``_spec`` and the generator as ``_generator``. The defaults here are those
    of a layer whose constructor ran only the framework's base class.
    """

    _spec: RReLUSpec = RReLUSpec()
    _generator: Any = None

    if TYPE_CHECKING:

        def __new__(cls, *arguments: Any, **keywords: Any) -> Self: ...  # ``__init__`` decides

    @property
    def spec(self) -> RReLUSpec:
        """The layer's spec; assigning one moves both bounds at once.

        Raises
        ------
        BoundsError
            If the bounds were set one by one and are out of order now.
        """
        if self._spec._flaw:
            raise BoundsError(self._spec._flaw)
        return self._spec

    @spec.setter
    def spec(self, spec: RReLUSpec) -> None:
        if not isinstance(spec, RReLUSpec):
            raise TypeError(f"spec must be an RReLUSpec, got {type(spec).__name__} spec={spec!r}")
        self._spec = spec

    def _replace(self, **changes: Any) -> None:
        # Through the property, so that a layer's own setter runs.
        self.spec = self._spec._changed(**changes)

    @property
    def lower(self) -> float:
        """Lower bound of the slopes; a finite number when set, in order at the next call."""
        return self._spec.lower

    @lower.setter
    def lower(self, value: float) -> None:
        self._replace(lower=value)

    @property
    def upper(self) -> float:
        """Upper bound of the slopes; a finite number when set, in order at the next call."""
        return self._spec.upper

    @upper.setter
    def upper(self, value: float) -> None:
        self._replace(upper=value)

    @property
    def inplace(self) -> bool:
        """Whether the result is written into the input."""
        return self._spec.inplace

    @inplace.setter
    def inplace(self, value: bool) -> None:
        self._replace(inplace=value)

    @property
    def name(self) -> str | None:
        """A label, or None."""
        return self._spec.name

    @name.setter
    def name(self, value: str | None) -> None:
        self._replace(name=value)

    @property
    def generator(self) -> Any:
        """Where the slopes come from, or None for the process-wide or the framework's stream."""
        return self._generator

    @generator.setter
    def generator(self, generator: Any) -> None:
        self._generator = generator


def deepcopy_sharing_generator(layer: LayerT, memo: dict[int, Any]) -> LayerT:
    """Deep-copy a layer but share its generator: copies of a model draw from one stream."""
    generator = layer._generator
    if generator is not None:
        memo[id(generator)] = generator
    twin = layer.__class__.__new__(layer.__class__)
    memo[id(layer)] = twin
    twin.__dict__.update(copy.deepcopy(layer.__dict__, memo))
    return twin
