# ruff: noqa: E501
# A line of the table is one line, however long.
"""Right adapters that differ in every way that the specification leaves free; a table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rrelu_adapters.pairs import OWN_STREAM, OwnStream
from rrelu_adapters.reference import Reference
from rrelu_compat.conformance.arithmetic import tiny


def right(name: str, base: type[Reference] = OwnStream, **changes: Any) -> type[Reference]:
    """Return the adapter of one line; what is claimed stands in ``claims``."""
    words = "".join(word.capitalize() for word in name.replace("-", " ").split())
    identity = "".join(c for c in words if c.isalnum())
    claims = {"portable_slopes": False, "manual_seed": False, **changes.pop("claims", {})}
    changes["capabilities"] = dataclasses.replace(OWN_STREAM, **claims)
    changes["name"] = name
    kind = type(identity, (base,), {"__module__": __name__, "__doc__": name, **changes})
    assert identity not in globals(), identity
    globals()[identity] = kind  # so that its layers can be pickled
    return kind


def numbers(bits: Any, change: Any = lambda v: v) -> Any:
    """Return `uniform` by one of NumPy's bit generators, seeded by the call's key."""

    def uniform(self: Any, shape: Any, compute: Any, key: Any) -> Any:
        words = [part % 2**32 for part in (key[0], key[0] >> 32, key[1], key[1] >> 32)]
        return change(np.random.Generator(bits(np.random.SeedSequence(words))).random(shape))

    return uniform


def whole(count: int, divisor: float, offset: float = 0.0) -> Any:
    """Return numbers of `count` bits: (k + offset) / divisor."""
    return numbers(np.random.PCG64, lambda v: (np.floor(v * 2**count) + offset) / divisor)


def interpolated(self: Any, shape: Any, lower: Any, upper: Any, compute: Any, key: Any) -> Any:
    """lower * (1 - u) + upper * u, clipped: rounding may step over the bounds."""
    v = self.uniform(shape, compute, key).astype(compute)
    a = compute.type(lower) * (1 - v) + compute.type(upper) * v
    return np.clip(a, compute.type(lower), compute.type(upper)).astype(compute)


def in_double(self: Any, shape: Any, lower: Any, upper: Any, compute: Any, key: Any) -> Any:
    """Slopes made in double precision, rounded once."""
    v = np.asarray(self.uniform(shape, np.dtype(np.float64), key), np.float64)
    return (lower + (upper - lower) * v).astype(compute)


def factor_kept(self: Any, g: Any, side: Any, a: Any, spec: Any, key: Any, x: Any) -> Any:
    """One factor for each element, 1 on the positive side."""
    factor = np.where(side, np.ones((), self.compute(g.dtype)), a)
    return (factor * g.astype(self.compute(g.dtype))).astype(g.dtype)


def two_branches(self: Any, g: Any, side: Any, a: Any, spec: Any, key: Any, x: Any) -> Any:
    """The sum of two branches, whose 0.0 + -0.0 is 0.0."""
    zero = np.zeros((), g.dtype)
    return (np.where(side, g, zero) + np.where(side, zero, self.scale(a, g))).astype(g.dtype)


def sum_of_branches(self: Any, side: Any, positive: Any, negative: Any) -> Any:
    zero = positive.dtype.type(0)
    parts = np.where(side, positive, zero) + np.where(side, zero, negative)
    return Reference.join(self, np.ones_like(side), parts.astype(positive.dtype), negative)


def flush(array: Any) -> Any:
    small = np.abs(array.astype(np.float64)) < tiny(array.dtype)
    return np.where(small, np.copysign(np.zeros((), array.dtype), array), array).astype(array.dtype)


def flushed_scale(self: Any, a: Any, x: Any) -> Any:
    return flush(Reference.scale(self, a, flush(x)))


def rounded_scale(self: Any, a: Any, x: Any) -> Any:
    return (np.asarray(a).astype(x.dtype) * x).astype(x.dtype)


def random_always(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
    return Reference.choose(self, x, spec, True, generator)


def bounds_in_any_order(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
    if all(isinstance(b, float) for b in (lower, upper)) and lower > upper:
        lower, upper = upper, lower
    return Reference.check(self, x, lower, upper, training)


def at_once(self: Any, x: Any, g: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
    return y, pullback(g)


def contiguous(self: Any, side: Any, positive: Any, negative: Any) -> Any:
    return np.ascontiguousarray(Reference.join(self, side, positive, negative)).reshape(side.shape)


def for_negatives_only(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
    """A number is drawn for each negative element only, as the frameworks do."""
    a, key = Reference.choose(self, x, spec, training, generator)
    if training:
        row = np.ones(x.size, a.dtype)
        negative = ~(x >= 0).reshape(-1)
        row[negative] = a.reshape(-1)[: negative.sum()]
        a = row.reshape(x.shape)
    return a, key


NO_STREAM = {"seeding": False, "global_seeding": False}
FEW = {"few_shapes": True}

RIGHT = [
    right("pcg64", uniform=numbers(np.random.PCG64)),
    right("mersenne twister", uniform=numbers(np.random.MT19937)),
    right("sfc64", uniform=numbers(np.random.SFC64)),
    right("23 bits", uniform=whole(23, 2**23)),
    right("24 bits", uniform=whole(24, 2**24)),
    right("32 bits", uniform=whole(32, 2**32)),
    right("closed range", uniform=whole(24, 2**24 - 1)),
    right("open range", uniform=whole(24, 2**24, 0.5)),
    right("upper is drawn, lower is not", uniform=whole(24, 2**24, 1.0)),
    right("interpolated", slopes=interpolated),
    right("slopes in double precision", slopes=in_double, uniform=numbers(np.random.PCG64)),
    right("factor kept", pull=factor_kept),
    right("gradient of two branches", pull=two_branches),
    right("sum of two branches", join=sum_of_branches, claims={"no_negative_zero": True, "memory_format": False}),
    right("flushes", scale=flushed_scale, positive=lambda self, x: flush(x), pull=lambda self, g, *rest: Reference.pull(self, flush(g), *rest), claims={"flushes_subnormals": ("float16", "bfloat16", "float32", "float64")}),
    right("rounds in the dtype", scale=rounded_scale, claims={"dtypes": ("float16", "float32", "float64"), "rounds_in_dtype": ("float16",)}),
    right("no evaluation", choose=random_always, claims={"no_evaluation": True}),
    right("bounds in any order", check=bounds_in_any_order, claims={"unchecked_bounds": True, "portable_errors": False}),
    right("gradient at once", gradient=at_once, claims={"whole_gradients": True}),
    right("few shapes", claims=FEW),
    right("always contiguous", join=contiguous, claims={"memory_format": False}),
    right("numbers for negatives only", choose=for_negatives_only, claims=NO_STREAM),
    right("float32 alone", claims={"dtypes": ("float32",)}),
]  # fmt: skip
