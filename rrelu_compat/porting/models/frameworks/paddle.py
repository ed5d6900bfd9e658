"""What `frameworks.Framework` asks for, of Paddle layers."""

from __future__ import annotations

import contextlib
import types
from typing import TYPE_CHECKING, Any

import numpy as np
import paddle
from paddle.jit.dy2static.program_translator import (
    ProgramTranslator,
    StaticFunction,
)
from paddle.jit.pir_translated_layer import PirTranslatedLayer

import rrelu_compat.paddle
from rrelu_compat.backends.paddle.layer import NATIVE
from rrelu_compat.errors import BoundsError
from rrelu_compat.porting.models.frameworks import paddle_draws
from rrelu_compat.porting.models.frameworks.patches import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.draws import CurrentDraws
    from rrelu_compat.spec import RReLUSpec

name = "paddle"
internals = frozenset(vars(paddle.nn.Layer()))
native: type = NATIVE
shim: type = rrelu_compat.paddle.RReLU


def check_native_takes(spec: RReLUSpec) -> None:
    if not 0 <= spec.lower <= spec.upper <= 1:
        raise BoundsError(
            f"lower={spec.lower!r}, upper={spec.upper!r}: "
            "paddle.nn.RReLU takes 0 <= lower <= upper <= 1"
        )
    if spec.inplace and not {"inplace", "_inplace"} & set(vars(native())):
        raise ValueError("inplace=True: this version's paddle.nn.RReLU has no inplace")


def is_layer(x: object) -> bool:
    return isinstance(x, paddle.nn.Layer)


def unwrapped(model: Any) -> Any:
    return unwrapped(model._layers) if isinstance(model, paddle.DataParallel) else model


def children(layer: Any) -> Mapping[str, Any]:
    return {key: unwrapped(child) for key, child in layer._sub_layers.items() if child is not None}


def parameters(layer: Any) -> dict[str, Any]:
    return {key: value for key, value in layer._parameters.items() if value is not None}


def buffers(layer: Any) -> dict[str, Any]:
    return {
        key: value
        for key, value in layer._buffers.items()
        if value is not None and value._is_initialized()  # recurrent layers have one without memory
    }


def is_tensor(x: object) -> bool:
    return isinstance(x, paddle.Tensor)


def is_parameter(tensor: Any) -> bool:
    return isinstance(tensor, paddle.base.framework.EagerParamBase)


def has_values(tensor: Any) -> bool:
    return bool(tensor._is_initialized())


def dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("paddle.")


def to_numpy(tensor: Any) -> NDArray[Any]:
    values = tensor.detach()
    if values.dtype == paddle.bfloat16:
        values = values.astype("float32")  # Paddle would give the bits as uint16
    array: NDArray[Any] = values.numpy().copy()
    return array


def from_numpy(array: NDArray[Any], like: Any) -> Any:
    if like is None:
        return paddle.to_tensor(array)
    tensor = paddle.to_tensor(array, place=like.place)
    floating = tensor.is_floating_point() and like.is_floating_point()
    return tensor.astype(like.dtype) if floating else tensor


def widened(tensor: Any) -> Any:
    return tensor.astype("float32") if tensor.element_size() < 4 else tensor


def assign(tensor: Any, array: NDArray[Any]) -> None:
    values = paddle.to_tensor(array, place=tensor.place).astype(tensor.dtype)
    with paddle.no_grad():
        paddle.assign(values.reshape(tensor.shape), tensor)


def write(tensor: Any, array: NDArray[Any]) -> None:
    values = tensor.detach()
    if tensor.place.is_cpu_place() and tensor.dtype in (paddle.float32, paddle.float64):
        np.from_dlpack(values)[...] = array.reshape(tensor.shape)  # counts no version
    else:
        assign(values, array)


def version(tensor: Any) -> int:
    return int(tensor.inplace_version)


def hook(layer: Any, on_entry: Callable[..., Any], on_exit: Callable[..., Any]) -> list[Any]:
    return [
        layer.register_forward_pre_hook(on_entry, with_kwargs=True),
        layer.register_forward_post_hook(on_exit),
    ]


def asks_gradient(tensor: Any) -> bool:
    return not tensor.stop_gradient


def ask_gradient(tensor: Any) -> Any:
    tensor.stop_gradient = False
    return tensor.clone()


def on_gradient(tensor: Any, receive: Callable[[Any], Any]) -> Any:
    return tensor.register_hook(receive)


def gradient(tensor: Any) -> Any:
    # A copy: clearing the gradient would clear what was handed out before.
    return None if tensor.grad is None else tensor.grad.clone()


def put_gradient(tensor: Any, gradient: Any) -> None:
    if gradient is None:
        tensor.clear_gradient(False)  # True would leave a gradient of zeros
    else:
        tensor.grad = gradient


def sgd(parameters: list[Any], learning_rate: float) -> Any:
    return paddle.optimizer.SGD(learning_rate, parameters=parameters)


def aligned_draws(where: CurrentDraws) -> AbstractContextManager[None]:
    return patched(paddle_draws.changes(where))


def in_single_precision(seen: dict[str, None]) -> AbstractContextManager[None]:
    return contextlib.nullcontext()  # PyTorch is the one that follows


def random_state() -> str | bytes:
    words = str(paddle.get_rng_state()[0]).split()
    return " ".join(word for word in words if not word.startswith("0x"))  # without the address


@contextlib.contextmanager
def keeps_random_state() -> Iterator[None]:
    state = paddle.get_rng_state()
    try:
        yield
    finally:
        paddle.set_rng_state(state)


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    # Converted programs leave out the hooks of the layers in them.
    translator = ProgramTranslator.get_instance()
    converts = translator.enable_to_static
    translator.enable_to_static = False  # the function for it warns
    try:
        with paddle.enable_grad():
            yield
    finally:
        translator.enable_to_static = converts


def is_converted(forward: Any) -> bool:
    return isinstance(forward, StaticFunction)


def before_swap(layers: Mapping[str, Any]) -> None:
    for path, layer in layers.items():
        if isinstance(layer, (paddle.jit.TranslatedLayer, PirTranslatedLayer)):
            raise TypeError(
                f"model layer {path!r} was loaded by paddle.jit.load and is a fixed program: "
                "swap the model before it is saved"
            )


def after_swap(layers: Iterable[Any], swapped: Iterable[Any]) -> None:
    """Forget the programs that hold the old layers."""
    changed = {id(layer) for layer in swapped}
    if not changed:
        return
    for layer in layers:
        static = vars(layer).get("forward")
        if isinstance(static, StaticFunction) and id(layer) in changed:
            # What was converted is the old class's forward, bound.
            forward = types.MethodType(type(layer).forward, layer)
            vars(layer)["forward"] = type(static)(forward, static._input_spec, **static._kwargs)
        for converted in _converted(layer):
            converted._program_cache = type(converted._program_cache)()


def _converted(layer: Any) -> Iterator[StaticFunction[..., Any]]:
    """Yield the methods of a layer that ``to_static`` converts, decorated ones of its class too."""
    for cls in type(layer).__mro__:
        for key, value in vars(cls).items():
            if isinstance(value, StaticFunction):
                yield getattr(layer, key)
    for value in vars(layer).values():
        if isinstance(value, StaticFunction):
            yield value
