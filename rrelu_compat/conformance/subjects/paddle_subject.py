"""The subjects ``paddle`` and ``paddle-native``: two RReLUs over one kit of Paddle tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import paddle
from paddle.distributed.fleet.utils import recompute

from rrelu_compat.backends.paddle.backend import backend
from rrelu_compat.conformance.arithmetic import Array, dtype_of
from rrelu_compat.conformance.capabilities import DTYPES, Capabilities
from rrelu_compat.conformance.kit_subject import FrameworkSubject, backend_subject
from rrelu_compat.conformance.programs import Snippets
from rrelu_compat.conformance.strided import as_strided_parts
from rrelu_compat.conformance.subjects import paddle_expected

Function = Callable[[Any], Any]

DEVICES = ("cpu", "gpu") if paddle.device.is_compiled_with_cuda() else ("cpu",)


class PaddleKit:
    """Paddle's tensors and derivatives."""

    def from_numpy(self, array: Array, *, device: str) -> Any:
        """Return a tensor with the strides of `array`; negative ones, which Paddle lacks, made anew."""
        if any(s < 0 for s in array.strides):
            array = np.array(array, order="C")
        contiguous = array.flags.c_contiguous
        base, shape, strides, offset = as_strided_parts(array)
        item = base.dtype.itemsize
        if base.dtype.name == "bfloat16":
            base = base.view(np.uint16)  # what Paddle takes for bfloat16
        if contiguous or array.size == 0:
            return paddle.to_tensor(base.reshape(shape), place=device)
        flat = paddle.to_tensor(base, place=device)
        # Paddle counts the offset in bytes.
        return paddle.as_strided(flat, list(shape), list(strides), offset * item)

    def to_numpy(self, tensor: Any) -> Array:
        """Return a contiguous copy of the values."""
        values = np.array(tensor.detach().numpy(), order="C")
        return values.view(dtype_of("bfloat16")) if values.dtype == np.uint16 else values

    def seed(self, n: int) -> None:
        """Seed Paddle's default generators."""
        paddle.seed(n)

    def strides(self, tensor: Any) -> tuple[int, ...]:
        """Return strides in elements."""
        return tuple(tensor.strides)

    def device_of(self, tensor: Any) -> str:
        """Return the place."""
        return str(tensor.place)

    def _leaf(self, x: Any) -> Any:
        leaf = x.detach()
        leaf.stop_gradient = False
        return leaf

    def vjp(self, f: Function, x: Any, inplace: bool) -> tuple[Any, Function]:
        """Return the output of `f` and its pullback."""
        leaf = self._leaf(x)
        # A leaf can't be written to in place.
        y = f(paddle.assign(leaf) if inplace else leaf)

        def pullback(g: Any) -> Any:
            # Not paddle.grad: two threads in it at once crash the process.
            leaf.clear_gradient(False)
            y.backward(g, retain_graph=True)
            return paddle.assign(leaf.grad)

        return y, pullback

    def recomputed_vjp(self, f: Function, x: Any, variant: str) -> tuple[Any, Function]:
        """Return the output of `f` under recomputation, and its pullback."""
        leaf = self._leaf(x)
        y = recompute(f, leaf, use_reentrant=variant == "reentrant")

        def pullback(g: Any) -> Any:
            y.backward(g)
            return leaf.grad

        return y, pullback

    def double_vjp(self, f: Function, x: Any, g: Any) -> tuple[Any, Any, Function]:
        """Return the output, the gradient for `g`, and the pullback of the gradient to `g`."""
        leaf, g = self._leaf(x), self._leaf(g)
        y = f(leaf)
        (gx,) = paddle.grad([y], [leaf], [g], create_graph=True)
        return y, gx, lambda h: paddle.grad([gx], [g], [h], retain_graph=True)[0]


_KIT = PaddleKit()

_COMMON = {
    "devices": DEVICES,
    "gradients": True,
    "double_gradients": True,
    "layers": True,
    "live_bounds": True,
    "pickling": True,
    "global_seeding": True,
    "portable_errors": True,
    "strided": True,
    "device_names": True,
    "threads": True,
    "recompute": ("reentrant", "non-reentrant"),
}


Fields = Mapping[str, Any]


