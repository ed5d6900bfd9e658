"""The subjects ``torch`` and ``torch-native``: two RReLUs over one kit of PyTorch tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from rrelu_compat.backends.torch.backend import backend
from rrelu_compat.conformance.arithmetic import Array, dtype_of
from rrelu_compat.conformance.capabilities import DTYPES, Capabilities
from rrelu_compat.conformance.kit_subject import FrameworkSubject, backend_subject
from rrelu_compat.conformance.programs import Snippets
from rrelu_compat.conformance.strided import as_strided_parts
from rrelu_compat.conformance.subjects import torch_expected

Function = Callable[[torch.Tensor], torch.Tensor]
Pullback = Callable[[torch.Tensor], torch.Tensor]

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


class TorchKit:
    """PyTorch's tensors and derivatives."""

    def from_numpy(self, array: Array, *, device: str) -> torch.Tensor:
        """Return a tensor with the strides of `array`; negative ones, which torch lacks, made anew."""
        if any(s < 0 for s in array.strides):
            array = np.array(array, order="C")
        base, shape, strides, offset = as_strided_parts(array)
        if base.dtype.name == "bfloat16":
            flat = torch.from_numpy(base.view(np.int16)).view(torch.bfloat16)
        else:
            flat = torch.from_numpy(base)
        return flat.to(device).as_strided(shape, strides, offset)

    def to_numpy(self, tensor: torch.Tensor) -> Array:
        """Return a contiguous copy of the values."""
        plain = tensor.detach().cpu().contiguous().clone()
        if plain.dtype == torch.bfloat16:
            return np.asarray(plain.view(torch.int16).numpy().view(dtype_of("bfloat16")))
        return np.asarray(plain.numpy())

    def seed(self, n: int) -> None:
        """Seed PyTorch's default generators."""
        torch.manual_seed(n)

    def strides(self, tensor: torch.Tensor) -> tuple[int, ...]:
        """Return strides in elements."""
        return tuple(tensor.stride())

    def device_of(self, tensor: torch.Tensor) -> str:
        """Return the device's type."""
        return tensor.device.type

    def _leaf(self, x: torch.Tensor) -> torch.Tensor:
        return x.detach().requires_grad_()

    def vjp(self, f: Function, x: torch.Tensor, inplace: bool) -> tuple[torch.Tensor, Pullback]:
        """Return the output of `f` and its pullback."""
        leaf = self._leaf(x)
        # A leaf can't be written to in place.
        y = f(leaf.clone() if inplace else leaf)

        def pullback(g: torch.Tensor) -> torch.Tensor:
            return torch.autograd.grad(y, leaf, g, retain_graph=True)[0]

        return y, pullback

    def recomputed_vjp(
        self, f: Function, x: torch.Tensor, variant: str
    ) -> tuple[torch.Tensor, Pullback]:
        """Return the output of `f` under gradient checkpointing, and its pullback."""
        leaf = self._leaf(x)
        y: torch.Tensor = checkpoint(f, leaf, use_reentrant=variant == "reentrant")

        def pullback(g: torch.Tensor) -> torch.Tensor:
            torch.autograd.backward([y], [g])  # the reentrant variant refuses torch.autograd.grad
            assert leaf.grad is not None
            return leaf.grad

        return y, pullback

    def double_vjp(
        self, f: Function, x: torch.Tensor, g: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, Pullback]:
        """Return the output, the gradient for `g`, and the pullback of the gradient to `g`."""
        leaf, g = self._leaf(x), self._leaf(g)
        y = f(leaf)
        (gx,) = torch.autograd.grad(y, leaf, g, create_graph=True)
        return y, gx, lambda h: torch.autograd.grad(gx, g, h, retain_graph=True)[0]

    def jvp(
        self, f: Function, x: torch.Tensor, tangent: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the output and its forward-mode derivative in a direction."""
        forward_ad: Any = torch.autograd.forward_ad
        with forward_ad.dual_level():
            y, dy = forward_ad.unpack_dual(f(forward_ad.make_dual(x, tangent)))
            assert dy is not None
            return y.clone(), dy.clone()

    def vmap(self, f: Function, x: torch.Tensor) -> torch.Tensor:
        """Return `f` mapped over the first axis, rows drawing for themselves."""
        result: torch.Tensor = torch.vmap(f, randomness="different")(x)
        return result


_KIT = TorchKit()

_COMMON = {
    "dtypes": DTYPES,
    "devices": DEVICES,
    "gradients": True,
    "double_gradients": True,
    "forward_mode": True,
    "batching": True,
    "inplace": True,
    "layers": True,
    "live_bounds": True,
    "pickling": True,
    "seeding": True,
    "global_seeding": True,
    "portable_errors": True,
    "strided": True,
    "memory_format": True,
    "device_names": True,
    "threads": True,
    "recompute": ("reentrant", "non-reentrant"),
}

Fields = Mapping[str, Any]
_TENSOR = "{name} = torch.tensor({values}, dtype=torch.{dtype}, device={device!r})"


def _snippets(call: Callable[[Fields], str], **others: Any) -> Snippets:
    """Return the templates around ``call``, which writes the call itself as an expression."""

    def forward(fields: Fields) -> str:
        return f"{fields['y']} = {call(fields)}"

    def vjp(fields: Fields) -> str:
        x = f"{fields['x']}.clone()" if fields["inplace"] else fields["x"]
        return f"{fields['x']}.requires_grad_()\n{forward({**fields, 'x': x})}"

    def recomputed_vjp(fields: Fields) -> str:
        function = f"lambda x: {call({**fields, 'x': 'x'})}"
        reentrant = fields["variant"] == "reentrant"
        return (
            "from torch.utils.checkpoint import checkpoint\n"
            f"{fields['x']}.requires_grad_()\n"
            f"{fields['y']} = checkpoint({function}, {fields['x']}, use_reentrant={reentrant})"
        )

    def double_vjp(fields: Fields) -> str:
        return (
            f"{vjp(fields)}\n{fields['g']}.requires_grad_()\n"
            "({gx},) = torch.autograd.grad({y}, {x}, {g}, create_graph=True)".format(**fields)
        )

    def jvp(fields: Fields) -> str:
        function = f"lambda x: {call({**fields, 'x': 'x'})}"
        x, v = fields["x"], fields["v"]
        return f"{fields['y']}, {fields['gx']} = torch.func.jvp({function}, ({x},), ({v},))"

    def vmap(fields: Fields) -> str:
        function = f"lambda x: {call({**fields, 'x': 'x'})}"
        return f'{fields["y"]} = torch.vmap({function}, randomness="different")({fields["x"]})'

    return Snippets(
        tensor=_TENSOR,
        strided=_TENSOR + ".as_strided({shape}, {strides}, {offset})",
        seed="torch.manual_seed({seed})",
        forward=forward,
        vjp=vjp,
        pullback="({gx},) = torch.autograd.grad({y}, {x}, {g}, retain_graph=True)",
        recomputed_vjp=recomputed_vjp,
        recomputed_pullback="{y}.backward({g})\n{gx} = {x}.grad",
        double_vjp=double_vjp,
        second_pullback="({gx},) = torch.autograd.grad({of}, {gradient}, {g}, retain_graph=True)",
        jvp=jvp,
        vmap=vmap,
        show='print("{name} =", {name})',
        **others,
    )


def _call(fields: Fields) -> str:
    return (
        f"rrelu({fields['x']}, {fields['lower']}, {fields['upper']}, "
        f"training={fields['training']}{fields['options']})"
    )


def _native_call(fields: Fields) -> str:
    bounds = f"{fields['x']}, {fields['lower']}, {fields['upper']}"
    training = f"training={fields['training']}"
    if fields["generator"] == "None":
        options = ", inplace=True" if fields["inplace"] else ""
        return f"F.rrelu({bounds}, {training}{options})"
    function = "torch.rrelu_" if fields["inplace"] else "torch.rrelu"
    return f"{function}({bounds}, {training}, generator={fields['generator']})"


subject = backend_subject(
    backend,
    _KIT,
    capabilities=Capabilities(**_COMMON, portable_slopes=True, manual_seed=True),  # type: ignore[arg-type]
    snippets=_snippets(
        _call,
        imports="import torch\nimport rrelu_compat\nfrom rrelu_compat.torch import RReLU, rrelu",
        generator="{name} = rrelu_compat.Generator({seed})",
        layer="{name} = RReLU({lower}, {upper}{options})",
    ),
)


def _native_forward(
    x: torch.Tensor,
    lower: Any,
    upper: Any,
    *,
    training: bool,
    inplace: bool,
    generator: torch.Generator | None,
) -> torch.Tensor:
    if generator is None:
        return torch.nn.functional.rrelu(x, lower, upper, training, inplace)
    # The functional has no generator; the operators below it do.
    function = torch.rrelu_ if inplace else torch.rrelu
    return function(x, lower, upper, training, generator)


def _native_layer(lower: Any, upper: Any, *, inplace: bool, generator: Any) -> torch.nn.RReLU:
    if generator is not None:
        raise TypeError("torch.nn.RReLU takes no generator")
    return torch.nn.RReLU(lower, upper, inplace)


def _native_generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


native_subject = FrameworkSubject(
    "torch-native",
    _KIT,
    forward=_native_forward,
    layer=_native_layer,
    generator=_native_generator,
    capabilities=Capabilities(
        **{  # type: ignore[arg-type]
            **_COMMON,
            # On the CPU float16 only evaluates.
            "dtypes": ("bfloat16", "float32", "float64"),
            "partial_dtypes": ("float16",),
            "devices": ("cpu",),
        }
    ),
    expected_failures=torch_expected.FAILURES,
    snippets=_snippets(
        _native_call,
        imports="import torch\nimport torch.nn.functional as F",
        generator="{name} = torch.Generator().manual_seed({seed})",
        layer="{name} = torch.nn.RReLU({lower}, {upper}{options})",
    ),
)
