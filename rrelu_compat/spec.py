"""`RReLUSpec`: the framework-neutral description of one RReLU."""

from __future__ import annotations

import functools
import math
import numbers
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.errors import BoundsError
from rrelu_compat.frameworks import framework_of_tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

LOWER = 1 / 8
UPPER = 1 / 3


def _finite_in_single(value: float) -> bool:
    # float32 overflows from half a unit in the last place above its largest number.
    return abs(value) < (2.0 - 2.0**-24) * 2.0**127


def _is_real(value: object) -> bool:
    if isinstance(value, np.generic):
        # bfloat16, like all of ml_dtypes, has kind "V".
        return value.dtype.kind in "iuf" or value.dtype.name == "bfloat16"
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _number_of(argument: str, value: Any) -> object:
    """Return the number in an array or tensor without axes, as frameworks take it; `value` if it is none."""
    framework = framework_of_tensor(type(value))
    if framework is None or getattr(value, "ndim", None) != 0:
        return value
    kind, cure = "that requires a gradient", f"a number or {argument}.detach()"
    if not getattr(value, "requires_grad", False) and getattr(value, "stop_gradient", True):
        try:
            return value.item()
        except Exception:  # fake, meta, static or traced: each framework refuses in its own way
            kind, cure = "without a value", "a number"
    raise TypeError(f"{argument} must be a number, got a tensor {kind}: pass {cure}")


def as_bound(argument: str, value: object) -> float:
    """Return `value` as a finite float, ``-0.0`` as ``0.0``.

    Raises
    ------
    TypeError
        If `value` is not a real number, nor an array or tensor without axes that holds one.
    BoundsError
        If it is not finite in double precision.
    """
    given = value
    if type(value) is not float and not _is_real(value):
        value = _number_of(argument, value)
    if type(value) is float:
        number = value
    elif _is_real(value):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
    else:
        raise TypeError(
            f"{argument} must be a real number (int, float, a NumPy scalar, or an array or tensor without "
            f"axes), got {type(given).__name__} {argument}={given!r}"
        )
    if not math.isfinite(number):
        raise BoundsError(f"{argument} must be finite, got {argument}={number!r}")
    return number + 0.0


def check_training(training: object) -> None:
    """Raise a ``TypeError`` if `training` is not a bool."""
    if training is not True and training is not False:
        raise TypeError(f"training must be True or False, got training={training!r}")


