"""What must be refused, when, and with which kind of error."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.guarding import CheckFailure
from rrelu_compat.conformance.registry import BOTH, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

NO_DTYPE = ("",)
OUT_AND_IN = (False, True)
PORTABLE = ("portable_errors",)
BOUNDS = ("checked_bounds",)


def _refused(t: Trial, lower: Any, upper: Any, what: str) -> Exception:
    x = t.tensor(t.minus_ones(4))
    try:
        y = t.apply(x, lower, upper)
    except Exception as error:
        return error
    raise CheckFailure(f"{what} was taken, y = {t.numpy(y)}: an error is expected")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def unordered_bounds(t: Trial) -> None:
    """lower > upper is refused."""
    _refused(t, 0.5, 0.25, "lower=0.5, upper=0.25")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def nan_bounds(t: Trial) -> None:
    """A bound that is NaN is refused."""
    _refused(t, math.nan, 0.25, "lower=nan")
    _refused(t, 0.25, math.nan, "upper=nan")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def infinite_bounds(t: Trial) -> None:
    """An infinite bound is refused."""
    _refused(t, 0.25, math.inf, "upper=inf")
    _refused(t, -math.inf, 0.25, "lower=-inf")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def bool_bounds(t: Trial) -> None:
    """A bool is no bound: it is a misplaced training or inplace."""
    _refused(t, 0.125, True, "upper=True")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def string_bounds(t: Trial) -> None:
    """A string is no bound."""
    _refused(t, "0.125", 0.25, "lower='0.125'")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def none_bounds(t: Trial) -> None:
    """None is no bound."""
    _refused(t, None, 0.25, "lower=None")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def tensor_bounds(t: Trial) -> None:
    """A tensor is no bound; one without axes is refused, or its number is taken."""
    _refused(
        t, t.tensor(np.array([0.125], t.dtype), "lower"), 0.25, "a tensor with an axis as lower"
    )
    lower = t.tensor(np.array(0.25, t.dtype), "lower")
    try:
        y = t.forward(t.minus_ones(4), lower, 0.25)
    except Exception:
        return
    t.equal(y, t.minus_ones(4) / 4, "y for lower=tensor(0.25), upper=0.25")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=("float64",), needs=BOUNDS, once=True)
def width_overflow(t: Trial) -> None:
    """Bounds whose difference overflows are refused."""
    _refused(t, -1.7e308, 1.7e308, "lower=-1.7e308, upper=1.7e308")


@check(modes=BOTH, inplace=OUT_AND_IN, dtypes=("float32",), needs=BOUNDS, once=True)
def single_overflow(t: Trial) -> None:
    """Bounds that overflow in the compute dtype of the tensor are refused."""
    _refused(t, 0.0, 1e39, "upper=1e39 with a float32 tensor")


def _dtype_refused(t: Trial, dtype: str) -> Exception | None:
    array = np.array([1, 0, 1, 1]).astype(dtype)
    try:
        x = t.tensor(array)
    except Exception:
        return None  # the framework has no such tensors
    try:
        y = t.apply(x, 0.125, 0.25)
    except Exception as error:
        return error
    raise CheckFailure(f"a tensor of {dtype} was taken, y = {t.numpy(y)}: an error is expected")


@check(modes=BOTH, dtypes=NO_DTYPE, once=True)
def integer_dtype(t: Trial) -> None:
    """Integer tensors are refused."""
    _dtype_refused(t, "int32")
    _dtype_refused(t, "int64")


@check(modes=BOTH, dtypes=NO_DTYPE, once=True)
def bool_dtype(t: Trial) -> None:
    """Tensors of bool are refused."""
    _dtype_refused(t, "bool")


@check(modes=BOTH, dtypes=NO_DTYPE, once=True)
def complex_dtype(t: Trial) -> None:
    """Complex tensors are refused."""
    _dtype_refused(t, "complex64")


def _kinds(t: Trial, error: Exception, kinds: tuple[type[Exception], ...], what: str) -> None:
    missing = [kind.__name__ for kind in kinds if not isinstance(error, kind)]
    t.ensure(not missing, f"{what} raised {type(error).__name__}, which is no {', '.join(missing)}")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=PORTABLE, once=True)
def bounds_error_kind(t: Trial) -> None:
    """Bounds of a wrong value raise a ValueError that is a RuntimeError too, for ported code."""
    for lower, upper in ((0.5, 0.25), (math.nan, 0.25), (0.25, math.inf)):
        error = _refused(t, lower, upper, f"lower={lower}, upper={upper}")
        _kinds(t, error, (ValueError, RuntimeError), f"lower={lower}, upper={upper}")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=PORTABLE, once=True)
def bounds_type_error(t: Trial) -> None:
    """Bounds of a wrong type raise a TypeError."""
    for lower in (True, "0.125", None):
        error = _refused(t, lower, 0.25, f"lower={lower!r}")
        _kinds(t, error, (TypeError,), f"lower={lower!r}")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=PORTABLE, once=True)
def dtype_error_kind(t: Trial) -> None:
    """A wrong dtype raises a TypeError that is a NotImplementedError too."""
    for dtype in ("int32", "complex64"):
        error = _dtype_refused(t, dtype)
        if error is not None:
            _kinds(t, error, (TypeError, NotImplementedError), dtype)


@check(modes=BOTH, dtypes=NO_DTYPE, needs=PORTABLE, once=True)
def message_names_argument(t: Trial) -> None:
    """The message names the argument and its value."""
    for lower, upper, words in (
        (0.5, 0.25, ("lower", "0.5", "upper", "0.25")),
        ("a", 0.25, ("lower", "'a'")),
        (0.25, math.inf, ("upper", "inf")),
    ):
        message = str(_refused(t, lower, upper, f"lower={lower!r}, upper={upper!r}"))
        missing = [word for word in words if word not in message]
        t.ensure(not missing, f"the message {message!r} does not have {missing}")


@check(dtypes=NO_DTYPE, needs=("portable_errors", "layers"), once=True)
def layer_refuses_early(t: Trial) -> None:
    """A layer refuses bad bounds when it is built, not when it is called."""
    for lower, upper in ((0.5, 0.25), (0.25, math.inf), ("a", 0.25)):
        try:
            t.layer(lower, upper)
        except Exception:
            continue
        t.fail(f"a layer with lower={lower!r}, upper={upper!r} was built: an error is expected")


@check(dtypes=NO_DTYPE, needs=("portable_errors", "live_bounds"), once=True)
def assignment_refused(t: Trial) -> None:
    """Bounds assigned out of order are refused and change nothing, or the next call refuses them."""
    layer = t.layer(0.125, 0.25)
    x = t.tensor(t.minus_ones(4))
    try:
        t.method(layer, "lower = 0.5")
    except Exception:
        t.ensure(layer.lower == 0.125, f"layer.lower is {layer.lower!r} after a refused assignment")
        return
    try:
        t.call(layer, x)
    except Exception:
        return
    t.fail("a layer with lower=0.5, upper=0.25 was called: an error is expected")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def refused_leaves_input(t: Trial) -> None:
    """A refused call leaves the input as it was."""
    x = t.tensor(t.minus_ones(4))
    inplace = t.claims("inplace")
    try:
        t.apply(x, 0.5, 0.25, inplace=inplace)
    except Exception:
        t.equal(t.numpy(x), t.minus_ones(4), "x after the refused call")
        return
    t.fail("lower=0.5, upper=0.25 was taken: an error is expected")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def bool_lower(t: Trial) -> None:
    """A bool is no lower bound either."""
    _refused(t, False, 0.25, "lower=False")


@check(modes=BOTH, dtypes=NO_DTYPE, needs=BOUNDS, once=True)
def converted_upper(t: Trial) -> None:
    """The upper bound is not converted: no string, no None, no tensor, no list."""
    _refused(t, 0.125, "0.25", "upper='0.25'")
    _refused(t, 0.125, None, "upper=None")
    _refused(t, 0.125, [0.25], "upper=[0.25]")


@check(dtypes=NO_DTYPE, needs=("live_bounds", "checked_bounds"), once=True)
def assignment_nan(t: Trial) -> None:
    """NaN can't be assigned as a bound of a layer, or the next call refuses it."""
    for bound in ("lower", "upper"):
        layer = t.layer(0.125, 0.25)
        try:
            t.method(layer, f"{bound} = nan")
            t.call(layer, t.tensor(t.minus_ones(4)))
        except Exception:
            continue
        t.fail(f"{bound} = nan was assigned to a layer: an error is expected")
