# ruff: noqa: E501
# A line of the table is one line, however long.
"""More wrong adapters, as a table: what is wrong, the check that must see it, what is replaced.

A line makes a class: `name` says what is wrong, `killer` names the check, the keywords replace
attributes and methods of `base`. Two lines for each kind of mistake, the second another one than the
name of the check suggests.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np

from rrelu_adapters.pairs import OwnStream, Pair
from rrelu_adapters.reference import EVERYTHING, Layer, Reference
from rrelu_adapters.wrong_state import OwnLayer, _State
from rrelu_compat import Generator, RReLUSpec, slopes
from rrelu_compat.conformance.arithmetic import dtype_of


class Kept(Reference):
    """A right adapter with one place for what the last call left: `self.last`."""

    last: Any = None


def wrong(name: str, killer: str, base: type[Reference] = Reference, **changes: Any) -> Pair:
    """Return the wrong adapter of one line."""
    words = "".join(word.capitalize() for word in name.replace("-", " ").split())
    identity = "".join(c for c in words if c.isalnum())
    kind = type(identity, (base,), {"__module__": __name__, "__doc__": name, **changes})
    assert identity not in globals(), identity
    globals()[identity] = kind  # so that its layers can be pickled
    return Pair(kind, killer, base)


# Parts that lines are made of


def u(change: Any) -> Any:
    """Return `uniform` with its numbers changed."""
    return lambda self, shape, compute, key: change(
        OwnStream.uniform(self, shape, compute, key)
    ).astype(compute)


def flat(change: Any) -> Any:
    """Return `uniform` with its numbers changed as one row."""
    return u(lambda v: change(v.reshape(-1).copy()).reshape(v.shape) if v.size else v)


def bits(count: int) -> Any:
    return u(lambda v: np.floor(v * 2**count) / 2**count)


def through(dtype: str) -> Any:
    return u(lambda v: v.astype(dtype_of(dtype)))


def period(length: int) -> Any:
    return flat(lambda v: np.resize(v[:length], v.size))


def keyed(change: Any) -> Any:
    """Return `slopes` with another (seed, call)."""
    return lambda self, shape, lower, upper, compute, key: Reference.slopes(
        self, shape, lower, upper, compute, change(*key)
    )


def first_only(count: int) -> Any:
    """Return numbers of which only the first are random."""

    def change(v: np.ndarray) -> np.ndarray:
        v[count:] = 0.5
        return v

    return flat(change)


def tail(change: Any, least: int = 4096) -> Any:
    def whole(v: np.ndarray) -> np.ndarray:
        if v.size > least:
            change(v)
        return v

    return flat(whole)


def put(v: np.ndarray, at: Any, values: Any) -> None:
    v[at] = values


def stratified(v: np.ndarray) -> np.ndarray:
    """One number in each of n strata, shuffled."""
    order = np.argsort(v, kind="stable")
    out = np.empty_like(v)
    out[order] = (np.arange(v.size) + 0.5) / v.size
    return out


def stratified_blocks(v: np.ndarray) -> np.ndarray:
    """One number in each of 64 strata, block by block."""
    whole = v.size // 64 * 64
    rows = v[:whole].reshape(-1, 64)
    ranks = np.argsort(np.argsort(rows, axis=1), axis=1)
    v[:whole] = ((ranks + 0.5) / 64).reshape(-1)
    return v


def chunks(size: int, mix: Any) -> Any:
    """Return numbers made chunk by chunk, each of a stream of its own."""

    def uniform(self: Any, shape: Any, compute: Any, key: Any) -> np.ndarray:
        count = math.prod(shape)
        parts = [
            slopes(min(size, count - start), 0, 1, seed=s, call=c, dtype=compute.name)
            for start in range(0, count, size)
            for s, c in [mix(*key, start // size)]
        ]
        return (np.concatenate(parts) if parts else np.zeros(0, compute)).reshape(shape)

    return uniform


def shifted(step: int) -> Any:
    """Return numbers of which seed s begins s * step elements into the stream of seed 0."""

    def uniform(self: Any, shape: Any, compute: Any, key: Any) -> np.ndarray:
        count, start = math.prod(shape), key[0] % 8 * step
        every = slopes(start + count, 0, 1, seed=0, call=key[1], dtype=compute.name)
        return every[start:].reshape(shape)

    return uniform


def shared_along(*axes: int) -> Any:
    """Return `slopes` that are one along `axes`, of tensors with so many."""

    def same(self: Any, shape: Any, lower: Any, upper: Any, compute: Any, key: Any) -> Any:
        a = Reference.slopes(self, shape, lower, upper, compute, key)
        if a.size and len(shape) > max(axes) and len(shape) > 2:
            for axis in axes:
                a = np.broadcast_to(np.take(a, [0], axis=axis), shape)
        return a

    return same


def channels_last_alike(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
    a, key = Reference.choose(self, x, spec, training, generator)
    if training and x.ndim > 3 and not x.flags.c_contiguous and x.size:
        a = np.broadcast_to(a[:, :1], x.shape)
    return a, key


def choosing(change: Any) -> Any:
    """Return `choose` with ``change(self, a, x, spec, training)`` applied to the slopes."""

    def choose(self: Any, x: Any, spec: Any, training: Any, generator: Any) -> Any:
        a, key = Reference.choose(self, x, spec, training, generator)
        return change(self, a, x, spec, training), key

    return choose


def vjp_of(change: Any) -> Any:
    """Return `vjp` with ``change(self, x, y, pullback, keywords)`` instead of its result."""

    def vjp(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
        return change(self, x, y, pullback, keywords)

    return vjp


def pulling(change: Any) -> Any:
    """Return `pull` with ``change(self, gx, g, side, a, x)`` instead of its result."""

    def pull(self: Any, g: Any, side: Any, a: Any, spec: Any, key: Any, x: Any) -> Any:
        return change(self, Reference.pull(self, g, side, a, spec, key, x), g, side, a, x)

    return pull


def draws_in_evaluation(where: str) -> Any:
    """Return a method that takes a number in evaluation."""
    method = getattr(Reference, where)

    def again(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        if not keywords["training"] and (where == "vjp" or keywords.get("inplace")):
            self.draw(keywords.get("generator"))
        return method(self, x, lower, upper, **keywords)

    return again


def plain_forward(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    """A forward that does not go through the adapter's own vjp."""
    return Reference.vjp(self, x, lower, upper, **keywords)[0]