@dataclass(frozen=True)
class RReLUSpec:
    """One RReLU: ``x`` where ``x >= 0``, else ``a * x`` with a random slope, in evaluation the mean one.

    Parameters
    ----------
    lower, upper : float
        Bounds of the uniform distribution of the slopes, ``lower <= upper``, any sign; the number is
        taken from an array or tensor without axes. Both, their
        sum and their difference are finite in double precision; for tensors computed in single
        precision also after rounding to float32 (checked when such a tensor is met).
    inplace : bool
        Whether the result is written into the input.
    name : str or None
        A label; it changes nothing else (Paddle's layers carry one).

    Raises
    ------
    TypeError
        If an argument has a wrong type.
    BoundsError
        If a bound is not finite, ``lower > upper``, or their sum or difference is not finite.

    Examples
    --------
    >>> spec = RReLUSpec(0.1, 0.3)
    >>> spec.eval_slope
    0.2
    >>> RReLUSpec.from_dict(spec.to_dict()) == spec
    True

    References
    ----------
    Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015, arXiv:1505.00853.
    """

    lower: float = LOWER
    upper: float = UPPER
    inplace: bool = False
    name: str | None = None
    #: The slope of evaluation, ``(lower + upper) / 2`` in double precision.
    eval_slope: float = field(init=False, repr=False, compare=False)
    _fits_single: bool = field(init=False, repr=False, compare=False)

    #: Why no call is possible; "" for every spec but that of a layer between two assignments.
    _flaw: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._settle()
        if self._flaw:
            raise BoundsError(self._flaw)

    def _settle(self) -> None:
        """Check each field by itself and derive the rest."""
        lower = as_bound("lower", self.lower)
        upper = as_bound("upper", self.upper)
        if not isinstance(self.inplace, bool):
            raise TypeError(f"inplace must be True or False, got inplace={self.inplace!r}")
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a str or None, got name={self.name!r}")
        width, total, flaw = upper - lower, lower + upper, ""
        for what, value in (("upper - lower", width), ("lower + upper", total)):
            if not math.isfinite(value):
                flaw = f"{what} must be finite, got lower={lower!r}, upper={upper!r}: use smaller bounds"
        if lower > upper:
            flaw = f"lower must be <= upper, got lower={lower!r}, upper={upper!r}"
        fits = not flaw and all(map(_finite_in_single, (lower, upper, width, total)))
        for attribute, derived in (
            ("lower", lower),
            ("upper", upper),
            ("eval_slope", total / 2),
            ("_fits_single", fits),
            ("_flaw", flaw),
        ):
            object.__setattr__(self, attribute, derived)

    def _changed(self, **changes: Any) -> RReLUSpec:
        """Return the spec with other fields, whose bounds may be out of order until the next call."""
        return _settled(*({**self.to_dict(), **changes}).values())

    def slope_range(self, training: bool, single: bool) -> tuple[float, float]:
        """Return the bounds the slopes are drawn from: ``(lower, upper)``, in evaluation ``(m, m)``.

        Parameters
        ----------
        training : bool
            Whether slopes are random.
        single : bool
            Whether they are computed in float32 (tensors of float16, bfloat16 and float32).

        Raises
        ------
        BoundsError
            If the bounds are out of order, or `single` and they, their sum or difference overflow in
            float32.
        """
        if self._flaw:
            raise BoundsError(self._flaw)
        if single and not self._fits_single:
            raise BoundsError(
                "the bounds, their sum and their difference must be finite in float32, in which this tensor "
                f"is computed, got lower={self.lower!r}, upper={self.upper!r}: use smaller bounds, or float64"
            )
        if training:
            return self.lower, self.upper
        return self.eval_slope, self.eval_slope

    def apply(self, x: Any, *, training: bool, generator: Any = None) -> Any:
        """Apply RReLU to a tensor of any backend.

        Parameters
        ----------
        x : tensor
            A NumPy array, PyTorch or Paddle tensor, or a tensor of a registered backend; any shape;
            float16, bfloat16, float32 or float64.
        training : bool
            Random slopes (True) or the mean slope (False).
        generator : optional
            Where the slopes come from: a `rrelu_compat.Generator` or the framework's own.

        Returns
        -------
        tensor
            Of the shape, dtype, device and memory format of `x`; `x` itself if ``inplace``.
        """
        from rrelu_compat import neutral

        return neutral.apply(self, x, training, generator)

    def layer(self, backend: str | None = None, generator: Any = None) -> Any:
        """Build the layer of a backend; without `backend`, of the default one (see `rrelu_compat.RReLU`)."""
        from rrelu_compat import neutral

        return neutral.build_layer(self, backend, generator)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as a dict that `from_dict` and JSON take."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.init}

    @classmethod
    def from_dict(cls, d: Mapping[str, Any]) -> RReLUSpec:
        """Build a spec from `to_dict`'s form; missing keys take their defaults.

        Raises
        ------
        ValueError
            If a key is unknown.
        """
        allowed = [f.name for f in fields(cls) if f.init]
        unknown = sorted(set(d) - set(allowed))
        if unknown:
            raise ValueError(f"the keys of d must be among {allowed}, got {unknown}")
        return cls(**d)

    @classmethod
    def from_layer(cls, layer: object) -> RReLUSpec:
        """Read the spec of a ``torch.nn.RReLU``, a ``paddle.nn.RReLU`` or a layer of this package.

        Raises
        ------
        TypeError
            If `layer` is none of these.
        """
        from rrelu_compat import neutral

        return neutral.spec_of_layer(layer)

    def __reduce__(self) -> tuple[Any, tuple[float, float, bool, str | None]]:
        make = _settled if self._flaw else type(self)
        return make, (self.lower, self.upper, self.inplace, self.name)


def _settled(lower: float, upper: float, inplace: bool, name: str | None) -> RReLUSpec:
    spec = object.__new__(RReLUSpec)
    for attribute, value in (
        ("lower", lower),
        ("upper", upper),
        ("inplace", inplace),
        ("name", name),
    ):
        object.__setattr__(spec, attribute, value)
    spec._settle()
    return spec


# Typed, so that False and 0 are told apart; what is refused is not remembered.
_remembered = functools.lru_cache(maxsize=256, typed=True)(RReLUSpec)


def spec_of(
    lower: float, upper: float, inplace: bool = False, name: str | None = None
) -> RReLUSpec:
    """Return ``RReLUSpec(lower, upper, inplace, name)``, remembered: functions ask at every call."""
    if type(lower) is not float or type(upper) is not float:
        # A tensor is not remembered: it may hold another number next time.
        lower, upper = as_bound("lower", lower), as_bound("upper", upper)
    try:
        return _remembered(lower, upper, inplace, name)
    except TypeError:  # unhashable, or refused: the constructor says which argument
        return RReLUSpec(lower, upper, inplace, name)
