"""What Paddle computes in single precision inside float64 operators, done so in PyTorch for a while."""

from __future__ import annotations

import inspect
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

# The arguments that Paddle rounds to float32, by PyTorch's function.
_ROUNDED = {
    "layer_norm": ("eps",),
    "batch_norm": ("eps", "momentum"),
    "instance_norm": ("eps", "momentum"),
    "elu": ("alpha",),
    "elu_": ("alpha",),
    "celu": ("alpha",),
    "celu_": ("alpha",),
    "softshrink": ("lambd",),
    "hardtanh": ("min_val", "max_val"),
    "hardtanh_": ("min_val", "max_val"),
    "threshold": ("threshold", "value"),
    "threshold_": ("threshold", "value"),
    "cross_entropy": ("label_smoothing",),
}
# Of builtins, which have no signature: their names in order.
_BUILTIN = {
    "softshrink": ("input", "lambd"),
    "elu_": ("input", "alpha"),
    "celu_": ("input", "alpha"),
    "hardtanh_": ("input", "min_val", "max_val"),
    "threshold_": ("input", "threshold", "value"),
}

HARDSIGMOID = "Hardsigmoid has the slope 0.1666667 in Paddle, 1/6 in PyTorch: up to 1e-7 apart"
SELU = "Paddle keeps the two constants of SELU as float32: up to 3e-7 apart"
INTERPOLATION = "Paddle computes the weights of an interpolation in float32: up to 1e-5 apart"
AVERAGE = "Paddle's average pools divide gradients in float32: up to 6e-8 apart"
CONSTANTS = "Paddle keeps {name} of {function} as float32"


def changes(seen: dict[str, None]) -> list[tuple[Any, str, Any]]:
    """Return what `patches.patched` takes; what was made the same is noted in `seen`."""
    whole: list[tuple[str, Callable[..., Any]]] = [
        ("hardsigmoid", _hardsigmoid),
        ("selu", _selu),
        ("interpolate", _interpolate),
        *((f"avg_pool{axes}d", _average) for axes in (1, 2, 3)),
        *((f"adaptive_avg_pool{axes}d", _adaptive(axes)) for axes in (1, 2, 3)),
    ]
    found: list[tuple[Any, str, Any]] = [
        (F, name, _instead(getattr(F, name), new, seen)) for name, new in whole
    ]
    for name, arguments in _ROUNDED.items():
        found.append((F, name, _rounding(name, getattr(F, name), arguments, seen)))
    return found


def single(value: float) -> float:
    """Return the float32 nearest to a number."""
    return float(np.float32(value))


