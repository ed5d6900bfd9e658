"""The drop-ins for PyTorch: the functions' and the layer's signatures, docstrings and state."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from rrelu_compat.backends.torch import compiled, script
from rrelu_compat.backends.torch.routes import apply
from rrelu_compat.backends.torch.seeds import check_generator, prepare
from rrelu_compat.generator import Generator
from rrelu_compat.layers import RReLULayer, deepcopy_sharing_generator, inplace_or_name
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec, check_training, spec_of

#: PyTorch's own class, whatever a program puts in the place of ``torch.nn.RReLU``, before or later.
NATIVE = torch.nn.modules.activation.RReLU


def rrelu(
    input: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    inplace: bool | str | None = None,
    *,
    generator: Any = None,
    name: str | bool | None = None,
) -> Tensor:
    """Apply RReLU to a tensor; drop-in for ``torch.nn.functional.rrelu``.

    Parameters
    ----------
    input : Tensor
        Of any shape, strides and memory format; float16, bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    training : bool
        Random slopes, or the mean slope (False, PyTorch's default).
    inplace : bool, optional
        Write the result into `input` and return `input`. Default: False. A str here is the name.
    generator : rrelu_compat.Generator or torch.Generator, optional
        Where the slopes come from. Default: `rrelu_compat.manual_seed`, else PyTorch's default CPU
        generator (``torch.manual_seed``).
    name : str, optional
        A label; it changes nothing.

    Returns
    -------
    Tensor
        Of the shape, dtype, device and memory format of `input`; `input` itself if `inplace`.

    Raises
    ------
    BoundsError
        If a bound is not finite or ``lower > upper``.
    DTypeError
        If `input` has another dtype.
    TypeError
        If an argument has a wrong type, or `input` is sparse, quantized or nested.
    RuntimeError
        If `inplace`, and `input` is a leaf that requires a gradient, or overlaps itself.
    RecomputeError
        If a recomputed forward can't be given the slopes of the original one.

    Examples
    --------
    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> rrelu(x, 0.0, 0.5)
    tensor([-0.2500,  0.0000,  2.0000])

    References
    ----------
    Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015, arXiv:1505.00853.
    """
    if inplace is None and name is None:
        flag, label = False, None
    else:
        flag, label = inplace_or_name(inplace, name)
    if training is not True and training is not False:
        check_training(training)
    result: Tensor
    if type(input) is not Tensor and has_torch_function_unary(input):
        result = handle_torch_function(
            rrelu, (input,), input, lower, upper, training, flag, generator=generator
        )
    elif torch.compiler.is_compiling():
        result = compiled.functional(input, lower, upper, training, flag, generator)
    else:
        result = apply(input, spec_of(lower, upper, flag, label), training, generator)
    return result


def rrelu_(
    input: Tensor,
    lower: float = LOWER,
    upper: float = UPPER,
    training: bool = False,
    *,
    generator: Any = None,
    name: str | None = None,
) -> Tensor:
    """Apply RReLU in place and return `input`; drop-in for ``torch.nn.functional.rrelu_``, see `rrelu`.

    Examples
    --------
    >>> x = torch.tensor([-1.0, 0.0, 2.0])
    >>> rrelu_(x, 0.0, 0.5) is x
    True
    """
    return rrelu(input, lower, upper, training, True, generator=generator, name=name)


def apply_spec(x: Any, spec: RReLUSpec, training: bool, generator: Any = None) -> Any:
    """Apply `spec` to a tensor, or to what stands for one (a subclass, a Proxy of torch.fx)."""
    if type(x) is not Tensor and has_torch_function_unary(x):
        return rrelu(x, spec.lower, spec.upper, training, spec.inplace, generator=generator)
    return apply(x, spec, training, generator)


class RReLU(RReLULayer, NATIVE):
    """RReLU layer for PyTorch; drop-in for ``torch.nn.RReLU``, of which it is a subclass.

    Parameters
    ----------
    lower, upper : float
        Bounds of the slopes: any finite real numbers with ``lower <= upper``.
    inplace : bool, optional
        Write the result into the input. Default: False. A str here is the name.
    name : str, optional
        A label. A bool here is `inplace`.
    generator : rrelu_compat.Generator or torch.Generator, optional
        Where the slopes come from; see `rrelu`. Deep copies of the layer share it.

    Attributes
    ----------
    lower, upper, inplace, name, spec, generator
        Live, and validated when set. Assigning `spec` moves both bounds at once.

    Raises
    ------
    BoundsError, TypeError
        For arguments that are not allowed.

    Examples
    --------
    >>> layer = RReLU(0.1, 0.3)
    >>> layer
    RReLU(lower=0.1, upper=0.3)
    >>> isinstance(layer, torch.nn.RReLU), list(layer.state_dict())
    (True, [])

    References
    ----------
    Xu, Wang, Chen and Li, "Empirical Evaluation of Rectified Activations in Convolutional Network",
    2015, arXiv:1505.00853.
    """

    def __init__(
        self,
        lower: float = LOWER,
        upper: float = UPPER,
        inplace: bool | str | None = None,
        name: str | bool | None = None,
        *,
        generator: Any = None,
    ) -> None:
        # Not the native constructor: it would set the bounds one by one, before there is a spec.
        torch.nn.Module.__init__(self)
        inplace, name = inplace_or_name(inplace, name)
        self._spec = RReLUSpec(lower, upper, inplace, name)
        self.generator = generator

    @property
    def generator(self) -> Any:
        """Where the slopes come from, or None for the process-wide or PyTorch's default stream."""
        return self._generator

    @generator.setter
    def generator(self, generator: Any) -> None:
        check_generator(generator)
        if isinstance(generator, Generator):
            prepare(generator)
        self._generator = generator

    def forward(self, input: Tensor) -> Tensor:
        """Apply RReLU to `input`: random slopes if ``self.training``, else the mean slope."""
        if type(input) is Tensor:
            y: Tensor = apply(input, self._spec, self.training, self._generator)
            return y
        other: Tensor = self._forward(input)
        return other

    def _forward(self, input: Any) -> Any:
        if isinstance(input, torch.fx.Proxy):
            # Tracers take only modules of torch.nn itself as leaves; a node keeps `training` live.
            tracer: Any = input.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input,), {})
        return apply_spec(input, self._spec, self.training, self._generator)

    def __prepare_scriptable__(self) -> torch.nn.Module:
        return script.scriptable(self._spec, self.training, self._generator)

    def __deepcopy__(self, memo: dict[int, Any]) -> RReLU:
        twin: RReLU = deepcopy_sharing_generator(self, memo)
        return twin


# What TorchScript compiles in their place.
for _function, _scripted in ((rrelu, script.rrelu), (rrelu_, script.rrelu_)):
    vars(_function)["__prepare_scriptable__"] = lambda scripted=_scripted: scripted

# Where users import them from: pickles, printed graphs and error messages say so.
for _public in (rrelu, rrelu_, RReLU):
    _public.__module__ = "rrelu_compat.torch"

__all__ = ["NATIVE", "RReLU", "rrelu", "rrelu_"]
