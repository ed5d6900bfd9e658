"""Every private or undocumented name of PyTorch that the adapter uses: why, and what is lost without it.

Each stands in `USES` with a test of one line. ``rrelu-compat info`` runs them all. A name that is needed
where nothing is traced, transformed or repeated is taken at import, so that PyTorch without it is refused at
once; what only one feature needs is taken when it is used, and its absence refuses that feature by name.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.autograd import forward_ad
from torch.utils import _python_dispatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Which tensors have the memory they seem to have: tests of the fast route.
dispatch_keys: Any = torch._C._dispatch_keys
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
functorch_active: Callable[[], bool] = torch._C._are_functorch_transforms_active
disable_current_modes: Any = _python_dispatch._disable_current_modes

# Recomputation: what is being repeated, and by whom.
graph_task: Callable[[], int] = torch._C._current_graph_task_id
forward_ad_enabled: Callable[[], bool] = torch._C._is_fwd_grad_enabled
in_inference: Callable[[], bool] = torch.is_inference_mode_enabled
top_hooks: Callable[[bool], Any] = torch._C._autograd._top_saved_tensors_default_hooks
pop_hooks: Callable[[], Any] = torch._C._autograd._pop_saved_tensors_default_hooks
push_hooks: Callable[[Any, Any], None] = torch._C._autograd._push_saved_tensors_default_hooks
FunctionContext: Any = torch._C._FunctionBase

# Which graph is being traced: Dynamo of PyTorch 2.11 takes torch.compiler.is_exporting() for True in every
# graph, and reads the flag behind it as any other global.
is_exporting: Callable[[], bool] = torch.compiler.is_exporting
if torch.torch_version.TorchVersion(torch.__version__) < "2.12":

    def is_exporting() -> bool:
        """Whether torch.export traces."""
        return torch.compiler._is_exporting_flag


def forward_ad_active() -> bool:
    """Whether a level of forward-mode differentiation is open."""
    return forward_ad._current_level >= 0


def missing(name: str, feature: str) -> RuntimeError:
    """Return the error of a feature whose private name this PyTorch lacks."""
    return RuntimeError(
        f"{feature} needs {name}, which PyTorch {torch.__version__} does not have: "
        "use another version of PyTorch (rrelu-compat info lists what this one lacks)"
    )


def lookup(path: str, feature: str) -> Any:
    """Return the object at a dotted path, ``module:attribute``.

    Raises
    ------
    RuntimeError
        If this PyTorch does not have it; names the feature.
    """
    module, _, attribute = path.partition(":")
    names = attribute.split(".") if attribute else []
    try:
        return functools.reduce(getattr, names, importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise missing(path.replace(":", "."), feature) from error


def clear_interpreters() -> Any:
    """Leave all transforms of torch.func for a while: a context manager."""
    path = "torch._functorch.pyfunctorch:temporarily_clear_interpreter_stack"
    return lookup(path, "RReLU under torch.func")()


def without_vmap_mode() -> Any:
    """Allow draws below ``torch.autograd.functional`` with ``vectorize=True``: a context manager."""
    core = lookup("torch._C", "RReLU under autograd.functional with vectorize=True")
    return core._ExcludeDispatchKeyGuard(core.DispatchKeySet(core._parse_dispatch_key("VmapMode")))


def library(namespace: str) -> Any:
    """Return the operator library of a namespace, without what an earlier import of this module put there.

    Test runners and notebooks take modules out of ``sys.modules`` and import them again.
    """
    place = vars(getattr(torch.ops, namespace))
    if "rrelu_compat" in place:
        place.pop("rrelu_compat")._destroy()
    made = torch.library.Library(namespace, "DEF")  # type: ignore[no-untyped-call]
    place["rrelu_compat"] = made
    return made


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Leave every mode and transform for a while: what is made here is a plain tensor, for later too."""
    with contextlib.ExitStack() as stack:
        if functorch_active():
            stack.enter_context(clear_interpreters())
        stack.enter_context(disable_current_modes())
        stack.enter_context(torch.inference_mode(False))
        tracer = lookup("torch._C:_get_tracing_state", "first use under torch.jit.trace")()
        resume = lookup("torch._C:_set_tracing_state", "first use under torch.jit.trace")
        resume(None)
        stack.callback(resume, tracer)
        yield


