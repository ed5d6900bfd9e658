"""What the adapter must know of a tensor before it may touch its memory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _disable_current_modes

from rrelu_compat import kernels
from rrelu_compat.errors import DTypeError
from rrelu_compat.frameworks import check_torch_is_real
from rrelu_compat.layout import signed

if TYPE_CHECKING:
    from torch import Tensor

CPU = torch.device("cpu")

#: Kernel codes of the dtypes RReLU takes.
CODES = {getattr(torch, name): code for name, code in kernels.DTYPES.items()}

_functorch_active = torch._C._are_functorch_transforms_active
_dispatch_keys = torch._C._dispatch_keys


def _plain_keysets() -> frozenset[int]:
    # Made outside of any mode, else the first import under one would put that mode's keys here.
    with _disable_current_modes():
        keysets = []
        for inference in (False, True):
            with torch.inference_mode(inference):
                keysets.append(_dispatch_keys(torch.empty(0, device=CPU)).raw_repr())
    return frozenset(keysets)


#: Keysets of tensors whose memory is what it seems: no subclass with a dispatch of its own, no negative
#: or conjugate view, no wrapper of a transform, not sparse, nested, quantized, fake or meta. Reading
#: ``data_ptr()`` of any of these gives wrong numbers, silently.
PLAIN = _plain_keysets()


def is_plain(x: Tensor) -> bool:
    """Whether kernels may work on the memory of `x`, and nothing watches or transforms what is done."""
    return (
        _dispatch_keys(x).raw_repr() in PLAIN
        and not _functorch_active()
        and forward_ad._current_level < 0
    )


def has_kernel(device: torch.device) -> bool:
    """Whether a kernel can work on tensors of `device`; others get slopes made on the host."""
    return device.type == "cpu"


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
        raise TypeError(
            f"input is {found}: RReLU takes dense (torch.strided) tensors; pass {cure} instead"
        )


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


def slope_tensor(
    shape: tuple[int, ...],
    dtype: torch.dtype,
    key: tuple[int, int],
    lower: float,
    upper: float,
    start: int = 0,
    index_strides: tuple[int, ...] | None = None,
) -> Tensor:
    """Return slopes on the host, contiguous, in the compute dtype of tensors of `dtype`."""
    compute = torch.float64 if dtype is torch.float64 else torch.float32
    out = torch.empty(shape, dtype=compute, device=CPU)
    kernels.fill_slopes(
        CODES[compute],
        tuple(shape),
        out.data_ptr(),
        index_strides,
        *key,
        start,
        lower,
        upper,
        torch.get_num_threads(),
    )
    return out


def scaled(x: Tensor, multipliers: Tensor) -> Tensor:
    """Return ``x * multipliers``, computed in the dtype of `multipliers`, in the dtype of `x`.

    With multipliers that are 1 where ``x >= 0`` and the slope elsewhere this is RReLU, and every
    derivative of it, of any order and in either mode, is a product with the same multipliers: exact.
    (A ``where`` of two branches adds their gradients, and 0.0 + -0.0 loses the sign.)
    """
    return (x.to(multipliers.dtype) * multipliers).to(x.dtype)
