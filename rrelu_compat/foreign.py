"""Functions with the signature and defaults of one framework, for tensors of every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from rrelu_compat.dispatch import get_backend
from rrelu_compat.layers import inplace_or_name
from rrelu_compat.neutral import rrelu
from rrelu_compat.spec import LOWER, UPPER

if TYPE_CHECKING:
    from collections.abc import Callable

TensorT = TypeVar("TensorT")


def torch_rrelu(
    input: TensorT,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    inplace: bool | str | None = False,
    *,
    generator: Any = None,
    name: str | bool | None = None,
) -> TensorT:
    """Apply RReLU to a tensor of any backend, called as ``torch.nn.functional.rrelu`` is.

    ``rrelu-compat port --to neutral`` puts it in the place of PyTorch's function where that is handed
    on. In new code use `rrelu_compat.rrelu`, which asks for `training`.

    Parameters
    ----------
    input : tensor
        Of any backend; any shape; float16, bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes.
    training : bool
        Random slopes, or the mean slope (False, PyTorch's default).
    inplace : bool, optional
        Write the result into `input` and return `input`. A str here is the name.
    generator : optional
        A `rrelu_compat.Generator`, or the framework's own generator.
    name : str, optional
        A label; it changes nothing.

    Returns
    -------
    tensor
        Of the shape, dtype, device and memory format of `input`.

    Raises
    ------
    TypeError
        If an argument has a wrong type, or `input` is no tensor of a backend.
    BoundsError, DTypeError
        For bounds or dtypes that are not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> torch_rrelu(np.array([-1.0, 2.0]), 0.0, 0.5)
    array([-0.25,  2.  ])
    """
    flag, _ = inplace_or_name(inplace, name)
    return rrelu(input, lower, upper, training=training, inplace=flag, generator=generator)


def torch_rrelu_(
    input: TensorT,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    *,
    generator: Any = None,
    name: str | None = None,
) -> TensorT:
    """Apply RReLU in place and return `input`, called as PyTorch's ``F.rrelu_`` is; see `torch_rrelu`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-1.0, 2.0])
    >>> torch_rrelu_(x, 0.0, 0.5) is x
    True
    """
    return torch_rrelu(input, lower, upper, training, True, generator=generator, name=name)


def paddle_rrelu(
    x: TensorT,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | bool | None = None,
    *,
    inplace: bool | None = None,
    generator: Any = None,
) -> TensorT:
    """Apply RReLU to a tensor of any backend, called as ``paddle.nn.functional.rrelu`` is.

    ``rrelu-compat port --to neutral`` puts it in the place of Paddle's function where that is handed
    on. In new code use `rrelu_compat.rrelu`, which asks for `training`.

    Parameters
    ----------
    x : tensor
        Of any backend; any shape; float16, bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes.
    training : bool
        Random slopes (True, Paddle's default) or the mean slope.
    name : str, optional
        A label; it changes nothing. A bool here is `inplace`.
    inplace : bool, optional
        Write the result into `x` and return `x`. Default: False.
    generator : optional
        A `rrelu_compat.Generator`, or the framework's own generator.

    Returns
    -------
    tensor
        Of the shape, dtype, device and memory format of `x`.

    Raises
    ------
    TypeError
        If an argument has a wrong type, or `x` is no tensor of a backend.
    BoundsError, DTypeError
        For bounds or dtypes that are not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> paddle_rrelu(np.array([-1.0, 2.0]), 0.0, 0.5, training=False)
    array([-0.25,  2.  ])
    """
    flag, _ = inplace_or_name(inplace, name)
    return rrelu(x, lower, upper, training=training, inplace=flag, generator=generator)


def paddle_rrelu_(
    x: TensorT,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | None = None,
    *,
    generator: Any = None,
) -> TensorT:
    """Apply RReLU in place and return `x`, called as ``rrelu_compat.paddle.rrelu_`` is; see `paddle_rrelu`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([-1.0, 2.0])
    >>> paddle_rrelu_(x, 0.0, 0.5, training=False) is x
    True
    """
    return paddle_rrelu(x, lower, upper, training, name, inplace=True, generator=generator)


def _scripted(name: str) -> Callable[[], Any]:
    def prepare() -> Any:
        torch: Any = get_backend("torch")
        return torch.scripted[name]

    return prepare


# TorchScript asks a function for what it shall compile in its place.
for _function in (torch_rrelu, paddle_rrelu):
    vars(_function)["__prepare_scriptable__"] = _scripted(_function.__qualname__)

# Registries that go by a function's name find the one they found; pickle goes by __qualname__.
torch_rrelu.__name__ = paddle_rrelu.__name__ = "rrelu"
torch_rrelu_.__name__ = paddle_rrelu_.__name__ = "rrelu_"

__all__ = ["paddle_rrelu", "paddle_rrelu_", "torch_rrelu", "torch_rrelu_"]