def bounds_of(change: Any) -> Any:
    """Return `check` with other bounds."""
    return lambda self, x, lower, upper, training: Reference.check(
        self, x, *change(lower, upper, x), training
    )


def layer_class(**changes: Any) -> Any:
    name = f"Layer{len(_LAYERS)}"
    kind = type(name, (_State,), {"__module__": __name__, **changes})
    globals()[name] = kind
    _LAYERS.append(kind)
    return kind


_LAYERS: list[type[Layer]] = []


def called(change: Any) -> Any:
    """Return a layer class whose call is ``change(self, x)``."""
    return layer_class(__call__=change)


def unpickled(change: Any) -> Any:
    """Return a layer class that does ``change(self)`` after it was unpickled or copied."""

    def after(self: Any, state: Any) -> None:
        self.__dict__.update(state)
        change(self)

    def copied(self: Any, memo: Any) -> Any:
        twin = Layer.__deepcopy__(self, memo)
        change(twin)
        return twin

    return layer_class(__setstate__=after, __deepcopy__=copied)


def with_layer(kind: type[Layer]) -> dict[str, Any]:
    return {"layer_class": kind}


def once_halved(self: Any, x: Any, y: Any, pullback: Any, keywords: Any) -> Any:
    times: list[int] = []

    def pull(g: Any) -> Any:
        times.append(1)
        gx = pullback(g)
        return gx if len(times) == 1 else (gx / 2).astype(gx.dtype)

    return y, pull


def second_draws(self: Any, x: Any, y: Any, pullback: Any, keywords: Any) -> Any:
    times: list[int] = []

    def pull(g: Any) -> Any:
        times.append(1)
        if len(times) > 1:
            self.draw(keywords.get("generator"))
        return pullback(g)

    return y, pull


def of_the_last(self: Any, x: Any, y: Any, pullback: Any, keywords: Any) -> Any:
    self.last = pullback
    return y, lambda g: self.last(g) if g.shape == x.shape else pullback(g)


def mask_of_the_last(self: Any, gx: Any, g: Any, side: Any, a: Any, x: Any) -> Any:
    last = self.last if getattr(self.last, "shape", None) == g.shape else side
    return np.where(last, g, self.scale(a, g)).astype(g.dtype)


