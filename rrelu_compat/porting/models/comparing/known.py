"""Differences that are the frameworks' own: named as such, not as faults of a port."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BIASED_VARIANCE = "Paddle averages the biased variance, PyTorch the unbiased one"
FLOAT32_MOMENTUM = "Paddle keeps the momentum of BatchNorm as float32"
FLOAT32_EPSILON = (
    "Paddle keeps the epsilon of normalization layers as float32: the tolerance allows for it"
)
RMSPROP = "RMSProp is defined otherwise in Paddle: epsilon stands inside the root"


def is_biased_variance(
    torch_variance: NDArray[Any], paddle_variance: NDArray[Any], samples: int
) -> bool:
    """Whether two running variances differ as averages of unbiased and biased variances do.

    After any number of updates from the same start, of `samples` values for each channel at least, the
    biased one is at most the unbiased one, and at least ``(samples - 1) / samples`` of it.
    """
    if samples < 2 or torch_variance.shape != paddle_variance.shape:
        return False
    least = torch_variance * (samples - 1) / samples
    slack = 1e-6 * np.abs(torch_variance)
    return bool(
        ((least - slack <= paddle_variance) & (paddle_variance <= torch_variance + slack)).all()
    )


def optimizer_note(optimizer: Any) -> str | None:
    """Return what to know of an optimizer of Paddle, None if it does what PyTorch's does."""
    title = type(optimizer).__name__
    if optimizer is None or title == "SGD":
        return None
    if title == "RMSProp":
        return f"{RMSPROP}; nothing after its first step is judged"
    return f"Paddle keeps constants of {title} as float32: parameters after its steps agree to that only"
