"""What `frameworks.Framework` asks for, of PyTorch modules."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

import rrelu_compat.torch
from rrelu_compat.backends.torch.layer import NATIVE
from rrelu_compat.porting.models.frameworks import torch_draws, torch_single
from rrelu_compat.porting.models.frameworks.patches import patched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.draws import CurrentDraws
    from rrelu_compat.spec import RReLUSpec

name = "torch"
internals = frozenset(vars(torch.nn.Module()))
native: type = NATIVE
shim: type = rrelu_compat.torch.RReLU


def check_native_takes(spec: RReLUSpec) -> None:
    """Every spec is one that ``torch.nn.RReLU`` takes."""


def is_layer(x: object) -> bool:
    return isinstance(x, torch.nn.Module)


def unwrapped(model: Any) -> Any:
    if hasattr(model, "_orig_mod"):  # torch.compile
        return unwrapped(model._orig_mod)
    if isinstance(
        model, (torch.nn.parallel.DistributedDataParallel, torch.nn.parallel.DataParallel)
    ):
        return unwrapped(model.module)
    return model


def children(layer: Any) -> Mapping[str, Any]:
    return {key: unwrapped(child) for key, child in layer._modules.items() if child is not None}


def parameters(layer: Any) -> dict[str, Any]:
    return dict(layer.named_parameters(recurse=False, remove_duplicate=False))


def buffers(layer: Any) -> dict[str, Any]:
    return dict(layer.named_buffers(recurse=False, remove_duplicate=False))


def is_tensor(x: object) -> bool:
    return isinstance(x, torch.Tensor)


def is_parameter(tensor: Any) -> bool:
    return isinstance(tensor, torch.nn.Parameter)


def has_values(tensor: Any) -> bool:
    return not torch.nn.parameter.is_lazy(tensor) and not tensor.is_meta


def dtype(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def to_numpy(tensor: Any) -> NDArray[Any]:
    values = tensor.detach().cpu()
    if values.dtype == torch.bfloat16:
        values = values.float()  # NumPy has no bfloat16; float32 holds every value of it
    array: NDArray[Any] = values.numpy().copy()
    return array


def from_numpy(array: NDArray[Any], like: Any) -> Any:
    tensor = torch.tensor(array)
    if like is None:
        return tensor
    floating = tensor.is_floating_point() and like.is_floating_point()
    return tensor.to(like.device, like.dtype if floating else None)


def widened(tensor: Any) -> Any:
    return tensor.float() if tensor.element_size() < 4 else tensor


def assign(tensor: Any, array: NDArray[Any]) -> None:
    with torch.no_grad():
        tensor.copy_(torch.from_numpy(array).reshape(tensor.shape))


def write(tensor: Any, array: NDArray[Any]) -> None:
    tensor.data.copy_(torch.as_tensor(array).reshape(tensor.shape))  # `data` counts no version


def version(tensor: Any) -> int:
    return -1 if tensor.is_inference() else int(tensor._version)


def hook(layer: Any, on_entry: Callable[..., Any], on_exit: Callable[..., Any]) -> list[Any]:
    return [
        layer.register_forward_pre_hook(on_entry, with_kwargs=True),
        layer.register_forward_hook(on_exit),
    ]


def asks_gradient(tensor: Any) -> bool:
    return bool(tensor.requires_grad)


def ask_gradient(tensor: Any) -> Any:
    return tensor.requires_grad_().clone()


def on_gradient(tensor: Any, receive: Callable[[Any], Any]) -> Any:
    return tensor.register_hook(receive)


def gradient(tensor: Any) -> Any:
    return tensor.grad


def put_gradient(tensor: Any, gradient: Any) -> None:
    tensor.grad = gradient


def sgd(parameters: list[Any], learning_rate: float) -> Any:
    return torch.optim.SGD(parameters, learning_rate)


def aligned_draws(where: CurrentDraws) -> AbstractContextManager[None]:
    return patched(torch_draws.changes(where))


def in_single_precision(seen: dict[str, None]) -> AbstractContextManager[None]:
    return patched(torch_single.changes(seen))


def random_state() -> str | bytes:
    return torch.get_rng_state().numpy().tobytes()


@contextlib.contextmanager
def keeps_random_state() -> Iterator[None]:
    with torch.random.fork_rng():
        yield


@contextlib.contextmanager
def as_written() -> Iterator[None]:
    # A model that runs once is not worth compiling; fused code rounds otherwise.
    with torch.inference_mode(False), torch.compiler.set_stance("force_eager"):
        yield


def is_converted(forward: Any) -> bool:
    return False  # a compiled module is a wrapper, a layer of its own


def before_swap(layers: Mapping[str, Any]) -> None:
    for path, layer in layers.items():
        if isinstance(layer, torch.jit.ScriptModule):
            raise TypeError(
                f"model layer {path!r} is a torch.jit.{type(layer).__name__}, whose code is fixed: "
                "swap the model before it is scripted or traced"
            )
        if isinstance(layer, torch.fx.GraphModule):
            for node in layer.graph.nodes:
                if _was_rrelu_layer(node):
                    raise TypeError(
                        f"model layer {path!r} is a graph in which an RReLU layer has become the call "
                        f"{node.format_node()}: swap the model before it is traced or exported"
                    )


def _was_rrelu_layer(node: torch.fx.Node) -> bool:
    """Whether a node is a call that an RReLU layer made when it was traced, and no layer any more."""
    around = list((node.meta.get("nn_module_stack") or {}).values())
    if node.op != "call_function" or not around:
        return False
    called = f"{getattr(node.target, '__module__', '')} {node.target}"
    layer = around[-1][1]  # a class, or its name in what torch.export gives
    return (
        "rrelu" in called
        and "rrelu_compat" not in called
        and (
            issubclass(layer, native)
            if isinstance(layer, type)
            else str(layer).rpartition(".")[2] == "RReLU"
        )
    )


def after_swap(layers: Iterable[Any], swapped: Iterable[Any]) -> None:
    """Nothing: the guards of compiled code see the new class, and it is compiled anew."""
