"""The neutral `RReLU` and `rrelu`: they take tensors of any backend, and build layers of any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from rrelu_compat.dispatch import backend_of, default_backend, get_backend
from rrelu_compat.frameworks import framework_of_layer, has_layers
from rrelu_compat.layers import RReLULayer, deepcopy_sharing_generator, inplace_or_name
from rrelu_compat.spec import LOWER, UPPER, RReLUSpec, check_training, spec_of

if TYPE_CHECKING:
    from typing_extensions import Self

    from rrelu_compat._layer_types import AnyLayer, PaddleLayer, PlainLayer, TorchLayer

TensorT = TypeVar("TensorT")


class _NeutralMeta(type):
    """Builds the layer of a backend when called, and is satisfied by the layers of all of them."""

    if not TYPE_CHECKING:  # checkers read RReLU.__new__ instead

        def __call__(
            cls,
            lower: float = LOWER,
            upper: float = UPPER,
            inplace: bool | str | None = None,
            name: str | bool | None = None,
            *,
            backend: str | None = None,
            generator: Any = None,
        ) -> Any:
            inplace, name = inplace_or_name(inplace, name)
            return build_layer(RReLUSpec(lower, upper, inplace, name), backend, generator)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, RReLULayer)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, RReLULayer)


class RReLU(metaclass=_NeutralMeta):
    """The RReLU layer of the framework in use.

    Builds the layer of: ``backend=``; else `set_default_backend` or the variable
    ``RRELU_COMPAT_BACKEND``; else the one of PyTorch and Paddle that the program has imported. If it
    has imported none: a plain callable, which takes no tensors of PyTorch and Paddle, since no model of
    theirs would know of it.

    Parameters
    ----------
    lower, upper : float
        Bounds of the slopes.
    inplace : bool
        Write the result into the input. A str here is the name (Paddle 3.3's third positional).
    name : str or None
        A label.
    backend : str or None
        "torch", "paddle", "numpy" or a registered backend.
    generator : optional
        A `rrelu_compat.Generator`, or the framework's own generator.

    Raises
    ------
    RuntimeError
        If the program has imported both frameworks and nothing says which is meant.
    BoundsError, TypeError, ValueError
        For arguments that are not allowed.

    Examples
    --------
    >>> layer = RReLU(0.1, 0.3, backend="numpy")
    >>> isinstance(layer, RReLU)
    True

    Notes
    -----
    ``isinstance(layer, RReLU)`` holds for the layers of every backend. The class can't be subclassed:
    subclass ``rrelu_compat.torch.RReLU``, ``rrelu_compat.paddle.RReLU`` or ``rrelu_compat.numpy.RReLU``.
    """

    if TYPE_CHECKING:

        @overload
        def __new__(
            cls,
            lower: float = ...,
            upper: float = ...,
            inplace: bool | str | None = ...,
            name: str | bool | None = ...,
            *,
            backend: Literal["torch"],
            generator: Any = ...,
        ) -> TorchLayer: ...
        @overload
        def __new__(
            cls,
            lower: float = ...,
            upper: float = ...,
            inplace: bool | str | None = ...,
            name: str | bool | None = ...,
            *,
            backend: Literal["paddle"],
            generator: Any = ...,
        ) -> PaddleLayer: ...
        @overload
        def __new__(
            cls,
            lower: float = ...,
            upper: float = ...,
            inplace: bool | str | None = ...,
            name: str | bool | None = ...,
            *,
            backend: Literal["numpy"],
            generator: Any = ...,
        ) -> PlainLayer: ...
        @overload
        def __new__(
            cls,
            lower: float = ...,
            upper: float = ...,
            inplace: bool | str | None = ...,
            name: str | bool | None = ...,
            *,
            backend: None = ...,
            generator: Any = ...,
        ) -> AnyLayer: ...
        @overload
        def __new__(
            cls,
            lower: float = ...,
            upper: float = ...,
            inplace: bool | str | None = ...,
            name: str | bool | None = ...,
            *,
            backend: str | None,
            generator: Any = ...,
        ) -> Any: ...
        def __new__(cls, *arguments: Any, **keywords: Any) -> Any: ...

    def __init_subclass__(cls, **kwargs: Any) -> None:
        raise TypeError(
            f"{cls.__name__} subclasses the neutral rrelu_compat.RReLU, which only builds layers: subclass "
            "rrelu_compat.torch.RReLU, rrelu_compat.paddle.RReLU or rrelu_compat.numpy.RReLU"
        )


class PlainRReLU(RReLULayer):
    """A layer without a framework: applies its spec to any tensor it meets.

    Parameters
    ----------
    lower, upper, inplace, name
        As of `RReLUSpec`. A str in the place of `inplace` is the name.
    generator : optional
        A `rrelu_compat.Generator`, or a generator of the tensors' framework.

    Attributes
    ----------
    training : bool
        Random slopes (True, at first) or the mean slope; `train` and `eval` set it.

    Examples
    --------
    >>> import numpy as np
    >>> layer = PlainRReLU(0.0, 0.5).eval()
    >>> layer(np.array([-2.0, 3.0]))
    array([-0.5,  3. ])
    """

    #: Whether nobody asked for a layer without a framework.
    _by_default = False

    def __init__(
        self,
        lower: float = LOWER,
        upper: float = UPPER,
        inplace: bool | str | None = None,
        name: str | bool | None = None,
        *,
        generator: Any = None,
    ) -> None:
        inplace, name = inplace_or_name(inplace, name)
        self._spec = RReLUSpec(lower, upper, inplace, name)
        self._generator = generator
        self.training = True

    def __call__(self, x: Any) -> Any:
        """Apply RReLU to `x`, a tensor of any backend."""
        backend = backend_of(x)
        if self._by_default and has_layers(backend.name):
            raise RuntimeError(
                f"this RReLU was built before {(name := backend.name)} was imported, so it is no layer of "
                f"{name}: the eval() of a model does not reach it, and it would stay random. Build it after "
                f'`import {name}`, or as RReLU(..., backend="{name}"); outside of models '
                "rrelu_compat.numpy.RReLU takes tensors of every framework"
            )
        return backend.apply(x, self._spec, training=self.training, generator=self._generator)

    def train(self, mode: bool = True) -> Self:
        """Draw random slopes from now on (or, with ``mode=False``, use the mean slope)."""
        if not isinstance(mode, bool):
            raise TypeError(f"mode must be True or False, got mode={mode!r}")
        self.training = mode
        return self

    def eval(self) -> Self:
        """Use the mean slope from now on."""
        return self.train(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return deepcopy_sharing_generator(self, memo)

    def __repr__(self) -> str:
        parts = [f"lower={self.lower}", f"upper={self.upper}"]
        if self.inplace:
            parts.append("inplace=True")
        if self.name is not None:
            parts.append(f"name={self.name}")
        return f"RReLU({', '.join(parts)})"


def build_layer(spec: RReLUSpec, backend: str | None, generator: Any) -> Any:
    """Build the layer of `backend`, or of the default one, or a `PlainRReLU` if nothing decides."""
    name = default_backend() if backend is None else backend
    if name is None:
        layer = PlainRReLU(spec.lower, spec.upper, spec.inplace, spec.name, generator=generator)
        layer._by_default = True
        return layer
    return get_backend(name).layer(spec, generator)


def apply(spec: RReLUSpec, x: Any, training: bool, generator: Any) -> Any:
    """Apply `spec` to a tensor of any backend."""
    check_training(training)
    return backend_of(x).apply(x, spec, training=training, generator=generator)


def spec_of_layer(layer: Any) -> RReLUSpec:
    """Return the spec of a layer of a framework or of this package; see `RReLUSpec.from_layer`."""
    spec = getattr(layer, "spec", None)
    if isinstance(spec, RReLUSpec):
        return spec
    framework = framework_of_layer(type(layer))
    if framework is not None:
        backend: Any = get_backend(framework)
        spec = backend.spec_of(layer)
        if isinstance(spec, RReLUSpec):
            return spec
    raise TypeError(
        "layer must be a torch.nn.RReLU, a paddle.nn.RReLU or a layer of rrelu_compat, "
        f"got {type(layer).__module__}.{type(layer).__qualname__} layer={layer!r}"
    )


# Two overloads, so that checkers demand `training`; at run time its absence gets an error that says why.
@overload
def rrelu(
    x: TensorT,
    lower: float = ...,
    upper: float = ...,
    *,
    training: Literal[True],
    inplace: bool = ...,
    generator: Any = ...,
) -> TensorT: ...
@overload
def rrelu(
    x: TensorT,
    lower: float = ...,
    upper: float = ...,
    *,
    training: bool,
    inplace: bool = ...,
    generator: Any = ...,
) -> TensorT: ...
def rrelu(
    x: TensorT,
    lower: float = LOWER,
    upper: float = UPPER,
    *positional: Any,
    training: bool | None = None,
    inplace: bool = False,
    generator: Any = None,
) -> TensorT:
    """Apply RReLU to a tensor of any backend.

    Parameters
    ----------
    x : tensor
        A NumPy array, PyTorch or Paddle tensor, or one of a registered backend; any shape; float16,
        bfloat16, float32 or float64.
    lower, upper : float
        Bounds of the slopes.
    training : bool
        Required, by name: its default is False in PyTorch and True in Paddle, so here it has none.
    inplace : bool
        Write the result into `x` and return `x`.
    generator : optional
        A `rrelu_compat.Generator`, or the framework's own generator.

    Returns
    -------
    tensor
        Of the shape, dtype, device and memory format of `x`.

    Raises
    ------
    TypeError
        If `training` is missing, a fourth argument is positional, or `x` is no tensor of a backend.
    BoundsError, DTypeError
        For bounds or dtypes that are not allowed.

    Examples
    --------
    >>> import numpy as np
    >>> rrelu(np.array([-1.0, 2.0]), 0.0, 0.5, training=False)
    array([-0.25,  2.  ])
    """
    if positional:
        raise TypeError(
            f"rrelu() takes three positional arguments, got a fourth, {positional[0]!r}: "
            "pass training= and inplace= by name (the frameworks disagree about their order)"
        )
    if training is None:
        raise TypeError(
            "rrelu() needs training=True or training=False by name: "
            "the default is False in PyTorch and True in Paddle"
        )
    if training is not True and training is not False:
        check_training(training)
    backend = backend_of(x)
    # A framework's own function, if its backend has one, knows its tracers and compilers.
    function = getattr(backend, "function", None)
    y: TensorT
    if function is not None:
        y = function(x, lower, upper, training=training, inplace=inplace, generator=generator)
    else:
        spec = spec_of(lower, upper, inplace)
        y = backend.apply(x, spec, training=training, generator=generator)
    return y


def _scripted() -> Any:
    torch: Any = get_backend("torch")
    return torch.scripted["rrelu"]


# TorchScript asks a function for what it shall compile in its place.
vars(rrelu)["__prepare_scriptable__"] = _scripted
