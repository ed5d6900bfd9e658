"""Drop-ins for PyTorch: `RReLU` for ``torch.nn.RReLU``, `rrelu`, `rrelu_` for ``F.rrelu``, ``F.rrelu_``.

Same arguments in the same order, same defaults (``training=False`` in the functional forms). See
``docs/pytorch.md`` for what works where, and for the few differences from PyTorch's own.
"""

from __future__ import annotations

from typing import Any

from rrelu_compat.dispatch import check_torch_is_real

check_torch_is_real()

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import Tensor  # noqa: E402

from rrelu_compat.backends.torch import backend, compiled  # noqa: E402, F401
from rrelu_compat.backends.torch.device_keys import bind_to_device, unbind  # noqa: E402
from rrelu_compat.backends.torch.foreign import paddle_rrelu, paddle_rrelu_  # noqa: E402
from rrelu_compat.backends.torch.routes import apply, apply_eager  # noqa: E402
from rrelu_compat.backends.torch.seeds import check_generator, prepare  # noqa: E402
from rrelu_compat.generator import Generator  # noqa: E402
from rrelu_compat.layers import (  # noqa: E402
    RReLULayer,
    deepcopy_sharing_generator,
    inplace_or_name,
)
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec, check_training, spec_of  # noqa: E402


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
    if torch.compiler.is_compiling():
        result = compiled.functional(input, lower, upper, training, flag, generator)
    else:
        result = apply_eager(input, spec_of(lower, upper, flag, label), training, generator)
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


class RReLU(RReLULayer, torch.nn.RReLU):
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

    # Scripting compiles every property of a module but these; it reads lower and upper as constants.
    __jit_unused_properties__ = ("lower", "upper", "inplace", "name", "spec", "generator")
    # It would read the annotations of RReLULayer here, whose types TorchScript does not have.
    __annotations__: dict[str, Any] = {}

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
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            if self.training:
                y: Tensor = torch.ops.rrelu_compat_v1.train(input, self.lower, self.upper)
            else:
                y = F.leaky_relu(input, (self.lower + self.upper) / 2)
            return input.copy_(y) if self.inplace else y
        else:
            result: Tensor = self._forward(input)
            return result

    @torch.jit.unused
    def _forward(self, input: Any) -> Any:
        if isinstance(input, torch.fx.Proxy):
            # Tracers take only modules of torch.nn itself as leaves; a node keeps `training` live.
            tracer: Any = input.tracer
            return tracer.create_proxy("call_module", tracer.path_of_module(self), (input,), {})
        return apply(input, self._spec, self.training, self._generator)

    def __prepare_scriptable__(self) -> RReLU:
        if self._generator is not None:
            raise TypeError(
                f"generator={self._generator!r}: a scripted layer cannot carry a generator; use "
                "rrelu_compat.manual_seed or torch.manual_seed"
            )
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> RReLU:
        twin: RReLU = deepcopy_sharing_generator(self, memo)
        return twin


__all__ = [
    "RReLU",
    "bind_to_device",
    "paddle_rrelu",
    "paddle_rrelu_",
    "rrelu",
    "rrelu_",
    "unbind",
]