def is_fake(x: Any) -> bool:
    """Whether a tensor has no values (FakeTensorMode)."""
    found: bool = lookup("torch._subclasses.fake_tensor:is_fake", "RReLU of fake tensors")(x)
    return found


def is_traced() -> bool:
    """Whether make_fx records what is done."""
    path = "torch.fx.experimental.proxy_tensor:get_proxy_mode"  # as slow to import as half of torch
    return lookup(path, "make_fx")() is not None


def unwrapped(x: Any) -> tuple[Any, bool]:
    """Return the tensor within functorch's wrappers, and whether one of them was a batch."""
    functorch = lookup("torch._C:_functorch", "RReLU of a DTensor under torch.func")
    batched = False
    while functorch.is_functorch_wrapped_tensor(x):
        batched = batched or functorch.is_batchedtensor(x)
        x = functorch.get_unwrapped(x)
    return x, batched


def may_change_in_place(view: Any) -> bool:
    """Whether PyTorch lets a view be changed in place (not one output of ``unbind``, say)."""
    autograd = lookup("torch._C:_autograd", "inplace=True on a view")
    allowed: bool = autograd._get_creation_meta(view) is autograd.CreationMeta.DEFAULT
    return allowed


def constant_in_graphs(function: Any) -> Any:
    """Let Dynamo call `function` when it traces, and keep the result.

    What torch.compiler.assume_constant_result does, without importing the compiler: that doubles the time
    that ``import torch`` takes.
    """
    function._dynamo_marked_constant = True
    return function


def constant(number: Any) -> Any:
    """Return a number as a constant of the graph that Dynamo traces; another value makes another graph."""
    from torch.fx.experimental.symbolic_shapes import (
        guard_scalar,
    )  # as slow to import as half of torch

    return guard_scalar(number) if isinstance(number, (int, float)) else number


class Use(NamedTuple):
    """A private name."""

    name: str
    #: What is lost, that is refused, without it.
    feature: str
    #: True if it still means what the adapter takes it for.
    holds: Callable[[], bool]


class _Probe(torch.autograd.Function):
    """Notes what PyTorch says within a forward and a backward."""

    @staticmethod
    def forward(ctx: Any, x: Any, seen: dict[str, Any]) -> Any:
        ctx.seen = seen
        seen["context"] = isinstance(ctx, FunctionContext)
        seen["forward AD in forward"] = forward_ad_enabled()
        seen["task in forward"] = graph_task()
        return x.clone()

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        ctx.seen["task in backward"] = graph_task()
        return g, None


@functools.cache
def probe() -> dict[str, Any]:
    """Run one node forward and backward, in a thread of its own: nothing of the caller's is on there."""
    seen: dict[str, Any] = {}

    def run() -> None:
        x = torch.zeros(1, requires_grad=True)
        seen["forward AD outside"] = forward_ad_enabled()
        _Probe.apply(x, seen).backward()  # type: ignore[no-untyped-call]
        seen["task outside"] = graph_task()
        with torch.autograd.graph.saved_tensors_hooks(_kept, _kept):
            seen["hook"] = top_hooks(False)
            pop_hooks()
            seen["popped"] = top_hooks(False)
            push_hooks(_kept, _kept)
        seen["no hook"] = top_hooks(False)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return seen


def _kept(x: Any) -> Any:
    return x


def _repetition_is_seen() -> bool:
    seen = probe()
    return (
        seen.get("task outside") == -1 == seen.get("task in forward")
        and seen.get("task in backward", -1) >= 0
    )


def _functions_are_seen() -> bool:
    seen = probe()
    return bool(
        seen.get("context")
        and seen.get("forward AD outside")
        and not seen.get("forward AD in forward")
    )