def noting_side(self: Any, x: Any) -> Any:
    self.last = x >= 0
    return self.last


def one_output_buffer(self: Any, y: Any, x: Any, inplace: bool) -> Any:
    if inplace:
        return Reference.finish(self, y, x, inplace)
    if getattr(self.last, "shape", None) != y.shape or self.last.strides != y.strides:
        self.last = y
    if self.last.dtype != y.dtype:
        self.last = y
    self.last[...] = y
    return self.last


def one_gradient_buffer(self: Any, gx: Any, *_: Any) -> Any:
    if getattr(self.last, "shape", None) != gx.shape or self.last.dtype != gx.dtype:
        self.last = np.empty_like(gx)
    self.last[...] = gx
    return self.last


def written_input(self: Any, x: Any, y: Any, pullback: Any, keywords: Any) -> Any:
    def pull(g: Any) -> Any:
        gx = pullback(g)
        if x.flags.writeable and x.size and 0 not in x.strides:
            x[...] = gx
        return gx

    return y, pull


def scaled_upstream(self: Any, x: Any, y: Any, pullback: Any, keywords: Any) -> Any:
    def pull(g: Any) -> Any:
        gx = pullback(g)
        if g.flags.writeable and 0 not in g.strides:
            g[...] = gx
        return g if 0 not in g.strides else gx

    return y, pull


def first_row_of_broadcast(self: Any, gx: Any, g: Any, side: Any, a: Any, x: Any) -> Any:
    if g.ndim == 2 and 0 in g.strides and 1 not in g.shape and g.size:
        g = np.broadcast_to(g[:1, :1], g.shape)
        return np.where(side, g, self.scale(a, g)).astype(g.dtype)
    return gx


def broadcast_rows_only(self: Any, gx: Any, g: Any, side: Any, a: Any, x: Any) -> Any:
    if g.ndim == 2 and g.strides[1] == 0 and g.shape[1] > 1:
        g = np.resize(np.ascontiguousarray(g[:, 0]), g.shape)
        return np.where(side, g, self.scale(a, g)).astype(g.dtype)
    return gx


def input_or_finish(self: Any, y: Any, x: Any, inplace: bool) -> Any:
    if not inplace and x.size and (x >= 0).all():
        return x
    return Reference.finish(self, y, x, inplace)


def small_input_or_finish(self: Any, y: Any, x: Any, inplace: bool) -> Any:
    if not inplace and 0 < x.size < 64 and (x > 0).all():
        return x
    return Reference.finish(self, y, x, inplace)


