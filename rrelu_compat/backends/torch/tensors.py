"""What the adapter must know of a tensor before it may touch its memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch

from rrelu_compat import kernels
from rrelu_compat.backends.torch import private
from rrelu_compat.errors import DTypeError
from rrelu_compat.frameworks import check_torch_is_real
from rrelu_compat.layout import overlaps_itself, signed

if TYPE_CHECKING:
    from torch import Tensor

CPU = torch.device("cpu")

#: Kernel codes of the dtypes RReLU takes.
CODES = {getattr(torch, name): code for name, code in kernels.DTYPES.items()}


def _plain_keysets(device: torch.device) -> frozenset[int]:
    # Made outside of any mode, else the first call under one would put that mode's keys here.
    with private.outside():
        keysets = []
        for inference in (False, True):
            with torch.inference_mode(inference):
                keysets.append(private.dispatch_keys(torch.empty(0, device=device)).raw_repr())
    return frozenset(keysets)


#: Keysets of tensors whose memory is what it seems: no subclass with a dispatch of its own, no negative
#: or conjugate view, no wrapper of a transform, not sparse, nested, quantized, fake or meta. Reading
#: ``data_ptr()`` of any of these gives wrong numbers, silently.
PLAIN = _plain_keysets(CPU)
_plain_on_cuda: frozenset[int] = frozenset()


def _plain_of(device: torch.device) -> frozenset[int]:
    global _plain_on_cuda
    if device.type == "cpu":
        return PLAIN
    if device.type == "cuda" and not _plain_on_cuda:
        _plain_on_cuda = _plain_keysets(device)
    return _plain_on_cuda if device.type == "cuda" else frozenset()


def is_plain(x: Tensor) -> bool:
    """Whether kernels may work on the memory of `x`, and nothing watches or transforms what is done."""
    return (
        not private.functorch_active()
        and not private.forward_ad_active()
        and private.dispatch_keys(x).raw_repr() in _plain_of(x.device)
    )


def compute_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which tensors of `dtype` are computed."""
    return torch.float64 if dtype is torch.float64 else torch.float32


def check_torch() -> None:
    """Raise clearly where Paddle's proxy has taken the place of the torch this module was built on."""
    if sys.modules.get("torch") is not torch:
        check_torch_is_real()


def code_of(x: Tensor) -> int:
    """Return the kernel code of the dtype of `x`.

    Raises
    ------
    DTypeError
        If RReLU does not take it.
    """
    code = CODES.get(x.dtype)
    if code is None:
        raise DTypeError(x.dtype)
    return code


def check_layout(x: Tensor) -> None:
    """Raise ``TypeError`` for layouts whose elements have no dense memory."""
    found = cure = ""
    if x.is_quantized:
        found, cure = f"quantized (dtype {x.dtype})", "x.dequantize()"
    elif x.is_nested:
        found, cure = "a nested tensor", "x.to_padded_tensor(0.0), or each of x.unbind()"
    elif x.layout is not torch.strided:
        found, cure = f"a tensor of layout {x.layout}", "x.to_dense()"
    if found:
        raise TypeError(f"input must be dense (torch.strided), got {found}: pass {cure}")


def is_dtensor(x: object) -> bool:
    """Whether `x` is a DTensor; its module is not imported to see that."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and isinstance(x, module.DTensor)


def key_tensor(seed: int, call: int) -> Tensor:
    """Return ``(seed, call)`` as an int64 tensor."""
    return torch.tensor([signed(seed), signed(call)], dtype=torch.int64, device=CPU)


def key_numbers(key: Tensor) -> tuple[int, int]:
    """Return the ``(seed, call)`` of `key_tensor`."""
    seed, call = key.tolist()
    return seed % 2**64, call % 2**64


def scaled(x: Tensor, multipliers: Tensor) -> Tensor:
    """Return ``x * multipliers``, computed in the dtype of `multipliers`, in the dtype of `x`.

    With multipliers that are 1 where ``x >= 0`` and the slope elsewhere this is RReLU, and every
    derivative of it, of any order and in either mode, is a product with the same multipliers: exact.
    (A ``where`` of two branches adds their gradients, and 0.0 + -0.0 loses the sign.)
    """
    return (x.to(multipliers.dtype) * multipliers).to(x.dtype)


def check_in_place(x: Tensor) -> None:
    """Raise where PyTorch's own in-place operations raise, before a byte of `x` is changed."""
    if not x.is_contiguous() and overlaps_itself(x.shape, x.stride()):
        raise RuntimeError(
            f"inplace=True: several elements of the input (shape {tuple(x.shape)}, strides {x.stride()}) "
            "refer to one memory location, as in an expanded tensor; pass x.clone() or inplace=False"
        )
    if x.is_inference():
        if not torch.is_inference_mode_enabled():
            raise RuntimeError(
                "inplace=True: the input is an inference tensor, which can only be changed in "
                "inference mode; pass x.clone() or inplace=False"
            )
        return
    if not (x.requires_grad and torch.is_grad_enabled()):
        return
    base = x._base
    if x.is_leaf or (base is not None and base.is_leaf and base.requires_grad):
        what = "a view of a leaf" if not x.is_leaf else "a leaf"
        raise RuntimeError(
            f"inplace=True: {what} Variable that requires grad is being used in an in-place operation; "
            "pass inplace=False"
        )
    if base is not None and not private.may_change_in_place(x):
        # One output of unbind or split, a view made under no_grad: PyTorch raises its own message here.
        x.mul_(1)
