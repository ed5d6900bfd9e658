"""Paddle's functions for PyTorch tensors: Paddle's signatures and defaults, for ported code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.backends.torch import script
from rrelu_compat.backends.torch.layer import rrelu
from rrelu_compat.layers import inplace_or_name
from rrelu_compat.spec import LOWER, UPPER

if TYPE_CHECKING:
    from torch import Tensor


def paddle_rrelu(
    x: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | bool | None = None,
    *,
    inplace: bool | None = None,
    generator: Any = None,
) -> Tensor:
    """Apply RReLU to a PyTorch tensor, called as ``paddle.nn.functional.rrelu`` is.

    ``rrelu-compat port --to torch`` puts it in the place of Paddle's function, so that whoever calls
    it finds Paddle's order of arguments and its default of `training`. In new code use
    `rrelu_compat.torch.rrelu`.

    Parameters
    ----------
    x : Tensor
        Of any shape, strides and memory format; float16, bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    training : bool
        Random slopes (True, Paddle's default) or the mean slope.
    name : str, optional
        A label; it changes nothing. A bool here is `inplace`.
    inplace : bool, optional
        Write the result into `x` and return `x`. Default: False.
    generator : rrelu_compat.Generator or torch.Generator, optional
        Where the slopes come from.

    Returns
    -------
    Tensor
        Of the shape, dtype, device and memory format of `x`; `x` itself if `inplace`.

    Raises
    ------
    BoundsError, DTypeError, TypeError, RuntimeError, RecomputeError
        As `rrelu_compat.torch.rrelu` does.

    Examples
    --------
    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> paddle_rrelu(x, 0.0, 0.5, training=False)
    tensor([-0.2500,  0.0000,  2.0000])
    """
    flag, label = inplace_or_name(inplace, name)
    return rrelu(x, lower, upper, training, flag, generator=generator, name=label)


def paddle_rrelu_(
    x: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | None = None,
    *,
    generator: Any = None,
) -> Tensor:
    """Apply RReLU in place and return `x`, called as ``rrelu_compat.paddle.rrelu_`` is; see `paddle_rrelu`.

    Examples
    --------
    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> paddle_rrelu_(x, 0.0, 0.5, training=False) is x
    True
    """
    return paddle_rrelu(x, lower, upper, training, name, inplace=True, generator=generator)


# What TorchScript compiles in its place.
vars(paddle_rrelu)["__prepare_scriptable__"] = lambda: script.paddle_rrelu

# Registries that go by a function's name find the one they found; pickle goes by __qualname__.
paddle_rrelu.__name__, paddle_rrelu_.__name__ = "rrelu", "rrelu_"

__all__ = ["paddle_rrelu", "paddle_rrelu_"]
