"""RReLU for NumPy: functions, the gradient as a vjp, and a callable layer.

Array-likes (lists, numbers) are taken here, and only here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.backends.numpy.backend import apply, apply_with_vjp
from rrelu_compat.neutral import PlainRReLU
from rrelu_compat.spec import LOWER, UPPER, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

#: The callable layer; see `rrelu_compat.neutral.PlainRReLU`.
RReLU = PlainRReLU


def _array(x: Any) -> NDArray[Any]:
    if isinstance(x, np.ndarray):
        return x
    array = np.asarray(x)
    # Python numbers are float64 in NumPy; lists of integers are meant as such numbers.
    return (
        array.astype(np.float64) if array.dtype.kind in "iu" and not hasattr(x, "dtype") else array
    )


def rrelu(
    x: ArrayLike,
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    inplace: bool = False,
    generator: Any = None,
) -> NDArray[Any]:
    """Apply RReLU to an array.

    Parameters
    ----------
    x : array_like
        float16, bfloat16 (``ml_dtypes``), float32 or float64, of any shape and layout.
    lower, upper : float
        Bounds of the slopes.
    training : bool
        Random slopes, or the mean slope; required, as of the neutral `rrelu_compat.rrelu`.
    inplace : bool
        Write the result into `x`, which must be a writeable array.
    generator : rrelu_compat.Generator or numpy.random.Generator, optional
        Where the slopes come from; default: `rrelu_compat.manual_seed`, else the legacy ``np.random``.

    Returns
    -------
    numpy.ndarray
        Of the shape, dtype and memory order of `x`; `x` itself if `inplace`.

    Raises
    ------
    BoundsError, DTypeError, TypeError, ValueError
        For bounds, dtypes and arguments that are not allowed.

    Examples
    --------
    >>> rrelu([-1.0, 0.0, 2.0], 0.0, 0.5, training=False)
    array([-0.25,  0.  ,  2.  ])
    """
    if inplace and not isinstance(x, np.ndarray):
        raise TypeError(f"x must be an array for inplace=True, got {type(x).__name__}")
    spec = spec_of(lower, upper, inplace)
    return apply(_array(x), spec, training=training, generator=generator)


def rrelu_(
    x: NDArray[Any],
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    generator: Any = None,
) -> NDArray[Any]:
    """Apply RReLU in place and return `x`; see `rrelu`."""
    return rrelu(x, lower, upper, training=training, inplace=True, generator=generator)


def rrelu_vjp(
    x: ArrayLike,
    lower: float = LOWER,
    upper: float = UPPER,
    *,
    training: bool,
    generator: Any = None,
) -> tuple[NDArray[Any], Callable[[NDArray[Any]], NDArray[Any]]]:
    """Apply RReLU and return the function that pulls a gradient back (the convention of ``jax.vjp``).

    Parameters
    ----------
    x, lower, upper, training, generator
        As of `rrelu`; `training` is required.

    Returns
    -------
    y : numpy.ndarray
        ``rrelu(x, lower, upper, training, generator=generator)``.
    vjp : callable
        ``vjp(g)``, with `g` of the shape and dtype of `y`, is the gradient of `x`: ``g`` where
        ``x >= 0``, else ``a * g`` with the slopes ``a`` of this forward. It keeps one bit per element,
        not `x`.

    Examples
    --------
    >>> y, vjp = rrelu_vjp([-1.0, 0.0, 2.0], 0.0, 0.5, training=False)
    >>> vjp(np.ones(3))
    array([0.25, 1.  , 1.  ])
    """
    spec = spec_of(lower, upper)
    return apply_with_vjp(_array(x), spec, training=training, generator=generator)


__all__ = ["RReLU", "rrelu", "rrelu_", "rrelu_vjp"]
