"""PyTorch's functions for Paddle tensors: PyTorch's signatures and defaults, for ported code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.backends.paddle import private
from rrelu_compat.backends.paddle.layer import rrelu
from rrelu_compat.layers import inplace_or_name
from rrelu_compat.spec import LOWER, UPPER

if TYPE_CHECKING:
    import paddle


def torch_rrelu(
    input: paddle.Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    inplace: bool | str | None = False,
    *,
    generator: Any = None,
    name: str | bool | None = None,
) -> paddle.Tensor:
    """Apply RReLU to a Paddle tensor, called as ``torch.nn.functional.rrelu`` is.

    ``rrelu-compat port --to paddle`` puts it in the place of PyTorch's function, so that whoever calls
    it finds PyTorch's order of arguments and its default of `training`. In new code use
    `rrelu_compat.paddle.rrelu`.

    Parameters
    ----------
    input : paddle.Tensor
        Of any shape and layout; float16, bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    training : bool
        Random slopes, or the mean slope (False, PyTorch's default).
    inplace : bool, optional
        Write the result into `input` and return `input`. A str here is the name.
    generator : rrelu_compat.Generator or paddle.base.core.Generator, optional
        Where the slopes come from.
    name : str, optional
        A label; it changes nothing.

    Returns
    -------
    paddle.Tensor
        Of the shape and dtype of `input`, contiguous; `input` itself if `inplace`.

    Raises
    ------
    BoundsError, DTypeError, TypeError, ValueError, RecomputeError
        As `rrelu_compat.paddle.rrelu` does.

    Examples
    --------
    >>> x = paddle.to_tensor([-1.0, 0.0, 2.0])
    >>> torch_rrelu(x, 0.0, 0.5).tolist()
    [-0.25, 0.0, 2.0]
    """
    flag, label = inplace_or_name(inplace, name)
    return rrelu(input, lower, upper, training, label, inplace=flag, generator=generator)


def torch_rrelu_(
    input: paddle.Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    *,
    generator: Any = None,
    name: str | None = None,
) -> paddle.Tensor:
    """Apply RReLU in place and return `input`, called as PyTorch's ``F.rrelu_`` is; see `torch_rrelu`.

    Examples
    --------
    >>> x = paddle.to_tensor([-1.0, 0.0, 2.0])
    >>> torch_rrelu_(x, 0.0, 0.5) is x
    True
    """
    return torch_rrelu(input, lower, upper, training, True, generator=generator, name=name)


# Registries that go by a function's name find the one they found; pickle goes by __qualname__.
torch_rrelu.__name__, torch_rrelu_.__name__ = "rrelu", "rrelu_"

for _whole in (torch_rrelu, torch_rrelu_):  # to_static takes them whole, and does not look inside
    private.take_whole(_whole)

__all__ = ["torch_rrelu", "torch_rrelu_"]
