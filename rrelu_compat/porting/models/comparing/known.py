"""Differences that are the frameworks' own: named as such, not as faults of a port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

BIASED_VARIANCE = "Paddle averages the biased variance, PyTorch the unbiased one"
AT_ZERO = "the frameworks give this activation other gradients at exactly zero"
RMSPROP = "RMSProp is defined otherwise in Paddle: epsilon stands inside the root"


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
