"""Plain CUDA tensors: kernels on their memory and stream, keys on the device, one node in the graph.

A training call whose slopes follow PyTorch's own generator keeps its key on the device: drawn there,
read there by the kernels, never seen by the host. So nothing waits, and a captured CUDA graph draws afresh
at every replay. Without the kernels the slopes are made on the host, with the same keys and bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.autograd import forward_ad

from rrelu_compat.backends.torch.device_keys import DeviceKey, refuse_capture, take
from rrelu_compat.backends.torch.eager import check_in_place
from rrelu_compat.backends.torch.recompute import check_repeated
from rrelu_compat.backends.torch.seeds import check_generator
from rrelu_compat.backends.torch.tensors import (
    CODES,
    check_torch,
    code_of,
    key_numbers,
    key_tensor,
    scaled,
)
from rrelu_compat.kernels import F64
from rrelu_compat.kernels import cuda as kernels
from rrelu_compat.layout import c_strides

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from rrelu_compat.backends.torch.recompute import Entry
    from rrelu_compat.spec import RReLUSpec

_increment_version: Any = torch.autograd.graph.increment_version
_dispatch_keys = torch._C._dispatch_keys
_top_hooks = torch._C._autograd._top_saved_tensors_default_hooks
_keysets: set[int] = set()


class Pack(NamedTuple):
    """What forward and backward of one call share."""

    code: int
    lower: float
    upper: float
    #: Seed and call, or a key on the device and nothing.
    seed: int | DeviceKey
    call: int = 0
    start: int = 0
    index_strides: tuple[int, ...] | None = None
    #: The order of axes in which the bits lie; None: C order.
    order: tuple[int, ...] | None = None
    entry: Entry | None = None
    hooks: bool = False


def _plain_keysets(device: torch.device) -> set[int]:
    """Return the keysets of tensors of a device whose memory is what it seems (see `tensors.PLAIN`)."""
    if not _keysets:
        for inference in (False, True):
            with torch.inference_mode(inference):
                _keysets.add(_dispatch_keys(torch.empty(0, device=device)).raw_repr())
    return _keysets


def is_plain(x: Tensor) -> bool:
    """Whether kernels may work on the memory of `x`, and nothing watches or transforms what is done."""
    return (
        type(x) in (torch.Tensor, torch.nn.Parameter)
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
        and torch._C._get_tracing_state() is None
        and _dispatch_keys(x).raw_repr() in _plain_keysets(x.device)
    )


def takes(x: object) -> bool:
    """Whether `apply` takes a tensor."""
    return isinstance(x, torch.Tensor) and x.is_cuda and is_plain(x)


def usable(device: torch.device) -> bool:
    """Whether there are kernels for tensors of `device`."""
    return device.type == "cuda" and kernels.missing(_number(device)) is None


def _number(device: torch.device) -> int:
    return torch.cuda.current_device() if device.index is None else device.index


def _stream(device: int) -> int:
    handle: int = torch._C._cuda_getCurrentRawStream(device)
    return handle


def _order(y: Tensor) -> tuple[int, ...] | None:
    """Return the order of axes to work in, so that neighbouring threads write neighbours."""
    if y.is_contiguous():
        return None
    return tuple(kernels.in_memory_order(tuple(y.shape), y.stride()))


def _draw(pack: Pack, device: int) -> tuple[Any, ...]:
    """Return the kernels' arguments from `seed` on."""
    if isinstance(pack.seed, DeviceKey):
        seed, call, key = 0, 0, pack.seed.words.data_ptr()
    else:
        seed, call, key = pack.seed, pack.call, 0
    return seed, call, pack.start, pack.lower, pack.upper, _stream(device), device, key


def _run(
    linear: Callable[..., None],
    strided: Callable[..., None],
    source: Tensor,
    target: Tensor,
    bits: int,
    pack: Pack,
) -> None:
    draw = _draw(pack, source.get_device())
    shape, index = tuple(source.shape), pack.index_strides
    if pack.order is None and index is None and source.is_contiguous() and target.is_contiguous():
        linear(pack.code, source.numel(), source.data_ptr(), target.data_ptr(), bits, *draw)
        return
    x_strides, y_strides = source.stride(), target.stride()
    if pack.order is not None:
        index = c_strides(shape) if index is None else index
        shape, x_strides, y_strides, index = (
            tuple(sizes[axis] for axis in pack.order)
            for sizes in (shape, x_strides, y_strides, index)
        )
    strided(
        pack.code, shape, source.data_ptr(), x_strides, target.data_ptr(), y_strides, bits, index, *draw
    )  # fmt: skip


