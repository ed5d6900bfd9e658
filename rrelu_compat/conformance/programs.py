"""Printing what a failing check did as a program for the subject's own framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.strided import as_strided_parts

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array

Template = str | Callable[[Mapping[str, Any]], str]


@dataclass
class Step:
    """One thing done to the subject: its kind and the fields that the kind's template takes."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Snippets:
    """Templates, one for each kind of step; a string for ``str.format`` or a function of the fields.

    Without a template a step is printed through the `Subject` itself, which always runs.

    Attributes
    ----------
    imports : str
        The first lines.
    tensor : str or callable
        Makes ``{name}`` of ``{values}`` (nested lists, or a NumPy expression if large), ``{dtype}``,
        ``{device}``; ``{array}`` is the same as a NumPy expression.
    strided : str or callable
        Makes ``{name}`` of the contiguous ``{values}``, with ``{shape}``, ``{strides}``, ``{offset}``
        (in elements).
    seed, generator : str or callable
        Seed the default stream with ``{seed}``; make the generator ``{name}``.
    forward, vjp : str or callable
        Make ``{y}`` of ``{x}``, ``{lower}``, ``{upper}``, ``{training}``, ``{inplace}`` and ``{generator}``
        (a name or "None"); ``{options}`` has the last two as keywords where they say something.
    pullback : str or callable
        Makes the gradient ``{gx}`` of ``{g}``, with the ``{x}`` and ``{y}`` of its ``vjp``.
    layer : str or callable
        Makes the layer ``{name}``.
    gradient : str or callable
        Makes ``{y}`` and the gradient ``{gx}`` of ``{x}`` for ``{g}`` at once.
    recomputed_vjp, recomputed_pullback : str or callable
        As `vjp` and `pullback`, with ``{variant}``.
    double_vjp, second_pullback : str or callable
        Make ``{y}`` and the gradient ``{gx}`` for ``{g}``; make the gradient ``{gx}`` of ``{of}`` to the
        output gradient ``{gradient}``, for ``{g}``.
    jvp, vmap : str or callable
        Make ``{y}`` and its derivative ``{gx}`` in the direction ``{v}``; ``{y}`` by mapping.
    show : str or callable
        Prints ``{name}``.
    """

    imports: str = ""
    tensor: Template | None = None
    strided: Template | None = None
    seed: Template | None = None
    generator: Template | None = None
    forward: Template | None = None
    vjp: Template | None = None
    pullback: Template | None = None
    gradient: Template | None = None
    recomputed_vjp: Template | None = None
    recomputed_pullback: Template | None = None
    double_vjp: Template | None = None
    second_pullback: Template | None = None
    jvp: Template | None = None
    vmap: Template | None = None
    layer: Template | None = None
    show: Template | None = None


_CALL = "({x}, {lower}, {upper}, training={training}{options})"
_GENERIC: dict[str, Template] = {
    "tensor": "{name} = subject.from_numpy({array}, device={device!r})",
    "seed": "subject.seed({seed})",
    "generator": "{name} = subject.generator({seed})",
    "forward": "{y} = subject.forward" + _CALL,
    "vjp": "{y}, pullback_{y} = subject.vjp" + _CALL,
    "pullback": "{gx} = pullback_{y}({g})",
    "gradient": "{y}, {gx} = subject.gradient({x}, {g}, {lower}, {upper}, "
    "training={training}{options})",
    "recomputed_vjp": "{y}, pullback_{y} = subject.recomputed_vjp({x}, {lower}, {upper}, "
    "training={training}, variant={variant!r}{options})",
    "recomputed_pullback": "{gx} = pullback_{y}({g})",
    "double_vjp": "{y}, {gx}, second_{y} = subject.double_vjp({x}, {g}, {lower}, {upper}, "
    "training={training})",
    "second_pullback": "{gx} = second_{y}({g})",
    "jvp": "{y}, {gx} = subject.jvp({x}, {v}, {lower}, {upper}, training={training})",
    "vmap": "{y} = subject.vmap" + _CALL,
    "layer": "{name} = subject.layer({lower}, {upper}{options})",
    "show": 'print("{name} =", subject.to_numpy({name}))',
    "call": "{y} = {layer}({x})",
    "method": "{layer}.{method}",
    "expression": "{text}",
}
#: The same in every framework.
_COMMON_KINDS = ("call", "method", "expression")


