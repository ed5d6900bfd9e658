# ruff: noqa: E501
# A line of the table is one line, however long.
"""A wrong adapter for each check that `kinds` and the older modules have none for; the same table."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from rrelu_adapters.kinds import (
    Q,
    bounds_of,
    called,
    choosing,
    keyed,
    layer_class,
    plain_forward,
    pulling,
    vjp_of,
    with_layer,
    wrong,
)
from rrelu_adapters.pairs import OwnStream
from rrelu_adapters.reference import EVERYTHING, Layer, Reference
from rrelu_adapters.wrong_state import OwnLayer
from rrelu_compat import Generator, RReLUSpec, slopes


def claiming(**claims: Any) -> dict[str, Any]:
    """Return the claims of everything, changed; layers of such adapters are not pickled."""
    return {"capabilities": dataclasses.replace(EVERYTHING, **claims)}


def refusing(*dtypes: str, what: str = "check") -> Any:
    def check(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
        if x.dtype.name in dtypes and x.size == 4 and what == "check":
            raise RuntimeError(f"no {x.dtype}")
        return Reference.check(self, x, lower, upper, training)

    return check


def bounds_refused(test: Any) -> Any:
    def check(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
        if test(lower, upper):
            raise ValueError(f"lower={lower!r}, upper={upper!r}")
        return Reference.check(self, x, lower, upper, training)

    return check


def scaled(change: Any) -> Any:
    return lambda self, a, x: change(np.asarray(a), x, Reference.scale(self, a, x)).astype(x.dtype)


def finishing(change: Any) -> Any:
    """Return `finish` with ``change(y, x, inplace)`` written first."""
    return lambda self, y, x, inplace: Reference.finish(self, change(y, x, inplace), x, inplace)


def sign_lost(slope: str) -> Any:
    """Zeros lose their sign where the slope is 0, or negative."""

    def choose(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
        result = Reference.choose(self, x, spec, training, generator)
        self.last = spec.upper < 0 if slope == "negative" else spec.upper == 0
        return result

    return choose


def zeros_positive(self: Any, x: Any) -> Any:
    return np.where(x == 0, np.abs(x), x).astype(x.dtype) if self.last else x


def strided(x: np.ndarray) -> bool:
    return x.ndim > 1 and x.size > 0 and not x.flags.c_contiguous


def reversed_if(test: Any) -> Any:
    """Return `finish` that turns the last axis round where ``test(x, inplace)``."""
    return finishing(lambda y, x, inplace: y[..., ::-1].copy() if test(x, inplace) else y)


def sized(size: int, value: float) -> Any:
    def change(self: Any, gx: Any, g: Any, side: Any, a: Any, x: Any) -> Any:
        if gx.size > size:
            gx = gx.copy()
            gx[size:] = value
        return gx

    return pulling(change)


def same_call_by_shape(
    self: Any, shape: Any, lower: Any, upper: Any, compute: Any, key: Any
) -> Any:
    """The call counts for each number of dimensions apart."""
    counts = self.__dict__.setdefault("counts", {})
    number = counts[len(shape)] = counts.get(len(shape), -1) + 1
    return Reference.slopes(self, shape, lower, upper, compute, (key[0], number))


def drift(self: Any, shape: Any, compute: Any, key: Any) -> Any:
    """The first elements of all calls are near one another."""
    v = OwnStream.uniform(self, shape, compute, key)
    if 0 < v.size <= 8:
        v = (0.25 + v / 2).astype(compute)
    return v


def rows_alike(self: Any, shape: Any, compute: Any, key: Any) -> Any:
    """Row 40 of a matrix follows row 3."""
    v = OwnStream.uniform(self, shape, compute, key)
    if len(shape) == 2 and shape[0] > 40:
        v = v.copy()
        v[40] = 1 - v[3]
    return v


def layer_of_offset(self: Any, x: Any) -> Any:
    """Layers are places in one stream, 500 elements apart, and never move on."""
    if not self.training or x.size < 1000:
        return Layer.__call__(self, x)
    if not hasattr(self, "_place"):
        OFFSETS.append(self)
        self._place = 500 * (len(OFFSETS) % 8)
    a = slopes(x.size + 4000, self.lower, self.upper, seed=3)[self._place :][: x.size]
    return np.where(x >= 0, x, a * x).astype(x.dtype)


OFFSETS: list[Any] = []


def by_signs(test: Any) -> Any:
    return choosing(
        lambda self, a, x, spec, training: (
            np.roll(a, 1) if training and x.size == 5 and test(x) else a
        )
    )


def by_dimensions(self: Any, shape: Any, lower: Any, upper: Any, compute: Any, key: Any) -> Any:
    return Reference.slopes(
        self, shape, lower, upper, compute, (key[0], 2 * key[1] + (len(shape) == 1))
    )


def recomputed_with_generator(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    """With a generator the forward is repeated at the generator's place by then."""
    if keywords.get("generator") is None:
        return Reference.recomputed_vjp(self, x, lower, upper, **keywords)
    generator, training = keywords["generator"], keywords["training"]
    y, _ = self.vjp(x, lower, upper, training=training, generator=generator)

    def pull(g: Any) -> Any:
        again = Generator(generator.seed, max(0, generator.call - 1))
        return self.vjp(x, lower, upper, training=training, generator=again)[1](g)

    return y, pull