def double(change: Any) -> Any:
    def double_vjp(self: Any, x: Any, g: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        y, gx, second = Reference.double_vjp(self, x, g, lower, upper, **keywords)
        return change(x, y, gx, second)

    return double_vjp


def direction(change: Any) -> Any:
    def jvp(self: Any, x: Any, tangent: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        y, dy = Reference.jvp(self, x, tangent, lower, upper, **keywords)
        return y, change(x, tangent, y, dy)

    return jvp


def mapped(change: Any) -> Any:
    def vmap(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        return change(self, x, lower, upper, keywords)

    return vmap


def one_slope_per_row(self: Any, x: Any, lower: Any, upper: Any, keywords: Any) -> Any:
    if not keywords["training"]:
        return self.forward(x, lower, upper, **keywords)
    a = -self.forward(-np.ones((x.shape[0], 1), x.dtype), lower, upper, **keywords)
    return np.where(x >= 0, x, a * x).astype(x.dtype)


def rows_repeat(self: Any, x: Any, lower: Any, upper: Any, keywords: Any) -> Any:
    if not keywords["training"]:
        return self.forward(x, lower, upper, **keywords)
    a = -self.forward(-np.ones((2, *x.shape[1:]), x.dtype), lower, upper, **keywords)
    a = np.resize(a, x.shape)
    return np.where(x >= 0, x, a * x).astype(x.dtype)


def random_in_evaluation(self: Any, x: Any, lower: Any, upper: Any, keywords: Any) -> Any:
    return self.forward(x, lower, upper, **{**keywords, "training": True})


def by_magnitude(power: float) -> Any:
    def change(self: Any, a: Any, x: Any, spec: Any, training: Any) -> Any:
        if not training:
            return a
        near = np.abs(x.astype(np.float64)) < power
        middle = a.dtype.type((spec.lower + spec.upper) / 2)
        return np.where(near, (a + middle) / 2, a).astype(a.dtype)

    return choosing(change)


def half_product(self: Any, a: Any, x: Any) -> Any:
    """Slope and product in the dtype itself, where the slope is one for each element."""
    if np.ndim(a):
        return (np.asarray(a).astype(x.dtype) * x).astype(x.dtype)
    return Reference.scale(self, a, x)


def rounded_mean(dtype: Any) -> Any:
    return lambda self, lower, upper: (float(dtype(lower)) + float(dtype(upper))) / 2


def infinity_kept(self: Any, a: Any, x: Any) -> Any:
    y = Reference.scale(self, a, x)
    return np.where(np.isneginf(x.astype(np.float64)), x, y).astype(x.dtype)


def minus_infinity(self: Any, a: Any, x: Any) -> Any:
    y = Reference.scale(self, a, x)
    return np.where(np.isinf(x.astype(np.float64)), -np.abs(y), y).astype(x.dtype)


def saturated(limit: float) -> Any:
    return bounds_of(
        lambda lo, up, x: (min(lo, limit), min(up, limit)) if _numbers(lo, up) else (lo, up)
    )


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, float) and math.isfinite(v) for v in values)


def evaluation_copies(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    if keywords.get("inplace") and not keywords["training"]:
        return Reference.vjp(self, x, lower, upper, **{**keywords, "inplace": False})
    return Reference.vjp(self, x, lower, upper, **keywords)


def fifo(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    """Gradients are asked for in the order of the forwards, it thinks."""
    del keywords["variant"]
    y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
    if self.last is None:
        self.last = []
    queue = self.last
    queue.append(pullback)
    done: list[Any] = []

    def pull(g: Any) -> Any:
        if not done:
            fit = list(queue[-2:]) if len(queue) > 1 else queue
            done.append(fit[0])
            queue.remove(fit[0])
        return done[0](g)

    return y, pull


def lifo(self: Any, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
    """Gradients are asked for from the last forward back, it thinks."""
    del keywords["variant"]
    y, pullback = Reference.vjp(self, x, lower, upper, **keywords)
    self.last = [] if self.last is None else self.last
    del self.last[:-3]
    self.last.append(pullback)
    queue = self.last

    def pull(g: Any) -> Any:
        return (queue.pop() if queue else pullback)(g)

    return y, pull


def restarted(self: Any) -> None:
    self.training = True
    if self.generator is None:
        self.generator = Generator(5)
    self.generator.reposition(self.generator.seed, 0)


def own_generator(self: Any, x: Any) -> Any:
    if self.generator is None or not hasattr(self, "_own"):
        self.generator = self._own = Generator(11) if self.generator is None else self.generator
    return Layer.__call__(self, x)


def two_slopes(self: Any, x: Any) -> Any:
    y = Layer.__call__(self, x)
    if self.training and x.size > 256:
        slopes_of = np.resize(y.reshape(-1)[:2], x.shape)
        y = np.where(x >= 0, x, slopes_of).astype(x.dtype)
    return y


def few_slopes(self: Any, x: Any) -> Any:
    y = Layer.__call__(self, x)
    if self.training and x.size > 256:
        y = np.where(x >= 0, x, np.resize(y.reshape(-1)[:64], x.shape)).astype(x.dtype)
    return y


def evaluation_takes(self: Any, x: Any) -> Any:
    if not self.training:
        self.training = True
        Layer.__call__(self, x.copy())
        self.training = False
    return Layer.__call__(self, x)


def evaluation_rewinds(self: Any) -> None:
    self.training = False
    (self.generator or _stream(self)).take()


def _stream(layer: Any) -> Generator:
    from rrelu_adapters.reference import instance

    return instance(layer._kind).stream


SHARED = layer_class(
    __deepcopy__=lambda self, memo: _sharing(self, memo),
    __setattr__=lambda self, name, value: _share(self, name, value),
)


def _sharing(self: Any, memo: Any) -> Any:
    twin = Layer.__deepcopy__(self, memo)
    twin.__dict__["twins"] = self.__dict__.setdefault("twins", [self])
    twin.__dict__["twins"].append(twin)
    return twin


def _share(self: Any, name: str, value: Any) -> None:
    object.__setattr__(self, name, value)
    if name in ("lower", "upper"):
        for twin in self.__dict__.get("twins", []):
            twin.__dict__["_spec"] = self.__dict__["_spec"]


def loses_inplace(self: Any) -> None:
    self._spec = RReLUSpec(self.lower, self.upper)


def first_bounds(self: Any) -> None:
    self._spec = RReLUSpec(*self._first, self._spec.inplace)


def noting_first(self: Any, *arguments: Any) -> None:
    Layer.__init__(self, *arguments)
    self._first = (self.lower, self.upper)


def nan_taken(bound: str) -> Any:
    """Return a property that keeps the old bound when NaN is assigned."""
    plain = getattr(Layer, bound)

    def assign(self: Any, value: Any) -> None:
        if value == value:
            plain.fset(self, value)

    return property(plain.fget, assign)


def _float(value: Any) -> Any:
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


OWN = OwnStream
Q = {"capabilities": dataclasses.replace(EVERYTHING, portable_slopes=False, manual_seed=False)}

PAIRS = [
    # Granularity and edges of the distribution
    wrong("slopes of 8 bits", "distribution.small-slopes", OWN, uniform=bits(8)),
    wrong("slopes of 12 bits", "distribution.small-slopes", OWN, uniform=bits(12)),
    wrong("slopes of 16 bits", "distribution.granularity", OWN, uniform=bits(16)),
    wrong("slopes of 19 bits", "distribution.granularity", OWN, uniform=bits(19)),
    wrong("slopes of float16", "distribution.granularity", OWN, uniform=through("float16")),
    wrong("slopes of bfloat16", "distribution.granularity", OWN, uniform=through("bfloat16")),
    wrong("range narrowed below", "distribution.both-ends", OWN, uniform=u(lambda v: 0.005 + 0.995 * v)),
    wrong("range narrowed above", "distribution.both-ends", OWN, uniform=u(lambda v: 0.995 * v)),
    wrong("atom at lower", "distribution.no-atom", OWN, uniform=u(lambda v: np.where(v < 1e-3, 0, v))),
    wrong("zeros at times", "distribution.small-slopes", OWN, uniform=flat(lambda v: np.where(np.arange(v.size) % 4096 == 9, 0, v))),
    wrong("atom in the middle", "distribution.no-atom", OWN, uniform=u(lambda v: np.where(abs(v - 0.5) < 1e-4, 0.5, v))),
    wrong("stratified", "distribution.not-too-even", OWN, uniform=flat(stratified)),
    wrong("stratified in blocks", "distribution.not-too-even", OWN, uniform=flat(stratified_blocks)),
    # Periods and repeats
    wrong("period 50000", "independence.never-returns", OWN, uniform=period(50_000)),
    wrong("period 65521", "independence.never-returns", OWN, uniform=period(65_521)),
    wrong("period 2 to the 20", "independence.never-returns", OWN, uniform=period(2**20)),
    wrong("a block copied", "independence.never-returns", OWN, uniform=tail(lambda v: put(v, slice(3000, 3050), v[100:150].copy()))),
    wrong("1000 calls", "random.calls-never-repeat", slopes=keyed(lambda s, c: (s, c % 1000))),
    wrong("1023 calls", "random.calls-never-repeat", slopes=keyed(lambda s, c: (s, c % 1023))),
    wrong("chunks by call plus chunk", "independence.calls-share-nothing", OWN, uniform=chunks(65536, lambda s, c, k: (s, c + k))),
    wrong("chunks by call xor chunk", "independence.calls-share-nothing", OWN, uniform=chunks(40000, lambda s, c, k: (s, c ^ k))),
    wrong("seed plus call", "seeding.seeds-and-calls-apart", slopes=keyed(lambda s, c: (s + c, 0))),
    wrong("seed xor call", "seeding.seeds-and-calls-apart", slopes=keyed(lambda s, c: (s ^ c, 0))),
    wrong("call of the next seed", "seeding.seeds-and-calls-apart", slopes=keyed(lambda s, c: (s - s % 2, 2 * (c // 1) + s % 2 * 2))),
    wrong("shifted by 65536", "independence.seeds-share-nothing", OWN, uniform=shifted(65_536)),
    wrong("shifted by 100000", "independence.seeds-share-nothing", OWN, uniform=shifted(100_000)),
    wrong("global seed of 16 bits", "seeding.global-high-seed-bits", seed=lambda self, n: self.stream.reposition(n % 2**16)),
    wrong("global seed as float32", "seeding.global-reproducible", seed=lambda self, n: None),
    wrong("global seed of 24 bits", "seeding.global-high-seed-bits", seed=lambda self, n: self.stream.reposition(n % 2**24)),
    # Sizes
    wrong("first million", "distribution.no-atom", OWN, uniform=first_only(2**20 - 50)),
    wrong("first 1048576", "independence.never-returns", OWN, uniform=first_only(2**20)),
    wrong("constant tail", "shapes.tail", OWN, uniform=tail(lambda v: put(v, slice(-100, None), 0.25))),
    wrong("tail of the last slope", "shapes.tail", OWN, uniform=tail(lambda v: put(v, slice(-64, None), v[-65]))),
    wrong("repeated tail", "independence.never-returns", OWN, uniform=tail(lambda v: put(v, slice(-100, None), v[:100]))),
    wrong("block boundaries", "distribution.no-atom", OWN, uniform=tail(lambda v: put(v, slice(4096, None, 4096), v[4095:-1:4096]))),
    wrong("block ends at the mean", "distribution.no-atom", OWN, uniform=tail(lambda v: put(v, slice(1023, None, 1024), 0.5))),
    wrong("one slope below 16", "random.small-tensors", OWN, uniform=flat(lambda v: v * 0 + v[0] if v.size < 16 else v)),
    wrong("one slope for 33", "random.small-tensors", OWN, uniform=flat(lambda v: v * 0 + v[-1] if v.size == 33 else v)),
    # Structure
    wrong("channels alike in 4-D", "random.along-every-axis", slopes=shared_along(1), **Q),
    wrong("space alike in 5-D", "random.along-every-axis", slopes=shared_along(4), **Q),
    wrong("space alike in 6-D", "random.along-every-axis", slopes=shared_along(5), **Q),
    wrong("channels-last alike", "random.along-every-axis-channels-last", choose=channels_last_alike, **Q),
    wrong("channels-last samples alike", "random.along-every-axis-channels-last", **Q, choose=choosing(lambda self, a, x, spec, training: np.broadcast_to(a[:1], x.shape) if training and x.ndim > 3 and not x.flags.c_contiguous and x.size else a)),
    wrong("six dimensions refused", "shapes.ones", check=lambda self, x, lo, up, training: Reference.check(self, x, lo, up, training) if x.ndim < 6 else 1 / 0),
    wrong("leading 1 squeezed", "shapes.ones", finish=lambda self, y, x, inplace: Reference.finish(self, y, x, inplace) if inplace or x.ndim < 2 or x.shape[0] != 1 else y[0]),
    wrong("trailing 1 squeezed", "shapes.ones", finish=lambda self, y, x, inplace: Reference.finish(self, y, x, inplace) if inplace or x.ndim < 2 or x.shape[-1] != 1 else y[..., 0]),
    wrong("two slopes in a layer", "layer.per-element", OwnLayer, **Q, **with_layer(called(two_slopes))),
    wrong("64 slopes in a layer", "layer.per-element", OwnLayer, **Q, **with_layer(called(few_slopes))),
    # Who draws, and when
    wrong("evaluation draws with its gradient", "seeding.evaluation-gradient-draws-nothing", vjp=draws_in_evaluation("vjp"), forward=plain_forward),
    wrong("evaluation draws in place", "seeding.evaluation-in-place-draws-nothing", forward=draws_in_evaluation("forward")),
    wrong("evaluation of a layer draws", "layer.evaluation-draws-nothing", OwnLayer, **with_layer(called(evaluation_takes))),
    wrong("eval draws", "layer.evaluation-draws-nothing", OwnLayer, **with_layer(layer_class(eval=evaluation_rewinds))),
    wrong("second pullback draws", "gradient.second-backward-draws-nothing", vjp=vjp_of(second_draws)),
    wrong("pullback draws", "seeding.gradient-draws-nothing", vjp=vjp_of(lambda self, x, y, p, k: (y, lambda g: (self.draw(k.get("generator")), p(g))[1]))),
    wrong("train restarts", "layer.train-goes-on", OwnLayer, **Q, **with_layer(layer_class(train=restarted))),
    wrong("all-positive takes no call", "portable.every-call-counts", draw=Reference.draw, choose=lambda self, x, spec, training, generator: Reference.choose(self, x, spec, training and not ((x >= 0).all() and x.size > 0), generator)),
    wrong("empty takes no call", "portable.every-call-counts", choose=lambda self, x, spec, training, generator: Reference.choose(self, x, spec, training and x.size > 0, generator)),
    wrong("layer ignores generator", "layer.generator", layer=lambda self, lo, up, inplace=False, generator=None: Layer(type(self), lo, up, inplace, None)),
    # State kept where it should not be
    wrong("gradient of the last forward", "gradient.two-graphs", Kept, vjp=vjp_of(of_the_last)),
    wrong("mask of the last forward", "gradient.two-graphs", Kept, side=noting_side, pull=pulling(mask_of_the_last)),
    wrong("one output buffer", "forward.results-are-apart", Kept, finish=one_output_buffer),
    wrong("one gradient buffer", "gradient.arguments-untouched", Kept, pull=pulling(one_gradient_buffer)),
    wrong("pullback writes its input", "gradient.arguments-untouched", vjp=vjp_of(written_input), forward=plain_forward),
    wrong("upstream scaled", "gradient.arguments-untouched", vjp=vjp_of(scaled_upstream), forward=plain_forward),
    wrong("upstream handed on", "gradient.upstream-is-new", pull=pulling(lambda self, gx, g, side, a, x: g if side.all() else gx)),
    wrong("first of a broadcast gradient", "gradient.broadcast-gradient", pull=pulling(first_row_of_broadcast)),
    wrong("broadcast columns as rows", "gradient.broadcast-gradient", pull=pulling(broadcast_rows_only)),
    wrong("second pass halved", "gradient.twice", vjp=vjp_of(once_halved)),
    wrong("input if all is positive", "forward.positive-result-is-new", finish=input_or_finish),
    wrong("input if small and positive", "forward.positive-result-is-new", finish=small_input_or_finish),
    wrong("always the input", "forward.result-is-new", finish=lambda self, y, x, inplace: Reference.finish(self, y, x, inplace) if inplace or not x.flags.writeable or 0 in x.strides else Reference.finish(self, y, x, True)),
    wrong("copy shares bounds", "layer.copies-have-own-bounds", OwnLayer, **with_layer(SHARED)),
    wrong("copies lose inplace", "layer.copies-keep-inplace", OwnLayer, **with_layer(unpickled(loses_inplace))),
    wrong("copies lose assigned bounds", "layer.copies-keep-assigned-bounds", OwnLayer, **with_layer(layer_class(__init__=noting_first, __setstate__=lambda self, state: (self.__dict__.update(state), first_bounds(self))[0]))),
    wrong("copies evaluate", "layer.deepcopy", OwnLayer, **with_layer(unpickled(lambda self: setattr(self, "training", False)))),
    wrong("copies are the original", "layer.copies-are-apart", OwnLayer, **with_layer(layer_class(__deepcopy__=lambda self, memo: self))),
    wrong("copies begin with the bounds swapped for 0", "layer.deepcopy", OwnLayer, **with_layer(layer_class(__deepcopy__=lambda self, memo: type(self)(self._kind, 0.0, 0.0, False, None)))),
    wrong("recomputation first in first out", "recompute.two-segments-backwards", Kept, recomputed_vjp=fifo),
    wrong("recomputation last in first out", "recompute.two-segments", Kept, recomputed_vjp=lifo),
    # Transforms and promises
    wrong("first gradient wrong", "transforms.double-gradient-first", double_vjp=double(lambda x, y, gx, second: (y, x, second))),
    wrong("first gradient of evaluation", "transforms.double-gradient-first", double_vjp=double(lambda x, y, gx, second: (y, (gx * 0.5).astype(gx.dtype), second))),
    wrong("second ignores its argument", "transforms.double-gradient-linear", double_vjp=double(lambda x, y, gx, second: (y, gx, lambda h: y))),
    wrong("second of the magnitude", "transforms.double-gradient", double_vjp=double(lambda x, y, gx, second: (y, gx, lambda h: np.abs(second(h))))),
    wrong("one slope for a row", "transforms.batching-rows", vmap=mapped(one_slope_per_row)),
    wrong("rows repeat", "transforms.batching-rows", vmap=mapped(rows_repeat)),
    wrong("mapped evaluation random", "transforms.batching-rows", vmap=mapped(random_in_evaluation)),
    wrong("index of 20 bits", "portable.beyond-20-bits", slopes=lambda self, shape, lo, up, compute, key: np.resize(Reference.slopes(self, (min(math.prod(shape), 2**20),), lo, up, compute, key), shape) if math.prod(shape) else np.zeros(shape, compute)),
    wrong("large blocks by call", "portable.large", slopes=lambda self, shape, lo, up, compute, key: np.concatenate([Reference.slopes(self, (min(2**18, math.prod(shape) - at),), lo, up, compute, (key[0], key[1] + at)) for at in range(0, math.prod(shape), 2**18)] or [np.zeros(0, compute)]).reshape(shape)),
    wrong("tangent ignored", "transforms.forward-mode-linear", jvp=direction(lambda x, v, y, dy: y)),
    wrong("tangent at 0", "transforms.forward-mode-at-zero", jvp=direction(lambda x, v, y, dy: np.where(x == 0, dy / 8, dy).astype(dy.dtype))),
    wrong("tangent times the sign", "transforms.forward-mode-linear", jvp=direction(lambda x, v, y, dy: np.where(v * x < 0, -dy, dy).astype(dy.dtype))),
    # Precision and bounds
    wrong("mean of bounds in float32", "evaluation.mean-in-double-precision", evaluation_slope=rounded_mean(np.float32)),
    wrong("mean of bounds in float16", "evaluation.default-bounds", evaluation_slope=rounded_mean(np.float16)),
    wrong("training in low precision", "forward.product-rounding", scale=half_product, **Q),
    wrong("tiny widths ignored", "bounds.tiny-width", check=bounds_of(lambda lo, up, x: (lo, lo) if _numbers(lo, up) and 0 < up - lo < 1e-5 else (lo, up)), **Q),
    wrong("tiny widths widened", "bounds.tiny-width", check=bounds_of(lambda lo, up, x: (lo, lo + 1e-3) if _numbers(lo, up) and 0 < up - lo < 1e-5 else (lo, up)), **Q),
    wrong("bounds saturate at 64", "bounds.large", check=saturated(64.0), **Q),
    wrong("bounds saturate at 150", "bounds.large", check=saturated(150.0), **Q),
    wrong("range by small magnitudes", "distribution.magnitude-does-not-matter", choose=by_magnitude(0.25), **Q),
    wrong("range by tiny magnitudes", "distribution.magnitude-does-not-matter", choose=by_magnitude(0.01), **Q),
    wrong("infinity kept", "special.infinity-negative-slope", scale=infinity_kept),
    wrong("infinity negative", "special.infinity-negative-slope", scale=minus_infinity),
    wrong("bool as lower", "errors.bool-lower", check=bounds_of(lambda lo, up, x: (float(lo) if isinstance(lo, bool) else lo, up))),
    wrong("upper converted", "errors.converted-upper", check=bounds_of(lambda lo, up, x: (lo, _float(up) if isinstance(up, str) else up))),
    wrong("upper in a list", "errors.converted-upper", check=bounds_of(lambda lo, up, x: (lo, _first(up)))),
    wrong("NaN assigned", "errors.assignment-nan", OwnLayer, **with_layer(layer_class(lower=nan_taken("lower")))),
    wrong("NaN assigned above", "errors.assignment-nan", OwnLayer, **with_layer(layer_class(upper=nan_taken("upper")))),
    wrong("evaluation not in place", "inplace.same-object", vjp=evaluation_copies),
    wrong("string as lower", "errors.string-bounds", check=bounds_of(lambda lo, up, x: (_float(lo) if isinstance(lo, str) else lo, up))),
    wrong("None as lower", "errors.none-bounds", check=bounds_of(lambda lo, up, x: (0.0 if lo is None else lo, up))),
    wrong("NaN as lower", "errors.nan-bounds", check=bounds_of(lambda lo, up, x: (0.0 if lo != lo else lo, up) if isinstance(lo, float) else (lo, up))),
    wrong("NaN as upper", "errors.nan-bounds", check=bounds_of(lambda lo, up, x: (lo, 0.5 if up != up else up) if isinstance(up, float) else (lo, up))),
]  # fmt: skip