def _tensor(fields: Fields) -> str:
    return (
        f'{fields["name"]} = paddle.to_tensor({fields["values"]}, dtype="{fields["dtype"]}", '
        f"place={fields['device']!r})"
    )


def _strided(fields: Fields) -> str:
    offset = fields["offset"] * dtype_of(fields["dtype"]).itemsize
    return (
        f"{_tensor(fields)}\n{fields['name']} = paddle.as_strided({fields['name']}, "
        f"{list(fields['shape'])}, {list(fields['strides'])}, {offset})"
    )


def _snippets(function: str, **others: Any) -> Snippets:
    """Return the templates around calls of `function`."""

    def call(fields: Fields) -> str:
        return (
            f"{function}({fields['x']}, {fields['lower']}, {fields['upper']}, "
            f"training={fields['training']}{fields['options']})"
        )

    def forward(fields: Fields) -> str:
        return f"{fields['y']} = {call(fields)}"

    def vjp(fields: Fields) -> str:
        x = f"paddle.assign({fields['x']})" if fields["inplace"] else fields["x"]
        return f"{fields['x']}.stop_gradient = False\n{forward({**fields, 'x': x})}"

    def recomputed_vjp(fields: Fields) -> str:
        body = f"lambda x: {call({**fields, 'x': 'x'})}"
        reentrant = fields["variant"] == "reentrant"
        return (
            "from paddle.distributed.fleet.utils import recompute\n"
            f"{fields['x']}.stop_gradient = False\n"
            f"{fields['y']} = recompute({body}, {fields['x']}, use_reentrant={reentrant})"
        )

    def double_vjp(fields: Fields) -> str:
        return (
            f"{vjp(fields)}\n{fields['g']}.stop_gradient = False\n"
            "({gx},) = paddle.grad([{y}], [{x}], [{g}], create_graph=True)".format(**fields)
        )

    return Snippets(
        tensor=_tensor,
        strided=_strided,
        seed="paddle.seed({seed})",
        forward=forward,
        vjp=vjp,
        pullback="({gx},) = paddle.grad([{y}], [{x}], [{g}], retain_graph=True)",
        recomputed_vjp=recomputed_vjp,
        recomputed_pullback="{y}.backward({g})\n{gx} = {x}.grad",
        double_vjp=double_vjp,
        second_pullback="({gx},) = paddle.grad([{of}], [{gradient}], [{g}], retain_graph=True)",
        show='print("{name} =", {name})',
        **others,
    )


subject = backend_subject(
    backend,
    _KIT,
    capabilities=Capabilities(
        **_COMMON,  # type: ignore[arg-type]
        dtypes=DTYPES,
        inplace=True,
        seeding=True,
        portable_slopes=True,
        manual_seed=True,
    ),
    snippets=_snippets(
        "rrelu",
        imports="import paddle\nimport rrelu_compat\nfrom rrelu_compat.paddle import RReLU, rrelu",
        generator="{name} = rrelu_compat.Generator({seed})",
        layer="{name} = RReLU({lower}, {upper}{options})",
    ),
)


def _native_forward(
    x: Any, lower: Any, upper: Any, *, training: bool, inplace: bool, generator: Any
) -> Any:
    return paddle.nn.functional.rrelu(x, lower, upper, training)


def _native_layer(lower: Any, upper: Any, *, inplace: bool, generator: Any) -> Any:
    return paddle.nn.RReLU(lower, upper)


native_subject = FrameworkSubject(
    "paddle-native",
    _KIT,
    forward=_native_forward,
    layer=_native_layer,
    capabilities=Capabilities(
        **{  # type: ignore[arg-type]
            **_COMMON,
            "dtypes": ("float32", "float64"),
            # On the CPU float16 has no gradient, bfloat16 nothing.
            "partial_dtypes": ("float16", "bfloat16"),
            "devices": ("cpu",),
            "bounds": (0.0, 1.0),
        }
    ),
    expected_failures=paddle_expected.FAILURES,
    snippets=_snippets(
        "F.rrelu",
        imports="import paddle\nimport paddle.nn.functional as F",
        layer="{name} = paddle.nn.RReLU({lower}, {upper})",
    ),
)