def _hooks_are_seen() -> bool:
    seen = probe()
    return seen.get("hook") == (_kept, _kept) and seen.get("popped") is seen.get("no hook") is None


def _plain_keys_differ() -> bool:
    x = torch.empty(2)
    keys = dispatch_keys(x).raw_repr()
    return bool(
        keys != dispatch_keys(x.to_sparse()).raw_repr()
        and keys != dispatch_keys(torch._neg_view(x)).raw_repr()
    )


def _modes_are_counted() -> bool:
    before = dispatch_modes()
    with _python_dispatch.TorchDispatchMode():  # type: ignore[no-untyped-call]
        inside = dispatch_modes()
        with disable_current_modes():
            outside = dispatch_modes()
    return inside == before + 1 and outside == 0


def _transforms_are_seen() -> bool:
    seen = []

    def look(x: Any) -> Any:
        seen.append(functorch_active())
        with clear_interpreters():
            seen.append(functorch_active())
        return x

    torch.func.vmap(look)(torch.zeros(1))
    return seen == [True, False] and not functorch_active()


def _levels_are_seen() -> bool:
    with forward_ad.dual_level():
        inside = forward_ad_active()
    return inside and not forward_ad_active()


def _tracing_is_left() -> bool:
    seen = []

    def look(x: Any) -> Any:
        with outside():
            seen.append(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
        seen.append(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]
        return x + 1

    torch.jit.trace(look, torch.zeros(1), check_trace=False)  # type: ignore[no-untyped-call]
    return seen == [False, True]


def _draws_under_vmap() -> bool:
    def look(x: Any) -> Any:
        with without_vmap_mode():
            torch.empty(1).random_(generator=torch.Generator())
        return x

    torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        look, torch.zeros(1), vectorize=True, strategy="forward-mode"
    )
    return True


#: What each feature stands on.
USES = (
    Use("torch._C._dispatch_keys", "any call", _plain_keys_differ),
    Use("torch._C._len_torch_dispatch_stack", "dispatch modes", _modes_are_counted),
    Use("torch._C._are_functorch_transforms_active", "torch.func", _transforms_are_seen),
    Use("torch.autograd.forward_ad._current_level", "forward-mode AD", _levels_are_seen),
    Use("torch._C._current_graph_task_id", "checkpoints", _repetition_is_seen),
    Use("torch._C._is_fwd_grad_enabled", "reentrant checkpoints", _functions_are_seen),
    Use("torch._C._autograd._top_saved_tensors_default_hooks", "checkpoints", _hooks_are_seen),
    Use(
        "torch._subclasses.fake_tensor.is_fake",
        "fake tensors",
        lambda: is_fake(torch.zeros(1)) is False,
    ),
    Use(
        "torch.fx.experimental.proxy_tensor.get_proxy_mode",
        "make_fx",
        lambda: is_traced() is False,
    ),
    Use(
        "torch._C._functorch",
        "DTensor under torch.func",
        lambda: unwrapped(torch.zeros(1))[1] is False,
    ),
    Use(
        "torch._C._autograd._get_creation_meta",
        "in place on a view",
        lambda: not may_change_in_place(torch.zeros(2, requires_grad=True).clone().unbind()[0]),
    ),
    Use("torch._C._set_tracing_state", "first use under torch.jit.trace", _tracing_is_left),
    Use("torch._C._ExcludeDispatchKeyGuard", "jacobian(vectorize=True)", _draws_under_vmap),
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


@functools.cache
def check_recomputation() -> None:
    """Raise if this PyTorch does not tell what is repeated, so that slopes could silently be others.

    Raises
    ------
    RuntimeError
        Names what no longer holds.
    """
    for name, holds in (
        ("torch._C._current_graph_task_id", _repetition_is_seen()),
        ("torch._C._is_fwd_grad_enabled", _functions_are_seen()),
        ("torch._C._autograd._top_saved_tensors_default_hooks", _hooks_are_seen()),
    ):
        if not holds:
            raise missing(f"{name} as it was", "RReLU in training under a checkpoint")