def in_place_with_other_slopes(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
    if keywords.get("inplace"):
        return y, lambda g: np.where(y >= 0, g, pullback(g) * 0.5 + g * 0.05).astype(g.dtype)
    return y, pullback


def in_place_side_of_output(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    """In place the side is told from the output, -0.0 for a slope of 0."""
    y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
    if keywords.get("inplace") and upper == 0:
        return y, lambda g: np.where(y >= 0, g, pullback(g)).astype(g.dtype)
    return y, pullback


def in_place_draws_twice(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    if keywords.get("inplace") and keywords["training"] and keywords.get("generator") is not None:
        self.draw(keywords["generator"])
    return Reference.forward(self, x, lower, upper, **keywords)


def global_ignored(self: Any, n: int) -> None:
    self.stream.reposition(n // 64)


def evaluation_moves_default(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
    if not training and generator is None:
        self.draw(None)
    return Reference.choose(self, x, spec, training, generator)


def evaluation_moves_generator_of_32(
    self: Any, x: Any, spec: Any, training: Any, generator: Any
) -> Any:
    if not training and generator is not None and x.size == 32:
        self.draw(generator)
    return Reference.choose(self, x, spec, training, generator)


def mixed_generator(self: Any, generator: Any) -> Any:
    seed, call = Reference.draw(self, generator)
    return (seed ^ self.stream.seed, call) if generator is not None else (seed, call)


def careless_values(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    import threading
    import time

    self.shared = keywords
    y = Reference.forward(self, x, lower, upper, **keywords)
    if threading.current_thread() is not threading.main_thread():
        time.sleep(0)
        return y if x.size != 257 else y * y.dtype.type(2)
    return y


def one_generator_skips(self: Any, generator: Any) -> Any:
    import threading

    if generator is not None and threading.current_thread() is not threading.main_thread():
        generator.take()
    return Reference.draw(self, generator)


def kind_taken(kinds: str) -> Any:
    def check(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
        if x.dtype.kind in kinds:
            return RReLUSpec(lower, upper)
        return Reference.check(self, x, lower, upper, training)

    return check


def raising(kind: type[Exception], test: Any) -> Any:
    """Return `check` that raises another kind of error where the right one raises `test`'s."""

    def check(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
        try:
            return Reference.check(self, x, lower, upper, training)
        except Exception as error:
            if test(error):
                raise kind(str(error)) from error
            raise

    return check


class _Both(ValueError, RuntimeError):
    pass


def nameless(self: Any, x: Any, lower: Any, upper: Any, training: bool) -> Any:
    try:
        return Reference.check(self, x, lower, upper, training)
    except ValueError as error:
        raise _Both("bad bounds") from error


def writes_first(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    if (
        keywords.get("inplace")
        and x.size == 4
        and x.flags.writeable
        and lower == 0.5
        and upper == 0.25
    ):
        x[...] = 0
    return Reference.forward(self, x, lower, upper, **keywords)


def half_assigned(self: Any, value: float) -> None:
    try:
        Layer.lower.fset(self, value)
    except Exception:
        self._spec = RReLUSpec(min(value, self.upper), self.upper)
        raise


PAIRS = [
    # What is claimed of a platform without need
    wrong("claims flushing", "platform.flushes-subnormals", **claiming(flushes_subnormals=("float32",))),
    wrong("claims rounding", "platform.rounds-in-dtype", **claiming(rounds_in_dtype=("float16",))),
    wrong("claims no negative zero", "platform.no-negative-zero", **claiming(no_negative_zero=True)),
    wrong("claims no evaluation", "platform.no-evaluation", **claiming(no_evaluation=True)),
    wrong("claims unchecked bounds", "platform.unchecked-bounds", **claiming(unchecked_bounds=True)),
    # Dtypes, devices, bounds
    wrong("no bfloat16", "dtypes.forward", check=refusing("bfloat16")),
    wrong("no gradient in float16", "dtypes.gradient", pull=pulling(lambda self, gx, g, side, a, x: gx.astype(np.float32) if gx.dtype == np.float16 and gx.size == 4 else gx)),
    wrong("another device", "forward.device", device_of=lambda self, x: f"cpu:{id(x)}"),
    wrong("mixed signs refused", "bounds.mixed-signs", check=bounds_refused(lambda lo, up: (lo, up) == (-0.5, 0.25))),
    wrong("above one refused", "bounds.above-one", check=bounds_refused(lambda lo, up: (lo, up) == (1.5, 3.0))),
    wrong("ints refused", "bounds.integer", check=bounds_refused(lambda lo, up: type(lo) is int)),
    wrong("NumPy scalars refused", "bounds.numpy-scalar", check=bounds_refused(lambda lo, up: isinstance(lo, np.floating))),
    wrong("zero refused", "bounds.zero", check=bounds_refused(lambda lo, up: lo == up == 0.0)),
    # Special values
    wrong("infinity times zero is zero", "special.infinity-times-zero", scale=scaled(lambda a, x, y: np.where(np.isnan(y) & np.isinf(x.astype(np.float64)), 0, y))),
    wrong("flat zeros positive", "special.signed-zeros-flat", choose=sign_lost("flat"), positive=zeros_positive),
    wrong("zeros of negative slopes", "special.signed-zeros-negative-slope", choose=sign_lost("negative"), positive=zeros_positive),
    wrong("largest overflow", "special.largest", scale=scaled(lambda a, x, y: np.where(np.abs(x.astype(np.float64)) > float(np.finfo(x.dtype).max if x.dtype.kind == "f" else 3e38) * 0.99, y * np.inf, y))),
    # Shapes and layouts
    wrong("empty flattened", "shapes.empty", finish=lambda self, y, x, inplace: y.reshape(-1) if not x.size and not inplace else Reference.finish(self, y, x, inplace)),
    wrong("empty gradient flattened", "shapes.empty-gradient", pull=pulling(lambda self, gx, g, side, a, x: gx if gx.size else gx.reshape(-1))),
    wrong("gradient of the first 2 to the 18", "shapes.large-gradient", pull=sized(2**18, 1.0)),
    wrong("strides lost", "layout.strides-arrive", from_numpy=lambda self, array, *, device: np.array(array, order="C")),
    wrong("in place reversed", "layout.evaluation-inplace", finish=reversed_if(lambda x, inplace: inplace and strided(x))),
    wrong("strided out of range", "layout.training", choose=choosing(lambda self, a, x, spec, training: a * 4 if training and strided(x) else a), **Q),
    wrong("strided in place out of range", "layout.training-inplace", finish=finishing(lambda y, x, inplace: (y * 16).astype(y.dtype) if inplace and strided(x) else y)),
    wrong("gradient of strided reversed", "layout.gradient-of-strided", vjp=vjp_of(lambda self, x, y, p, k: (y, (lambda g: p(g[..., ::-1]) if strided(x) else p(g)))), forward=plain_forward),
    wrong("read-only refused", "layout.read-only", from_numpy=lambda self, array, *, device: Reference.from_numpy(self, array, device=device) if array.flags.writeable or array.size != 5 else 1 / 0),
    wrong("in place returns but does not write", "inplace.written", **claiming(pickling=False), forward=lambda self, x, lo, up, **k: Reference.forward(self, x, lo, up, **{**k, "inplace": False}) if x.size > 3 else Reference.forward(self, x, lo, up, **k)),
    wrong("in place draws first", "inplace.same-slopes", forward=in_place_draws_twice),
    wrong("gradient in place of other slopes", "inplace.gradient", vjp=in_place_with_other_slopes, forward=plain_forward),
    wrong("gradient in place by output", "inplace.gradient-zero-bounds", vjp=in_place_side_of_output, forward=plain_forward),
    # Gradients
    wrong("gradient beyond the bounds", "gradient.within-bounds", pull=pulling(lambda self, gx, g, side, a, x: np.where(side, gx, gx * 1.5).astype(g.dtype))),
    wrong("gradient clipped", "gradient.linear", pull=pulling(lambda self, gx, g, side, a, x: np.clip(gx.astype(np.float64), -700, 700).astype(g.dtype))),
    wrong("gradient of evaluation a little off", "gradient.finite-differences", pull=pulling(lambda self, gx, g, side, a, x: gx if np.ndim(a) else (gx * (1 + 1e-6)).astype(g.dtype))),
    wrong("gradient of training a little off", "gradient.finite-differences-training", pull=pulling(lambda self, gx, g, side, a, x: (gx * (1 + 1e-6)).astype(g.dtype) if np.ndim(a) else gx)),
    wrong("gradient of other slopes", "portable.gradient", pull=pulling(lambda self, gx, g, side, a, x: (gx * g.dtype.type(1.01)).astype(g.dtype))),
    # Randomness
    wrong("one slope along the middle", "random.along-middle-axis", **Q, slopes=lambda self, shape, lo, up, compute, key: np.broadcast_to(Reference.slopes(self, shape, lo, up, compute, key)[:, :1], shape) if len(shape) == 3 and shape[1] else Reference.slopes(self, shape, lo, up, compute, key)),
    wrong("calls by dimensions", "random.shape-changes", **Q, slopes=same_call_by_shape),
    wrong("small tensors near the mean", "distribution.over-calls", OwnStream, uniform=drift),
    wrong("rows that follow", "independence.rows", OwnStream, uniform=rows_alike),
    wrong("layers of one stream", "independence.layers", OwnLayer, **Q, **with_layer(called(layer_of_offset))),
    # Seeds
    wrong("zeros shift, positives do not", "seeding.zeros-count-like-positives", choose=by_signs(lambda x: (x == 0).any()), **Q),
    wrong("negatives shift, zeros do not", "seeding.zeros-count-like-negatives", choose=by_signs(lambda x: (x < 0).all()), **Q),
    wrong("vectors have calls of their own", "seeding.shape-does-not-matter", slopes=by_dimensions, **Q),
    wrong("global seeds in groups", "seeding.global-different-seeds", seed=global_ignored),
    wrong("evaluation moves the default", "seeding.evaluation-leaves-global-stream", choose=evaluation_moves_default),
    wrong("generator and global seed mixed", "seeding.generators-ignore-global-seed", draw=mixed_generator, **Q),
    wrong("numbered in memory order", "portable.layouts", choose=choosing(lambda self, a, x, spec, training: a[..., ::-1] if training and strided(x) else a)),
    wrong("evaluation takes a call", "portable.evaluation-takes-no-call", choose=evaluation_moves_generator_of_32),
    wrong("seeds of 63 bits", "portable.extreme-seeds", slopes=keyed(lambda s, c: (s % 2**63, c))),
    wrong("deaf to manual seed", "portable.manual-seed", draw=lambda self, generator: (generator or self.stream).take()),
    # Layers
    wrong("layer with wider bounds", "layer.forward", OwnLayer, **with_layer(called(lambda self, x: Layer.__call__(self, x) * x.dtype.type(2) if x.size else x))),
    wrong("layer never in place", "layer.inplace", OwnLayer, **with_layer(called(lambda self, x: Layer.__call__(self, x.copy())))),
    wrong("layer stands still", "layer.fresh-each-call", OwnLayer, **Q, **with_layer(called(lambda self, x: (setattr(self, "generator", Generator(9)), Layer.__call__(self, x))[1]))),
    wrong("bounds read rounded", "layer.bounds-are-readable", OwnLayer, **with_layer(layer_class(lower=property(lambda self: round(self._spec.lower, 1), Layer.lower.fset)))),
    wrong("recomputation at the generator's place", "recompute.generator", recomputed_vjp=recomputed_with_generator),
    # Threads
    wrong("other values in threads", "threads.values", forward=careless_values),
    wrong("calls skipped in threads", "threads.one-generator", draw=one_generator_skips),
    # Errors
    wrong("tensors as bounds", "errors.tensor-bounds", check=bounds_of(lambda lo, up, x: (lo.item() if isinstance(lo, np.ndarray) else lo, up))),
    wrong("width overflows", "errors.width-overflow", check=bounds_of(lambda lo, up, x: (lo / 4, up / 4) if isinstance(up, float) and up > 1e308 and up < 1e309 else (lo, up))),
    wrong("single overflows", "errors.single-overflow", check=bounds_of(lambda lo, up, x: (lo, 1e38) if up == 1e39 else (lo, up))),
    wrong("bool tensors", "errors.bool-dtype", check=kind_taken("b"), compute=lambda self, dtype: np.dtype(np.float32)),
    wrong("complex tensors", "errors.complex-dtype", check=kind_taken("c"), side=lambda self, x: x.real >= 0, scale=lambda self, a, x: (a * x).astype(x.dtype) if x.dtype.kind == "c" else Reference.scale(self, a, x)),
    wrong("types as values", "errors.bounds-type-error", check=raising(_Both, lambda e: isinstance(e, TypeError) and not isinstance(e, NotImplementedError))),
    wrong("dtypes as types", "errors.dtype-error-kind", check=raising(TypeError, lambda e: isinstance(e, NotImplementedError))),
    wrong("nameless errors", "errors.message-names-argument", check=nameless),
    wrong("half assigned", "errors.assignment-refused", OwnLayer, **with_layer(layer_class(lower=property(Layer.lower.fget, half_assigned)))),
    wrong("writes before it checks", "errors.refused-leaves-input", forward=writes_first),
]  # fmt: skip
