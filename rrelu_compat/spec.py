"""`RReLUSpec`: the framework-neutral description of one RReLU."""

from __future__ import annotations

import functools
import math
import numbers
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.errors import BoundsError

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


def as_bound(argument: str, value: object) -> float:
    """Return `value` as a finite float, ``-0.0`` as ``0.0``.

    Raises
    ------
    TypeError
        If `value` is not a real number (bool, str, arrays and tensors are not).
    BoundsError
        If it is not finite in double precision.
    """
    if type(value) is float:
        number = value
    elif _is_real(value):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            number = math.inf
    else:
        raise TypeError(
            f"{argument} must be a real number (int, float or a NumPy scalar), "
            f"got {type(value).__name__} {argument}={value!r}"
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
        Bounds of the uniform distribution of the slopes, ``lower <= upper``, any sign. Both, their
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

    def __post_init__(self) -> None:
        lower = as_bound("lower", self.lower)
        upper = as_bound("upper", self.upper)
        if lower > upper:
            raise BoundsError(f"lower must be <= upper, got lower={lower!r}, upper={upper!r}")
        if not isinstance(self.inplace, bool):
            raise TypeError(f"inplace must be True or False, got inplace={self.inplace!r}")
        if self.name is not None and not isinstance(self.name, str):
            raise TypeError(f"name must be a str or None, got name={self.name!r}")
        width, total = upper - lower, lower + upper
        for what, value in (("upper - lower", width), ("lower + upper", total)):
            if not math.isfinite(value):
                raise BoundsError(
                    f"{what} must be finite, got lower={lower!r}, upper={upper!r}: use smaller bounds"
                )
        fits = all(map(_finite_in_single, (lower, upper, width, total)))
        for attribute, derived in (
            ("lower", lower),
            ("upper", upper),
            ("eval_slope", total / 2),
            ("_fits_single", fits),
        ):
            object.__setattr__(self, attribute, derived)

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
            If `single` and the bounds, their sum or difference overflow in float32.
        """
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

    def __reduce__(self) -> tuple[type[RReLUSpec], tuple[float, float, bool, str | None]]:
        return type(self), (self.lower, self.upper, self.inplace, self.name)


# Typed, so that 1, 1.0 and True are told apart; what is refused is not remembered.
_remembered = functools.lru_cache(maxsize=256, typed=True)(RReLUSpec)


def spec_of(
    lower: float, upper: float, inplace: bool = False, name: str | None = None
) -> RReLUSpec:
    """Return ``RReLUSpec(lower, upper, inplace, name)``, remembered: functions ask at every call."""
    try:
        return _remembered(lower, upper, inplace, name)
    except TypeError:  # unhashable, or refused: the constructor says which argument
        return RReLUSpec(lower, upper, inplace, name)
