"""`swap`: put this package's RReLU layers in the place of the framework's own, and back."""

from __future__ import annotations

import functools
import types
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from rrelu_compat.errors import BoundsError
from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.frameworks import framework_of
from rrelu_compat.porting.models.layers import layers_of
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.models.frameworks import Framework

ModelT = TypeVar("ModelT")

# What a method that goes past `super()` to the framework's own RReLU calls.
_NATIVE_NAMES = frozenset({"RReLU", "rrelu", "rrelu_", "rrelu_with_noise", "rrelu_with_noise_"})


def swap(model: ModelT, *, to: Literal["shim", "native"] = "shim") -> ModelT:
    """Turn every native RReLU layer of a model into this package's layer, or back.

    Each layer stays the object it is and changes its class: bounds, mode, `inplace`, hooks, names and
    attributes are kept, and whatever else refers to the layer (another layer that shares it, a list, a
    data-parallel wrapper) sees the change.

    Parameters
    ----------
    model : torch.nn.Module or paddle.nn.Layer
        Searched with all its sublayers, those in plain lists and dicts too. Wrapped by
        ``DistributedDataParallel``, ``DataParallel`` or ``torch.compile``, or converted by
        ``to_static``: it is traced or compiled anew at the next call.
    to : {"shim", "native"}
        The layers that the model is to have: this package's, or the framework's own again. The latter
        have no generator (and PyTorch's no name): a layer's own is let go.

    Returns
    -------
    torch.nn.Module or paddle.nn.Layer
        `model` itself, changed.

    Raises
    ------
    TypeError
        If `model` is no model of either framework, scripted or traced by ``torch.jit``, or a
        graph of ``torch.fx`` or ``torch.export`` in which the layer has become a call.
    ValueError
        If a layer can't be swapped: a subclass that calls the native function by itself, or, with
        ``to="native"``, a subclass of the drop-in, or an `inplace` that the framework does not have.
    BoundsError
        If the bounds of a layer are ones that the other layer does not take.

    Examples
    --------
    >>> import torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.RReLU(0.1, 0.2))
    >>> type(swap(model)[1]).__module__
    'rrelu_compat.torch'

    Notes
    -----
    Where an error is raised, the model is as it was. A subclass keeps its methods: its swapped class
    inherits from it and from the drop-in, so that its ``super().forward`` is the drop-in's. Calls of
    ``F.rrelu`` in the code of other layers are no layers and stay: ``rrelu-compat port`` rewrites them.
    A function outside the model that ``paddle.jit.to_static`` has converted keeps the program that it
    traced: convert it after the swap.
    """
    if to not in ("shim", "native"):
        raise ValueError(f"to must be 'shim' or 'native', got to={to!r}")
    framework = framework_of(model, "model")
    layers = layers_of(model, framework)
    framework.before_swap(layers)
    changes = [
        (layer, *_change(framework, path, layer, to))
        for path, layer in layers.items()
        if isinstance(layer, framework.native) and isinstance(layer, RReLULayer) != (to == "shim")
    ]
    for layer, new_class, gone, come in changes:
        for key in gone:
            vars(layer).pop(key, None)
        vars(layer).update(come)
        layer.__class__ = new_class
    framework.after_swap(layers.values(), [layer for layer, *_ in changes])
    return model


def _change(
    framework: Framework, path: str, layer: Any, to: str
) -> tuple[type, frozenset[str], dict[str, Any]]:
    """Return the new class, the attributes that go, and those that come."""
    try:
        spec = RReLUSpec.from_layer(layer)
        if to == "shim":
            new_class = _shim_class(framework, path, type(layer))
            old, new = framework.native(), framework.shim()
            new.spec = spec
        else:
            new_class = _native_class(framework, path, type(layer))
            framework.check_native_takes(spec)
            old, new = framework.shim(), _native_layer(framework, spec)
    except BoundsError as error:
        raise BoundsError(f"model layer {path!r}: {error}") from error
    gone = frozenset(vars(old)) - framework.internals
    if _has_forward_of_class(framework, path, layer):
        gone |= {"forward"}
    own = {key: value for key, value in vars(new).items() if key not in framework.internals}
    return new_class, gone, own


def _has_forward_of_class(framework: Framework, path: str, layer: Any) -> bool:
    """Whether the layer itself carries the forward of its class (Paddle's tracing leaves it there)."""
    forward = vars(layer).get("forward")
    if forward is None or framework.is_converted(forward):
        return False
    if getattr(forward, "__func__", None) is not type(layer).forward:
        raise ValueError(
            f"model layer {path!r} has a forward of its own, {forward!r}, which may call the one it "
            "replaced: swap the model before it is set"
        )
    return True


def _native_layer(framework: Framework, spec: RReLUSpec) -> Any:
    layer = framework.native(spec.lower, spec.upper)
    for key, value in (("inplace", spec.inplace), ("_inplace", spec.inplace), ("_name", spec.name)):
        if key in vars(layer):
            vars(layer)[key] = value
    return layer


def _native_class(framework: Framework, path: str, old: type) -> type:
    if old is framework.shim:
        return framework.native
    origin = vars(old).get("_swapped_from")
    if origin is None:
        raise ValueError(
            f"model layer {path!r} is a {old.__qualname__}, written as a subclass of the drop-in: "
            "it has no native class to go back to"
        )
    return origin  # type: ignore[no-any-return]


def _shim_class(framework: Framework, path: str, old: type) -> type:
    if old is framework.native:
        return framework.shim
    for ancestor in old.__mro__[: old.__mro__.index(framework.native)]:
        for method, names in _names_in_methods(ancestor):
            if names & _NATIVE_NAMES:
                raise ValueError(
                    f"model layer {path!r} is a {old.__qualname__}, whose {ancestor.__qualname__}.{method} "
                    f"uses {', '.join(sorted(names & _NATIVE_NAMES))} by name: only what goes through "
                    "super() can be swapped; rewrite the class with `rrelu-compat port`"
                )
    swapped: type = _swapped_subclass(old, framework.shim)
    return swapped


@functools.cache
def _swapped_subclass(old: type, shim: type) -> Any:
    body = {
        "__module__": old.__module__,
        "__qualname__": old.__qualname__,
        "__doc__": old.__doc__,
        "__reduce__": _reduce,
        "_swapped_from": old,
        "_swapped_shim": shim,
    }
    return type(old.__name__, (old, shim), body)


def _reduce(layer: Any) -> tuple[Any, ...]:
    # The class itself can't be found by its name when it is unpickled: make it again from the user's.
    cls = type(layer)
    # Python 3.10 has no object.__getstate__.
    state = layer.__getstate__() if hasattr(layer, "__getstate__") else vars(layer)
    return _unpickled, (cls._swapped_from, cls._swapped_shim), state


def _unpickled(old: type, shim: type) -> Any:
    cls = _swapped_subclass(old, shim)
    return cls.__new__(cls)


def _names_in_methods(cls: type) -> Iterator[tuple[str, frozenset[str]]]:
    for method, value in vars(cls).items():
        if isinstance(value, property):
            functions = [value.fget, value.fset, value.fdel]
        else:
            functions = [getattr(value, "__func__", value)]
        for function in functions:
            if isinstance(function, types.FunctionType) and method != "__init__":
                yield method, frozenset(_names_in(function.__code__))


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names_in(constant)
