"""What swapping, copying and comparing ask of a framework; its modules `torch` and `paddle` answer."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.draws import CurrentDraws
    from rrelu_compat.spec import RReLUSpec


class Framework(Protocol):
    """The functions that the module of each framework has."""

    name: str
    #: Attributes that every layer has; what a layer has besides is its own.
    internals: frozenset[str]
    #: The framework's own RReLU layer and this package's.
    native: type
    shim: type

    def check_native_takes(self, spec: RReLUSpec) -> None:
        """Raise `BoundsError` or `ValueError` if the native layer can't be what `spec` says."""

    def is_layer(self, x: object) -> bool:
        """Whether `x` is a layer of this framework."""

    def unwrapped(self, model: Any) -> Any:
        """Return the model within a data-parallel or compiled wrapper, or `model`."""

    def children(self, layer: Any) -> Mapping[str, Any]:
        """Return the registered sublayers of `layer`."""

    def parameters(self, layer: Any) -> dict[str, Any]:
        """Return the parameters of `layer` itself, by name."""

    def buffers(self, layer: Any) -> dict[str, Any]:
        """Return the buffers of `layer` itself, by name."""

    def is_tensor(self, x: object) -> bool:
        """Whether `x` is a tensor of this framework."""

    def is_parameter(self, tensor: Any) -> bool:
        """Whether a tensor is a parameter and no buffer."""

    def has_values(self, tensor: Any) -> bool:
        """Whether there is something to copy: not for lazy layers before their first call."""

    def dtype(self, tensor: Any) -> str:
        """Return the name of the dtype, as "float64"."""

    def to_numpy(self, tensor: Any) -> NDArray[Any]:
        """Return a copy of the values; those of bfloat16 as float32."""

    def from_numpy(self, array: NDArray[Any], like: Any) -> Any:
        """Return a tensor on the device of the tensor `like`, of its dtype if both are floating.

        With ``like=None``: of the array's dtype, on the default device.
        """

    def widened(self, tensor: Any) -> Any:
        """Return float16 and bfloat16 as float32, others as they are; gradients pass."""

    def assign(self, tensor: Any, array: NDArray[Any]) -> None:
        """Write values into a tensor, unseen by autograd."""

    def write(self, tensor: Any, array: NDArray[Any]) -> None:
        """Write values into the memory of a tensor, unseen by autograd and its count of versions."""

    def version(self, tensor: Any) -> int:
        """Return a number that is another one after the tensor was written to."""

    def hook(
        self, layer: Any, on_entry: Callable[..., Any], on_exit: Callable[..., Any]
    ) -> list[Any]:
        """Call ``on_entry(layer, arguments, keywords)``, ``on_exit(layer, arguments, output)`` each time.

        Returns handles with ``remove()``.
        """

    def asks_gradient(self, tensor: Any) -> bool:
        """Whether a gradient is asked for."""

    def ask_gradient(self, tensor: Any) -> Any:
        """Ask for the gradient of a leaf and return a copy of it that may be written into."""

    def on_gradient(self, tensor: Any, receive: Callable[[Any], Any]) -> Any:
        """Call ``receive(gradient)`` when the gradient of this value is known; another may be returned.

        Returns a handle with ``remove()``: as long as it is there, the graph keeps `receive`.
        """

    def gradient(self, tensor: Any) -> Any:
        """Return the gradient of a leaf, or None."""

    def put_gradient(self, tensor: Any, gradient: Any) -> None:
        """Set the gradient of a leaf; None clears it."""

    def sgd(self, parameters: list[Any], learning_rate: float) -> Any:
        """Return an optimizer: plain gradient descent."""

    def aligned_draws(self, where: CurrentDraws) -> AbstractContextManager[None]:
        """Let the framework's random functions take their numbers from `where`."""

    def in_single_precision(self, seen: dict[str, None]) -> AbstractContextManager[None]:
        """Round in float64 operators what the other framework rounds; `seen` says what was rounded."""

    def random_state(self) -> str | bytes:
        """Return something that is another one after random numbers were drawn on the CPU."""

    def keeps_random_state(self) -> AbstractContextManager[None]:
        """Put the framework's random states back on leaving."""

    def as_written(self) -> AbstractContextManager[None]:
        """Run compiled and converted code eagerly, with gradients, even if the caller switched them off."""

    def is_converted(self, forward: Any) -> bool:
        """Whether `forward` is one that the framework compiles, which `after_swap` renews."""

    def before_swap(self, layers: Mapping[str, Any]) -> None:
        """Raise if a layer is compiled in a way that a swap can't reach."""

    def after_swap(self, layers: Iterable[Any], swapped: Iterable[Any]) -> None:
        """Make what was traced or compiled before look at the layers again."""


def framework_of(model: object, argument: str) -> Framework:
    """Return the framework of a model.

    Raises
    ------
    TypeError
        If `model` is neither a PyTorch module nor a Paddle layer; the message names `argument`.
    """
    for ancestor in type(model).__mro__:
        root = ancestor.__module__.partition(".")[0]
        if root in ("torch", "paddle"):
            module: Any = importlib.import_module(f"rrelu_compat.porting.models.frameworks.{root}")
            framework = cast("Framework", module)
            if framework.is_layer(model):
                return framework
    raise TypeError(
        f"{argument} must be a torch.nn.Module or a paddle.nn.Layer, "
        f"got {type(model).__module__}.{type(model).__qualname__}"
    )