def _is_double(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dtype == torch.float64


def _instead(original: Any, new: Callable[..., Any], seen: dict[str, None]) -> Any:
    def call(*arguments: Any, **keywords: Any) -> Any:
        x = arguments[0] if arguments else keywords.get("input")
        if not _is_double(x):
            return original(*arguments, **keywords)
        return new(original, seen, *arguments, **keywords)

    return call


def _rounding(name: str, original: Any, rounded: tuple[str, ...], seen: dict[str, None]) -> Any:
    order = _BUILTIN.get(name) or tuple(inspect.signature(original).parameters)
    defaults = {
        key: parameter.default
        for key, parameter in (
            {} if name in _BUILTIN else inspect.signature(original).parameters
        ).items()
    }

    def call(*arguments: Any, **keywords: Any) -> Any:
        if not (arguments and _is_double(arguments[0])):
            return original(*arguments, **keywords)
        named = dict(zip(order, arguments, strict=False)) | keywords
        for argument in rounded:
            value = named.get(argument, defaults.get(argument))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                # Paddle's momentum is one minus PyTorch's, and that is what it rounds.
                new = 1 - single(1 - value) if argument == "momentum" else single(value)
                if new != value:
                    words = "epsilon" if argument == "eps" else argument
                    seen[CONSTANTS.format(name=words, function=name)] = None
                named[argument] = new
        given = len(arguments)
        return original(
            *(named[key] for key in order[:given]),
            **{key: value for key, value in named.items() if key not in order[:given]},
        )

    return call


def _hardsigmoid(original: Any, seen: dict[str, None], input: Any, inplace: bool = False) -> Any:
    seen[HARDSIGMOID] = None
    result = (input * single(0.1666667) + 0.5).clamp(0, 1)
    return input.copy_(result) if inplace else result


def _selu(original: Any, seen: dict[str, None], input: Any, inplace: bool = False) -> Any:
    seen[SELU] = None
    alpha, scale = single(1.6732632423543772), single(1.0507009873554805)
    x = input.detach()
    result = torch.where(x > 0, x, alpha * torch.expm1(x.clamp(max=0))) * scale
    slope = torch.where(x > 0, scale, result + single(alpha * scale))  # as Paddle's backward has it
    result = input * slope + (result - x * slope)
    return input.copy_(result) if inplace else result


def _scaled_gradient(y: Any, factor: NDArray[Any] | float) -> Any:
    """Return `y`, whose gradient is multiplied by `factor` on the way back."""
    scaled = y * (factor if isinstance(factor, float) else torch.as_tensor(factor).to(y))
    return scaled + (y - scaled).detach()


def _factor(count: NDArray[Any]) -> NDArray[Any]:
    single_inverse = (np.float32(1) / count.astype(np.float32)).astype(np.float64)
    return single_inverse * count  # type: ignore[no-any-return]


_POOL = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")


def _average(original: Any, seen: dict[str, None], input: Any, *rest: Any, **more: Any) -> Any:
    y = original(input, *rest, **more)
    keywords = dict(zip(_POOL, rest, strict=False)) | more
    keywords.pop("input", None)
    if not y.requires_grad or keywords.pop("divisor_override", None) or keywords.get("ceil_mode"):
        return y  # windows that hang over are left as they are
    axes = int(original.__name__[-2])
    kernel = keywords["kernel_size"]
    sizes = kernel if isinstance(kernel, (tuple, list)) else (kernel,)
    elements = math.prod(tuple(sizes) * (axes if len(sizes) == 1 else 1))
    with torch.no_grad():
        ones = torch.ones_like(input[(0,) * (input.dim() - axes)])[(None,) * 2]
        inside = original(ones, **{**keywords, "count_include_pad": True}) * elements
        count = (inside / original(ones, **keywords)).round().cpu().numpy()[0]
    seen[AVERAGE] = None
    return _scaled_gradient(y, _factor(count))


def _adaptive(axes: int) -> Callable[..., Any]:
    def pool(original: Any, seen: dict[str, None], input: Any, output_size: Any) -> Any:
        y = original(input, output_size)
        if not y.requires_grad:
            return y
        seen[AVERAGE] = None
        count = np.ones(())
        for size, given in zip(tuple(y.shape)[-axes:], tuple(input.shape)[-axes:], strict=True):
            edges = np.arange(size)
            lengths = -(-(edges + 1) * given // size) - edges * given // size
            count = count[..., None] * lengths
        return _scaled_gradient(y, _factor(count))

    return pool


def _interpolate(
    original: Any,
    seen: dict[str, None],
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: Any = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> Any:
    axes = input.dim() - 2
    if mode not in ("linear", "bilinear", "trilinear", "bicubic") or antialias:
        return original(
            input, size, scale_factor, mode, align_corners, recompute_scale_factor, antialias
        )
    sizes = tuple(input.shape[2:])
    if size is not None:
        out = (size,) * axes if isinstance(size, int) else tuple(size)
        scales: tuple[float, ...] = (0.0,) * axes
    else:
        scales = (
            tuple(scale_factor)
            if isinstance(scale_factor, (tuple, list))
            else (float(scale_factor),) * axes
        )
        out = tuple(int(n * s) for n, s in zip(sizes, scales, strict=True))
        if recompute_scale_factor:
            scales = (0.0,) * axes
    if out == sizes:
        return original(input, out, None, mode, align_corners)
    seen[INTERPOLATION] = None
    make = _cubic_weights if mode == "bicubic" else _linear_weights
    there, back = input.detach(), input
    for axis, (given, wanted, scale) in enumerate(zip(sizes, out, scales, strict=True)):
        # As Paddle's kernels are compiled: one rounding for two operations, except along the last axis.
        how = (
            "exact"
            if axes == 1 or (mode == "bicubic" and not align_corners)
            else "fused"
            if axis < axes - 1
            else "steps"
        )
        ratio = _ratio(given, wanted, scale, bool(align_corners))
        there, back = (
            torch.tensordot(
                y,
                torch.as_tensor(
                    make(given, _places(ratio, wanted, bool(align_corners), rounding))
                ).to(y),
                ([axis + 2], [1]),
            ).movedim(-1, axis + 2)
            for y, rounding in ((there, how), (back, "steps"))
        )
    return (back + (there - back).detach()).contiguous()


def _ratio(given: int, wanted: int, scale: float, align_corners: bool) -> float:
    """Return inputs per output, rounded to float32."""
    if wanted <= 1:
        return 0.0
    if align_corners:
        above, below = given - 1.0, wanted - 1.0
    else:
        above, below = (1.0, scale) if scale > 0 else (float(given), float(wanted))
    return single(above / single(below))


def _places(
    ratio: float, wanted: int, align_corners: bool, rounding: str
) -> list[np.float32 | np.float64]:
    """Return where in the input each output lies; `rounding` is exact, fused or steps."""
    found: list[np.float32 | np.float64] = []
    for k in range(wanted):
        wide = np.float64(ratio) * (k if align_corners else k + 0.5)
        exact = wide if align_corners else wide - 0.5
        if rounding == "exact":
            found.append(exact)
        elif rounding == "fused" or align_corners:
            found.append(np.float32(exact))
        else:
            found.append(np.float32(wide) - np.float32(0.5))
    return found


def _linear_weights(given: int, places: list[np.float32 | np.float64]) -> NDArray[np.float64]:
    weights = np.zeros((len(places), given))
    for k, place in enumerate(places):
        number = type(place)
        inside = max(place, number(0))
        first = min(int(inside), given - 1)
        far = inside - number(first)
        weights[k, first] += float(number(1) - far)
        weights[k, min(first + 1, given - 1)] += float(far)
    return weights


def _cubic_weights(given: int, places: list[np.float32 | np.float64]) -> NDArray[np.float64]:
    weights = np.zeros((len(places), given))
    for k, place in enumerate(map(float, places)):
        first = math.floor(place)
        t = place - first
        for offset, distance in ((-1, t + 1), (0, t), (1, 1 - t), (2, 2 - t)):
            weights[k, min(max(first + offset, 0), given - 1)] += _cubic(distance)
    return weights


def _cubic(s: float, a: float = -0.75) -> float:
    if s <= 1:
        return ((a + 2) * s - (a + 3)) * s * s + 1
    return ((a * s - 5 * a) * s + 8 * a) * s - 4 * a