def literal(array: Array) -> str:
    """Return the values as nested lists; NaN and infinity as ``nan`` and ``inf``."""
    return repr(array.astype(np.float64).tolist() if array.dtype.kind in "fV" else array.tolist())


def _values(array: Array) -> str:
    if array.size == 0 and array.ndim > 1:
        return f"np.zeros({array.shape})"
    if array.size <= 400:
        return literal(array)
    first = array.reshape(-1)[:1]
    if bool((array == first).all()):
        return f"np.full({array.shape}, {literal(first[0])})"
    # Only the first values of a large input are printed.
    return f"np.resize({literal(array.reshape(-1)[:8])}, {array.shape})"


def _numpy_expression(array: Array) -> str:
    name = array.dtype.name
    dtype = f'"{name}"' if name != "bfloat16" else "ml_dtypes.bfloat16"
    base, shape, strides, offset = as_strided_parts(array)
    first = array.reshape(-1)[:1]
    if (
        array.flags.c_contiguous
        and array.size > 8
        and array.tobytes() == first.tobytes() * array.size
    ):
        return f"np.full({array.shape}, {literal(first[0])}, dtype={dtype})"
    if array.flags.c_contiguous or array.size > 400:
        return f"np.array({_values(array)}, dtype={dtype})"
    item = array.dtype.itemsize
    return (
        f"np.lib.stride_tricks.as_strided(np.array({literal(base)}, dtype={dtype})[{offset}:], "
        f"{shape}, {tuple(s * item for s in strides)})"
    )


def render(steps: list[Step], subject: Any, device: str, reference: str = "") -> str:
    """Return the steps as a program; it prints what the last ones made."""
    own = getattr(subject, "snippets", None) or Snippets()
    # What the templates can't say goes through the Subject, and then all of it must.
    if any(getattr(own, s.kind, None) is None for s in steps if s.kind not in _COMMON_KINDS):
        own = Snippets()
    lines = [_line(own, step, device) for step in steps]
    shown = [f[key] for f in (s.fields for s in steps) for key in ("y", "gx") if key in f]
    show = own.show or _GENERIC["show"]
    lines += [_format(show, {"name": name}) for name in dict.fromkeys(shown[-3:])]
    body = "\n".join(lines)
    head = []
    if "np." in body:
        head.append("import numpy as np")
    if "ml_dtypes" in body:
        head.append("import ml_dtypes")
    if "nan" in body or "inf" in body:
        head.append("from math import inf, nan")
    if own.imports:
        head.append(own.imports)
    else:
        head.append("from rrelu_compat.conformance import load_subject")
        head.append(f"subject = load_subject({reference or subject.name!r})")
    return "\n".join([*head, "", body])


def _format(template: Template, fields: Mapping[str, Any]) -> str:
    return template.format(**fields) if isinstance(template, str) else template(fields)


def _line(own: Snippets, step: Step, device: str) -> str:
    fields = dict(step.fields)
    if step.kind == "tensor":
        array = fields.pop("array")
        fields |= {"device": device, "dtype": array.dtype.name, "array": _numpy_expression(array)}
        strided = not array.flags.c_contiguous and array.size <= 400
        if own.strided and strided and min(array.strides) >= 0:
            base, shape, strides, offset = as_strided_parts(array)
            fields |= {"shape": shape, "strides": strides, "offset": offset}
            return _format(own.strided, {**fields, "values": literal(base)})
        fields["values"] = _values(array)
        return _format(own.tensor or _GENERIC["tensor"], fields)
    if "generator" in fields:
        options = ", inplace=True" if fields["inplace"] else ""
        if fields["generator"] != "None":
            options += f", generator={fields['generator']}"
        fields["options"] = options
    template = getattr(own, step.kind, None) or _GENERIC[step.kind]
    return _format(template, fields)
