"""The drop-ins for Paddle: the functions' and the layer's signatures, docstrings and state."""

from __future__ import annotations

import inspect
from typing import Any

import paddle

from rrelu_compat.backends.paddle import private
from rrelu_compat.backends.paddle.routes import apply
from rrelu_compat.backends.paddle.seeds import check_generator
from rrelu_compat.layers import RReLULayer, deepcopy_sharing_generator, inplace_or_name
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec, check_training, spec_of

#: Paddle's own class, whatever a program puts in the place of ``paddle.nn.RReLU``, before or later.
NATIVE = paddle.nn.layer.activation.RReLU


def rrelu(
    x: paddle.Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | bool | None = None,
    *,
    inplace: bool | None = None,
    generator: Any = None,
) -> paddle.Tensor:
    """Apply RReLU to a Paddle tensor; drop-in for ``paddle.nn.functional.rrelu``.

    Parameters
    ----------
    x : paddle.Tensor
        Of any shape and layout; float16, bfloat16, float32 or float64. In static mode, a value of a
        program.
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    training : bool
        Random slopes (True, Paddle's default) or the mean slope.
    name : str, optional
        A label; it changes nothing. A bool here is `inplace`.
    inplace : bool, optional
        Write the result into `x` and return `x`. Default: False.
    generator : rrelu_compat.Generator or paddle.base.core.Generator, optional
        Where the slopes come from. Default: `rrelu_compat.manual_seed`, else Paddle's default
        generator (``paddle.seed``).

    Returns
    -------
    paddle.Tensor
        Of the shape and dtype of `x`, contiguous; `x` itself if `inplace`.

    Raises
    ------
    BoundsError
        If a bound is not finite or ``lower > upper``.
    DTypeError
        If `x` has another dtype.
    TypeError
        If an argument has a wrong type, or `x` is sparse or distributed.
    ValueError
        If `inplace`, and `x` is a leaf that requires a gradient, or overlaps itself.
    RecomputeError
        If a recomputed forward can't be given the slopes of the original one.

    Examples
    --------
    >>> x = paddle.to_tensor([-1.0, 0.0, 2.0])
    >>> rrelu(x, 0.0, 0.5, training=False).tolist()
    [-0.25, 0.0, 2.0]

    References
    ----------
    Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015, arXiv:1505.00853.
    """
    if name is None and inplace is None:
        spec = spec_of(lower, upper)
    else:
        spec = spec_of(lower, upper, *inplace_or_name(inplace, name))
    check_training(training)
    return apply(x, spec, training, generator)


def rrelu_(
    x: paddle.Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = True,
    name: str | None = None,
    *,
    generator: Any = None,
) -> paddle.Tensor:
    """Apply RReLU in place and return `x`; see `rrelu`.

    Examples
    --------
    >>> x = paddle.to_tensor([-1.0, 0.0, 2.0])
    >>> rrelu_(x, 0.0, 0.5, training=False) is x
    True
    """
    return rrelu(x, lower, upper, training, name, inplace=True, generator=generator)


class RReLU(RReLULayer, NATIVE):  # type: ignore[misc, valid-type]  # Paddle is not typed
    """RReLU layer for Paddle; drop-in for ``paddle.nn.RReLU``, of which it is a subclass.

    Parameters
    ----------
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    name : str, optional
        A label. A bool here is `inplace` (as in Paddle's releases after 3.3).
    inplace : bool, optional
        Write the result into the input. Default: False. A str here is the name.
    generator : rrelu_compat.Generator or paddle.base.core.Generator, optional
        Where the slopes come from; see `rrelu`. Deep copies of the layer share it.

    Attributes
    ----------
    lower, upper, inplace, name, spec
        Live, and validated when set; ``_lower``, ``_upper`` and ``_name`` are the same, under Paddle's names.

    Raises
    ------
    BoundsError, TypeError
        For arguments that are not allowed.

    Examples
    --------
    >>> layer = RReLU(0.1, 0.3)
    >>> layer
    RReLU(lower=0.1, upper=0.3, training=True, dtype=float32)
    >>> isinstance(layer, paddle.nn.RReLU)
    True

    References
    ----------
    Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015, arXiv:1505.00853.
    """

    def __init__(
        self,
        lower: float = LOWER,
        upper: float = UPPER,
        name: str | bool | None = None,
        inplace: bool | str | None = None,
        *,
        generator: Any = None,
    ) -> None:
        inplace, name = inplace_or_name(inplace, name)
        spec = RReLUSpec(lower, upper, inplace, name)
        # Before Layer.__init__, because the native constructor sets _lower, _upper and _name, which
        # are views of the spec here.
        object.__setattr__(self, "_spec", spec)
        native: dict[str, Any] = {"name": name}
        if "inplace" in inspect.signature(NATIVE.__init__).parameters:
            native["inplace"] = inplace
        NATIVE.__init__(self, spec.lower, spec.upper, **native)
        self.generator = generator

    def _replace(self, **changes: Any) -> None:
        for name, value in changes.items():
            if isinstance(value, paddle.Tensor):
                # Layer.__setattr__ makes a buffer of it unless this raises.
                raise TypeError(f"{name} must be a number, got a tensor: pass float({name})")
        super()._replace(**changes)

    _lower = RReLULayer.lower
    _upper = RReLULayer.upper
    _name = RReLULayer.name
    _inplace = RReLULayer.inplace

    @property
    def generator(self) -> Any:
        """Where the slopes come from, or None for the process-wide or Paddle's default stream."""
        return self._generator

    @generator.setter
    def generator(self, generator: Any) -> None:
        check_generator(generator)
        self._generator = generator

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        """Apply RReLU to `x`: random slopes if ``self.training``, else the mean slope."""
        return apply(x, self._spec, self.training, self._generator)

    def extra_repr(self) -> str:
        """Return what Paddle's own layer prints, and ``inplace=True`` where it is set."""
        native: str = super().extra_repr()
        if self._spec.inplace and "inplace" not in native:
            native += ", inplace=True"
        return native

    def __deepcopy__(self, memo: dict[int, Any]) -> RReLU:
        twin: RReLU = deepcopy_sharing_generator(self, memo)
        return twin


for _public in (RReLU, rrelu, rrelu_):
    # Where users import them from: pickles and error messages say so.
    _public.__module__ = "rrelu_compat.paddle"
    private.take_whole(_public)  # by to_static

__all__ = ["NATIVE", "RReLU", "rrelu", "rrelu_"]
