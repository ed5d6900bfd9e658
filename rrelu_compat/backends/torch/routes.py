"""Choosing the route of a call: the fast one here, the others for tensors that are not what they seem."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import is_fake
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from rrelu_compat.backends.torch import compiled, cuda, eager, evaluation, graphs, openmp
from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.backends.torch.seeds import check_generator, take, take_anywhere
from rrelu_compat.backends.torch.tensors import (
    CODES,
    PLAIN,
    check_layout,
    check_torch,
    code_of,
    is_dtensor,
    key_tensor,
    scaled,
)
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from torch import Tensor

_dispatch_keys = torch._C._dispatch_keys
_functorch_active = torch._C._are_functorch_transforms_active
_functorch = torch._C._functorch
_modes = torch._C._len_torch_dispatch_stack
_tracing = torch._C._get_tracing_state
_top_hooks = torch._C._autograd._top_saved_tensors_default_hooks
_Tensor, _Parameter = torch.Tensor, torch.nn.Parameter


def apply(x: Any, spec: RReLUSpec, training: bool, generator: Any = None) -> Any:
    """Apply `spec` to a tensor.

    Parameters
    ----------
    x : Tensor
    training : bool
        Random slopes or the mean slope.
    generator : rrelu_compat.Generator, torch.Generator or None
    """
    if is_compiling():
        return compiled.apply(x, spec, training, generator)
    cls = type(x)
    if not (
        (cls is _Tensor or cls is _Parameter)
        and _dispatch_keys(x).raw_repr() in PLAIN
        and not _modes()
        and not _functorch_active()
        and forward_ad._current_level < 0
        and _tracing() is None
        and sys.modules.get("torch") is torch
    ):
        return _apply_special(x, spec, training, generator)
    code = CODES.get(x.dtype)
    if code is None:
        code = code_of(x)
    lower, upper = spec.slope_range(training, code != 3)
    # Whatever can be refused is refused before a call or a number is taken.
    if generator is not None:
        check_generator(generator)
    if spec.inplace:
        eager.check_in_place(x)
    if not training:
        return evaluation.plain(x, code, lower, spec.inplace)
    seed, call, entry = take(generator)
    hooks = entry is not None and _top_hooks(False) is not None
    return eager.forward(x, (code, lower, upper, seed, call, 0, None, entry, hooks), spec.inplace)


def _apply_special(x: Any, spec: RReLUSpec, training: bool, generator: Any) -> Any:
    if cuda.takes(x):
        return cuda.apply(x, spec, training, generator)
    check_torch()
    _check_type(x)
    check_generator(generator)
    check_layout(x)
    code_of(x)
    lower, upper = spec.slope_range(training, x.dtype is not torch.float64)
    if is_dtensor(x):
        from rrelu_compat.backends.torch import dtensor

        return dtensor.apply(x, lower, upper, training, spec.inplace, generator)
    if _tracing() is not None:
        if not training:
            return F.leaky_relu(x, lower, spec.inplace)
        graphs.check_exportable(generator)
        if torch.onnx.is_in_onnx_export():
            # PyTorch's own operator has a form in ONNX: slopes of the runtime, in the same bounds.
            native = torch.rrelu_ if spec.inplace else torch.rrelu
            return native(x, lower, upper, True)
        return graphs.finish(x, calls.train(x, lower, upper), spec.inplace)
    if x.is_neg() or x._is_zerotensor():
        resolved = x.resolve_neg() if x.is_neg() else x.clone()
        outside = RReLUSpec(spec.lower, spec.upper)
        return graphs.finish(x, apply(resolved, outside, training, generator), spec.inplace)
    # linearize traces a jvp with make_fx: its map must keep the slopes it was made with.
    if _modes() and forward_ad._current_level < 0 and _is_traced():
        return graphs.export(x, lower, upper, training, spec.inplace, generator)
    y: Tensor
    if _functorch_active() or forward_ad._current_level >= 0:
        if not training:
            many = evaluation.multipliers(x, lower)
        elif is_dtensor(inner := _unwrapped(x)):
            from rrelu_compat.backends.torch import dtensor

            many = dtensor.multipliers(inner, lower, upper, generator)
        else:
            many = calls.multipliers(x.detach(), _key(x, generator), lower, upper)
        y = scaled(x, many)
    else:
        key = _key(x, generator) if training else key_tensor(0, 0)
        y, _ = calls.forward(x, key, lower, upper)
    return graphs.finish(x, y, spec.inplace)


def _is_traced() -> bool:
    from torch.fx.experimental.proxy_tensor import (
        get_proxy_mode,
    )  # as slow to import as half of torch

    return get_proxy_mode() is not None


def _unwrapped(x: Tensor) -> Tensor:
    """Return the tensor in the wrappers of functorch's gradients; under vmap a DTensor is refused."""
    batched = False
    while _functorch.is_functorch_wrapped_tensor(x):
        batched = batched or _functorch.is_batchedtensor(x)
        x = _functorch.get_unwrapped(x)
    if batched and is_dtensor(x):
        raise TypeError(
            "input is a DTensor under torch.vmap: RReLU in training takes it outside of vmap only"
        )
    return x


def _check_type(x: object) -> None:
    if not isinstance(x, (_Tensor, torch.fx.Proxy)):
        raise TypeError(
            f"input has type {type(x).__module__}.{type(x).__qualname__}: a torch.Tensor is allowed"
        )


def _key(x: Tensor, generator: Any) -> Tensor:
    if x.is_meta or is_fake(x):
        return key_tensor(0, 0)  # there are no numbers to multiply, so no call is taken
    seed, call, _ = take_anywhere(generator)
    return key_tensor(seed, call)


openmp.lend()
