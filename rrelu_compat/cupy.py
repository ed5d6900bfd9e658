"""RReLU for CuPy arrays: what `rrelu_compat.numpy` is for NumPy's, on an NVIDIA GPU.

The same functions with the same arguments; they take CuPy arrays only, and nothing waits for the device.
Not run on a GPU so far: see ``docs/cuda.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.backends.cupy.backend import apply, apply_with_vjp
from rrelu_compat.neutral import PlainRReLU
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Callable

#: The callable layer; see `rrelu_compat.neutral.PlainRReLU`.
RReLU = PlainRReLU


def rrelu(
    x: Any,
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    inplace: bool = False,
    generator: Any = None,
) -> Any:
    """Apply RReLU to a CuPy array.

    Parameters
    ----------
    x : cupy.ndarray
        float16, bfloat16, float32 or float64, of any shape and layout.
    lower, upper : float
        Bounds of the slopes.
    training : bool
        Random slopes, or the mean slope; required.
    inplace : bool
        Write the result into `x`.
    generator : rrelu_compat.Generator, cupy.random.RandomState or cupy.random.Generator, optional
        Where the slopes come from; default: `rrelu_compat.manual_seed`, else CuPy's generator of the
        device (``cupy.random.seed``).

    Returns
    -------
    cupy.ndarray
        Of the shape, dtype, device and memory order of `x`; `x` itself if `inplace`.

    Raises
    ------
    BoundsError, DTypeError, TypeError, ValueError
        For bounds, dtypes and arguments that are not allowed.
    """
    return apply(x, RReLUSpec(lower, upper, inplace), training=training, generator=generator)


def rrelu_(
    x: Any,
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    generator: Any = None,
) -> Any:
    """Apply RReLU in place and return `x`; see `rrelu`."""
    return rrelu(x, lower, upper, training=training, inplace=True, generator=generator)


def rrelu_vjp(
    x: Any,
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    generator: Any = None,
) -> tuple[Any, Callable[[Any], Any]]:
    """Apply RReLU and return the function that pulls a gradient back.

    Parameters
    ----------
    x, lower, upper, training, generator
        As of `rrelu`.

    Returns
    -------
    y : cupy.ndarray
        The result.
    vjp : callable
        ``vjp(g)``, with `g` of the shape and dtype of `y`, is the gradient of `x`; it keeps one bit per
        element on the device, not `x`.
    """
    spec = RReLUSpec(lower, upper)
    return apply_with_vjp(x, spec, training=training, generator=generator)


__all__ = ["RReLU", "rrelu", "rrelu_", "rrelu_vjp"]
