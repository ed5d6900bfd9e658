"""Differences that are the frameworks' own: named as such, not as faults of a port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BIASED_VARIANCE = "Paddle averages the biased variance, PyTorch the unbiased one"
RMSPROP = "RMSProp is defined otherwise in Paddle: epsilon stands inside the root"
SIGN = "{count} value(s) near zero lie on the other side of it in one of them, by rounding"
TIE = "{count} value(s) that tie by rounding: each model takes another one for the largest"


def biased_variance(
    before: NDArray[Any], inputs: Sequence[NDArray[Any]], momentum: float | None, batches: int
) -> NDArray[Any]:
    """Return Paddle's running variance after a BatchNorm layer saw `inputs`, from PyTorch's before.

    Parameters
    ----------
    momentum : float or None
        PyTorch's; None averages over all batches, of which there were `batches` before.
    """
    variance = before
    for number, x in enumerate(inputs, batches + 1):
        part = 1 / number if momentum is None else momentum
        biased = x.astype(np.float64).var(axis=tuple(axis for axis in range(x.ndim) if axis != 1))
        variance = (1 - part) * variance + part * biased
    return variance


def signs_that_differ(
    one: NDArray[Any], other: NDArray[Any], allowed: float
) -> NDArray[np.bool_] | None:
    """Return where inputs of an RReLU have other signs by no more than rounding; None for nowhere."""
    if one.shape != other.shape or one.dtype.kind != "f":
        return None
    flipped = ((one >= 0) != (other >= 0)) & (np.abs(one - other) <= allowed)
    return flipped if flipped.any() else None


def ties(
    x: NDArray[Any], one: NDArray[Any], other: NDArray[Any], allowed: float, slack: float
) -> int:
    """Return how many gradients of a maximum went to another of several equal values, 0 if that is not it.

    Each value whose gradient differs must have its equal, within `allowed`, among them, and what one
    loses another gains, but for `slack`.
    """
    if x.shape != one.shape or one.shape != other.shape:
        return 0
    apart = one - other
    where = np.abs(apart) > slack
    count = int(where.sum())
    if count < 2 or abs(float(apart[where].sum())) > slack * count:
        return 0
    values = np.sort(x[where])
    gaps = np.diff(values)
    nearest = np.minimum(np.append(gaps, np.inf), np.insert(gaps, 0, np.inf))
    return count if (nearest <= allowed).all() else 0


def optimizer_note(optimizer: Any) -> str | None:
    """Return what to know of an optimizer of Paddle, None if it does what PyTorch's does."""
    title = type(optimizer).__name__
    if optimizer is None or title == "SGD":
        return None
    if title == "RMSProp":
        return f"{RMSPROP}; parameters after its steps are not judged"
    if title in ("Momentum", "Adam", "AdamW"):
        return f"Paddle keeps constants of {title} as float32: PyTorch's were rounded for the run"
    return f"Paddle keeps constants of {title} as float32: parameters after its steps agree to that only"


def rounded_constants(optimizer: Any) -> None:
    """Round the settings of one of PyTorch's optimizers that Paddle's counterpart keeps as float32."""
    title = type(optimizer).__name__
    for group in getattr(optimizer, "param_groups", ()):
        if title == "SGD" and group.get("momentum"):
            names: tuple[str, ...] = ("momentum", "weight_decay")
        else:
            names = ("weight_decay",) if title == "AdamW" else ()
        for name in names:
            group[name] = float(np.float32(group[name]))
