"""Every private or undocumented name of Paddle that the adapter uses: why, and what is lost without it.

What an eager call needs is taken at import, so that a Paddle without it is refused at once. What one
feature needs is taken when it is used, and its absence refuses that feature by name. ``rrelu-compat info``
runs the test of each.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import paddle
from paddle.base import core

if TYPE_CHECKING:
    from collections.abc import Callable

# What Paddle's own Python code calls, without the checks of its public functions, which cost microseconds.
C_ops: Any = paddle._C_ops
#: A value of a static program.
Value: Any = paddle.pir.Value
#: Paddle's generators: ``paddle.Generator()`` gives the default one, whatever is asked for.
FrameworkGenerator: Any = core.Generator
default_cpu_generator: Callable[[], Any] = core.default_cpu_generator
# The CPU build has no stubs for what is on a GPU.
_core: Any = core


def missing(name: str, feature: str) -> RuntimeError:
    """Return the error of a feature whose private name this Paddle lacks."""
    return RuntimeError(
        f"{feature} needs {name}, which Paddle {paddle.__version__} does not have: "
        "use another version of Paddle (rrelu-compat info lists what this one lacks)"
    )


def lookup(path: str, feature: str) -> Any:
    """Return the object at a dotted path, ``module:attribute``.

    Raises
    ------
    RuntimeError
        If this Paddle does not have it; names the feature.
    """
    module, _, attribute = path.partition(":")
    try:
        return functools.reduce(getattr, attribute.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise missing(path.replace(":", "."), feature) from error


def stream_of(device: int) -> int:
    """Return the handle of Paddle's current stream of a GPU."""
    handle: int = _core._get_current_stream(device).raw_stream
    return handle


def default_cuda_generator(device: int) -> Any:
    """Return Paddle's default generator of a GPU."""
    return _core.default_cuda_generator(device)


def take_whole(function: Any) -> None:
    """Keep ``to_static`` from looking into a function; without the name it may fail there, loudly."""
    marker = getattr(paddle.jit, "marker", None)
    if marker is not None:
        marker.unified(function)


class Use(NamedTuple):
    """A private name."""

    name: str
    #: What is lost, that is refused, without it.
    feature: str
    #: True if it still means what the adapter takes it for.
    holds: Callable[[], bool]


def _has(path: str) -> Callable[[], bool]:
    return lambda: lookup(path, "") is not None


def _hook_makes_the_gradient() -> bool:
    x = paddle.ones([2])
    x.stop_gradient = False
    node = C_ops.reshape(x, [2])
    node._register_grad_hook(lambda g: g * 3)
    y = C_ops.reshape(node, [2])
    paddle.full([2], 7.0)._share_underline_tensor_to(y)
    (g,) = paddle.grad(y.sum(), x)
    return bool(y[0].item() == 7.0 and g[0].item() == 3.0)


def _leaves_are_told() -> bool:
    """Whether only gradients that are to be differentiated are no leaves."""
    seen: list[bool] = []
    for create in (False, True):
        x = paddle.ones([2])
        x.stop_gradient = False
        node = C_ops.reshape(x, [2])
        node._register_grad_hook(lambda g: seen.append(g.is_leaf))
        paddle.grad((C_ops.reshape(node, [2]) ** 2).sum(), x, create_graph=create)
    return seen == [True, False]


def _version_moves() -> bool:
    x = paddle.ones([2])
    before = x.inplace_version
    x._bump_inplace_version()
    return bool(x.inplace_version > before)


def _generators_are_separate() -> bool:
    return core.Generator() is not default_cpu_generator() and isinstance(
        default_cpu_generator().random, object
    )


#: What each feature stands on.
USES = (
    Use("Tensor._register_grad_hook", "training with a gradient", _hook_makes_the_gradient),
    Use("Tensor.is_leaf of gradients", "create_graph=True", _leaves_are_told),
    Use("Tensor._bump_inplace_version", "in place", _version_moves),
    Use("paddle.base.core.Generator", "generators of Paddle's own", _generators_are_separate),
    Use(
        "paddle.static.register_op",
        "training in static graphs",
        _has("paddle.static:register_op"),
    ),
    Use(
        "paddle.distributed.fleet.recompute.custom_state_manager",
        "training under recompute with a rrelu_compat.Generator",
        _has("paddle.distributed.fleet.recompute:custom_state_manager"),
    ),
    Use(
        "paddle.pir.get_current_insertion_point",
        "training in static graphs",
        _has("paddle.pir:get_current_insertion_point"),
    ),
    Use(
        "paddle.jit.sot.opcode_translator.skip_files",
        "to_static(full_graph=False)",
        _has("paddle.jit.sot.opcode_translator.skip_files:skip_file_names"),
    ),
    Use("paddle.jit.marker.unified", "to_static", _has("paddle.jit.marker:unified")),
)


def self_tests() -> list[tuple[str, bool, str]]:
    """Run the test of every private name; return its name, whether it holds, and what is lost if not."""
    results = []
    for use in USES:
        try:
            holds = use.holds()
        except Exception:  # a name that is gone fails in its own way
            holds = False
        results.append((use.name, holds, use.feature))
    return results