def write_forward(x: Tensor, y: Tensor, bits: int, pack: Pack) -> None:
    """Run the forward kernel from `x` to `y` (which may be `x`), and to the bits at an address or 0."""
    _run(kernels.forward, kernels.forward_strided, x, y, bits, pack)


def write_backward(g: Tensor, out: Tensor, bits: int, pack: Pack) -> None:
    """Run the backward kernel from `g` to `out`."""
    _run(kernels.backward, kernels.backward_strided, g, out, bits, pack)


def bits_like(x: Tensor) -> Tensor:
    """Return memory for one bit per element of `x`, on its device."""
    return torch.empty((x.numel() + 7) >> 3, dtype=torch.uint8, device=x.device)


def _bits_multipliers(bits: Tensor, shape: tuple[int, ...], pack: Pack) -> Tensor:
    """Return 1 where the bit is set and the slope elsewhere, in the compute dtype."""
    compute = torch.float64 if pack.code == F64 else torch.float32
    out = torch.ones(shape, dtype=compute, device=bits.device)
    write_backward(out, out, bits.data_ptr(), pack._replace(code=CODES[compute]))
    return out


def _gradient(g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
    if g.layout is not torch.strided:
        g = g.to_dense()
    if not is_plain(g):
        # Batched gradients, forward AD over reverse: the framework's own product knows how.
        with torch.no_grad():
            multipliers = _bits_multipliers(bits, tuple(g.shape), pack)
        return scaled(g, multipliers)
    if torch.is_grad_enabled() and g.requires_grad:
        result: Tensor = _scale(g, bits, pack)
        return result
    out = torch.empty_like(g)
    write_backward(g, out, bits.data_ptr(), pack)
    return out


def _words(pack: Pack) -> Tensor:
    if isinstance(pack.seed, DeviceKey):
        return pack.seed.words
    return key_tensor(pack.seed, pack.call)


def _save(ctx: Any, bits: Tensor, pack: Pack) -> None:
    ctx.pack, ctx.device = pack, bits.device
    # A checkpoint replaces saved tensors, attributes it does not: see `eager._save`.
    ctx.save_for_backward(*((bits, _words(pack)) if pack.hooks else (bits,)))


def _saved_bits(ctx: Any) -> Tensor:
    saved = ctx.saved_tensors
    bits: Tensor = saved[0]
    if bits.dtype is not torch.uint8 or not bits.is_contiguous() or bits.device != ctx.device:
        raise RuntimeError(
            f"a saved-tensor hook returned {tuple(bits.shape)} {bits.dtype} on {bits.device} for the sign "
            f"bits that RReLU had saved as contiguous uint8 on {ctx.device}: hooks must return what they "
            "were given"
        )
    if ctx.pack.hooks:
        words = _words(ctx.pack)
        # One memory is one key; only copies, as save_on_cpu makes them, have to be read.
        if saved[1].data_ptr() != words.data_ptr():
            check_repeated(key_numbers(words), key_numbers(saved[1]))
    return bits


class _RReLU(torch.autograd.Function):
    """Out of place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack) -> Tensor:
        bits = bits_like(x)
        y = torch.empty_like(x)
        pack = pack._replace(order=_order(y))
        write_forward(x, y, bits.data_ptr(), pack)
        _save(ctx, bits, pack)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None


class _RReLUInPlace(torch.autograd.Function):
    """In place."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pack: Pack) -> Tensor:
        bits = bits_like(x)
        pack = pack._replace(order=_order(x))
        write_forward(x, x, bits.data_ptr(), pack)
        ctx.mark_dirty(x)
        _save(ctx, bits, pack)
        return x

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None


class _Scale(torch.autograd.Function):
    """The backward as a function of its gradient; linear, so its own backward is itself."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, bits: Tensor, pack: Pack) -> Tensor:
        out = torch.empty_like(g)
        write_backward(g, out, bits.data_ptr(), pack)
        _save(ctx, bits, pack._replace(hooks=False))
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        return _gradient(g, _saved_bits(ctx), ctx.pack), None, None


_out_of_place: Any = super(torch.autograd.Function, _RReLU).apply
_in_place: Any = super(torch.autograd.Function, _RReLUInPlace).apply
_scale: Any = super(torch.autograd.Function, _Scale).apply


def _forward(x: Tensor, pack: Pack, inplace: bool) -> Tensor:
    recorded = x.requires_grad and torch.is_grad_enabled()
    y: Tensor
    if inplace:
        check_in_place(x)
        if recorded:
            y = _in_place(x, pack)
            return y
        write_forward(x, x, 0, pack._replace(order=_order(x)))
        if not x.is_inference():
            _increment_version(x)
        return x
    if recorded:
        y = _out_of_place(x, pack)
        return y
    y = torch.empty_like(x)
    write_forward(x, y, 0, pack._replace(order=_order(y)))
    return y


def _without_kernels(x: Tensor, pack: Pack, inplace: bool) -> Tensor:
    """Slopes from the host, applied with PyTorch's operations; reading a key waits for the device."""
    from rrelu_compat.backends.torch.graphs import finish
    from rrelu_compat.backends.torch.ops import calls

    if inplace:
        check_in_place(x)
    key = _words(pack).cpu()
    y, _ = calls.forward(x, key, pack.lower, pack.upper)
    return finish(x, y, inplace)


def apply(x: Tensor, spec: RReLUSpec, training: bool, generator: Any) -> Tensor:
    """Apply `spec` to a tensor that `takes` said yes to."""
    check_torch()
    check_generator(generator)
    code = code_of(x)
    lower, upper = spec.slope_range(training, code != F64)
    if not training:
        if lower >= 0.0 and x.numel() and not (x.requires_grad and torch.is_grad_enabled()):
            if spec.inplace:
                check_in_place(x)
                return torch._C._nn.leaky_relu_(x, lower)
            return torch._C._nn.leaky_relu(x, lower)
        pack = Pack(code, lower, upper, 0)
    else:
        seed, call, entry = take(x.device, generator)
        hooks = entry is not None and _top_hooks(False) is not None
        pack = Pack(code, lower, upper, seed, call, entry=entry, hooks=hooks)
    if not usable(x.device):
        return _without_kernels(x, pack, spec.inplace)
    return _forward(x, pack, spec.inplace)


# ---- behind the library operators: keys come as tensors, bits lie in C order ----


def _operator_pack(
    code: int, key: Tensor, lower: float, upper: float, start: int, strides: tuple[int, ...] | None
) -> Pack:
    if key.device.type == "cpu":
        if lower != upper:
            refuse_capture("a key on the host, as compiled graphs draw it")
        return Pack(code, lower, upper, *key_numbers(key), start, strides)
    return Pack(code, lower, upper, DeviceKey(key.contiguous()), 0, start, strides)


def operator_forward(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int, strides: tuple[int, ...] | None
) -> tuple[Tensor, Tensor]:
    """The operator ``forward`` on a device with kernels."""
    y, bits = torch.empty_like(x), bits_like(x)
    pack = _operator_pack(code_of(x), key, lower, upper, start, strides)
    write_forward(x, y, bits.data_ptr(), pack)
    return y, bits


def operator_backward(
    g: Tensor,
    bits: Tensor,
    key: Tensor,
    lower: float,
    upper: float,
    start: int,
    strides: tuple[int, ...] | None,
) -> Tensor:
    """The operator ``backward`` on a device with kernels."""
    out = torch.empty_like(g)
    pack = _operator_pack(code_of(g), key, lower, upper, start, strides)
    write_backward(g, out, bits.data_ptr(), pack)
    return out


def operator_slopes(
    x: Tensor, key: Tensor, lower: float, upper: float, start: int, strides: tuple[int, ...] | None
) -> Tensor:
    """Slopes for the operator ``multipliers`` on a device with kernels."""
    compute = torch.float64 if x.dtype is torch.float64 else torch.float32
    out = torch.empty(x.shape, dtype=compute, device=x.device)
    pack = _operator_pack(CODES[compute], key, lower, upper, start, strides)
    kernels.fill_slopes(
        pack.code, tuple(x.shape), out.data_ptr(), strides, *_draw(pack, x.get_device())
    )
    return out


__all__ = ["apply", "operator_backward", "operator_forward", "operator_slopes", "takes", "usable"]
