"""Choosing the route of a call: the fast one here, the others for tensors that are not what they seem."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch.compiler import is_compiling

from rrelu_compat.backends.torch import (
    compiled,
    cpu,
    cuda,
    device_keys,
    evaluation,
    graphs,
    openmp,
    private,
)
from rrelu_compat.backends.torch.nodes import forward, room, words
from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.backends.torch.pack import Pack
from rrelu_compat.backends.torch.private import (
    dispatch_keys,
    dispatch_modes,
    forward_ad_active,
    functorch_active,
)
from rrelu_compat.backends.torch.recompute import hooked
from rrelu_compat.backends.torch.seeds import check_generator, take, take_anywhere
from rrelu_compat.backends.torch.tensors import (
    CODES,
    PLAIN,
    check_in_place,
    check_layout,
    check_torch,
    code_of,
    is_dtensor,
    is_plain,
    key_tensor,
    scaled,
)
from rrelu_compat.kernels import F64
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

is_tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]
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
        and (dispatch_keys(x).raw_repr() in PLAIN or (x.is_cuda and is_plain(x)))
        and not dispatch_modes()
        and not functorch_active()
        and not forward_ad_active()
        and not is_tracing()
        and sys.modules.get("torch") is torch
    ):
        return _apply_special(x, spec, training, generator)
    code = CODES.get(x.dtype)
    if code is None:
        code = code_of(x)
    lower, upper = spec.slope_range(training, code != F64)
    # Whatever can be refused is refused before a call or a number is taken.
    if generator is not None:
        check_generator(generator)
    if spec.inplace:
        check_in_place(x)
    run = cuda if x.is_cuda else cpu
    if training:
        # Memory first: a call that fails for want of it has taken no number.
        kept = room(x, spec.inplace)
        what = (x.numel(), code, lower, upper)
        if run is cuda:
            seed, call, entry = device_keys.take(x.device, generator, what)
        else:
            seed, call, entry = take(generator, what)
        hooks = entry is not None and hooked()
        pack = Pack(run, code, lower, upper, seed, call, 0, None, None, entry, hooks)
    else:
        y = evaluation.native(x, lower, spec.inplace)
        if y is not None:
            return y
        kept, pack = None, Pack(run, code, lower, upper, hooks=hooked())
    if run is cuda and not cuda.usable(x.device):
        # Slopes from the host, applied with PyTorch's operations; reading a key waits for the device.
        y, _ = calls.forward(x, words(pack).cpu(), lower, upper)
        return graphs.finish(x, y, spec.inplace)
    return forward(x, pack, spec.inplace, kept)


def _apply_special(x: Any, spec: RReLUSpec, training: bool, generator: Any) -> Any:
    check_torch()
    _check_type(x)
    check_generator(generator)
    check_layout(x)
    code_of(x)
    lower, upper = spec.slope_range(training, x.dtype is not torch.float64)
    if is_dtensor(x):
        from rrelu_compat.backends.torch import dtensor

        return dtensor.apply(x, lower, upper, training, spec.inplace, generator)
    if is_tracing():
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
    if dispatch_modes() and not forward_ad_active() and private.is_traced():
        return graphs.export(x, lower, upper, training, spec.inplace, generator)
    y: Tensor
    if functorch_active() or forward_ad_active():
        if not training:
            many = evaluation.multipliers(x, lower)
        elif is_dtensor(inner := _unwrapped(x)):
            from rrelu_compat.backends.torch import dtensor

            many = dtensor.multipliers(inner, lower, upper, generator)
        else:
            many = calls.multipliers(x.detach(), _key(x, generator, lower, upper), lower, upper)
        y = scaled(x, many)
    else:
        key = _key(x, generator, lower, upper) if training else key_tensor(0, 0)
        y, _ = calls.forward(x, key, lower, upper)
    return graphs.finish(x, y, spec.inplace)


def _unwrapped(x: Tensor) -> Tensor:
    """Return the tensor in the wrappers of functorch's gradients; under vmap a DTensor is refused."""
    x, batched = private.unwrapped(x)
    if batched and is_dtensor(x):
        raise TypeError(
            "input must not be a DTensor under torch.vmap in training: call RReLU outside of vmap"
        )
    return x


def _check_type(x: object) -> None:
    if not isinstance(x, (_Tensor, torch.fx.Proxy)):
        raise TypeError(
            f"input must be a torch.Tensor, got {type(x).__module__}.{type(x).__qualname__}"
        )


def _key(x: Tensor, generator: Any, lower: float, upper: float) -> Tensor:
    if x.is_meta or private.is_fake(x):
        return key_tensor(0, 0)  # there are no numbers to multiply, so no call is taken
    what = (x.numel(), code_of(x), lower, upper)
    seed, call, _ = take_anywhere(generator, what)
    return key_tensor(seed, call)


openmp.lend()
