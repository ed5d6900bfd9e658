"""Layers: modes, live bounds, copies."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.arithmetic import branch, mean_slope
from rrelu_compat.conformance.checks.forward import between
from rrelu_compat.conformance.checks.portable import defined
from rrelu_compat.conformance.registry import BOTH, TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.arithmetic import Array
    from rrelu_compat.conformance.trial import Trial

LAYERS = ("layers",)


def _in_mode(t: Trial, lower: float, upper: float, **keywords: Any) -> Any:
    layer = t.layer(lower, upper, **keywords)
    t.method(layer, "train()" if t.training else "eval()")
    return layer


@check(modes=BOTH, inplace=(False, True), needs=LAYERS)
def forward(t: Trial) -> None:
    """A layer does what the function does in its mode."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    y = t.call_array(_in_mode(t, lower, upper), x)
    if t.training:
        between(t, y, x, lower, upper)
    else:
        t.specified(y, branch(x, mean_slope(lower, upper)), x)


@check(modes=TRAIN, needs=LAYERS, once=True)
def trains_at_first(t: Trial) -> None:
    """A new layer is in training mode, and says so."""
    layer = t.layer(0.0, 1.0)
    t.ensure(layer.training is True, f"layer.training is {layer.training!r}")
    y = t.call_array(layer, t.minus_ones(64))
    t.ensure(np.unique(y.astype(np.float64)).size > 1, "a new layer gave all elements one slope")


@check(needs=(*LAYERS, "evaluation"), once=True)
def switches(t: Trial) -> None:
    """eval() and train() switch modes back and forth."""
    layer, x = t.layer(0.0, 1.0), t.minus_ones(64)
    for _ in range(2):
        t.method(layer, "eval()")
        t.ensure(layer.training is False, "layer.training is not False after eval()")
        t.equal(t.call_array(layer, x), branch(x, 0.5), "y after eval()", x)
        t.method(layer, "train()")
        t.ensure(layer.training is True, "layer.training is not True after train()")
        y = t.call_array(layer, x)
        t.ensure(np.unique(y.astype(np.float64)).size > 1, "after train() all slopes are one")


@check(modes=TRAIN, inplace=(True,), needs=LAYERS, once=True)
def inplace(t: Trial) -> None:
    """A layer with inplace returns its input."""
    x = t.tensor(t.minus_ones(4))
    t.ensure(t.call(t.layer(0.125, 0.25), x) is x, "y is not x")


@check(modes=TRAIN, needs=LAYERS, once=True)
def fresh_each_call(t: Trial) -> None:
    """Two calls of a layer use different slopes."""
    layer, x = t.layer(0.0, 1.0), t.minus_ones(64)
    first, second = t.call_array(layer, x), t.call_array(layer, x)
    t.ensure(bool((first != second).any()), "two calls gave the same slopes")


@check(modes=TRAIN, needs=LAYERS, once=True)
def layers_differ(t: Trial) -> None:
    """Two layers use different slopes."""
    x = t.minus_ones(64)
    first, second = t.call_array(t.layer(0.0, 1.0), x), t.call_array(t.layer(0.0, 1.0), x)
    t.ensure(bool((first != second).any()), "two layers gave the same slopes")


@check(modes=BOTH, needs=("live_bounds",), once=True)
def live_bounds(t: Trial) -> None:
    """Assigned bounds count from the next call on."""
    layer, x = _in_mode(t, 0.125, 0.25), t.minus_ones(64)
    t.call_array(layer, x)
    t.method(layer, "upper = 0.75")
    t.method(layer, "lower = 0.5")
    y = t.call_array(layer, x)
    between(t, y, x, 0.5, 0.75)
    if not t.training:
        t.specified(y, branch(x, 0.625), x)


@check(needs=("live_bounds",), once=True)
def bounds_are_readable(t: Trial) -> None:
    """layer.lower and layer.upper are the bounds."""
    layer = t.layer(0.125, 0.25)
    got = t.bounds_of(layer)
    t.ensure(got == (0.125, 0.25), f"layer.lower, layer.upper are {got}")


@check(modes=BOTH, needs=("pickling",), once=True)
def deepcopy(t: Trial) -> None:
    """A deep copy has the bounds and the mode, and its own slopes."""
    layer, x = _in_mode(t, 0.5, 0.75), t.minus_ones(64)
    twin = t.copies(layer)
    y = _same_kind(t, twin, x)
    if t.training:
        other = t.call_array(layer, x)
        t.ensure(bool((y != other).any()), "the copy gave the same slopes as the original")


@check(modes=BOTH, needs=("pickling",), once=True)
def pickling(t: Trial) -> None:
    """An unpickled layer has the bounds and the mode."""
    layer, x = _in_mode(t, 0.5, 0.75), t.minus_ones(64)
    _same_kind(t, _unpickled(t, layer), x)


def _unpickled(t: Trial, layer: Any) -> Any:
    pickled = pickle.dumps(layer)
    text = f"__import__('pickle').loads(__import__('pickle').dumps({t.name_of(layer)}))"
    return t.adopt(pickle.loads(pickled), text)


def _same_kind(t: Trial, twin: Any, x: Array) -> Array:
    t.ensure(twin.training is t.training, f"the copy has training={twin.training!r}")
    y = t.call_array(twin, x)
    between(t, y, x, 0.5, 0.75)
    if t.training:
        t.ensure(np.unique(y.astype(np.float64)).size > 1, "the copy has one slope")
    else:
        t.specified(y, branch(x, 0.625), x, "y of the copy")
    return y


@check(modes=TRAIN, needs=("layers", "seeding"), once=True)
def generator(t: Trial) -> None:
    """A layer with a generator gives what calls with a generator of the same seed give."""
    x = t.minus_ones(32)
    # Another seed than that of the default stream.
    layer = t.layer(0.0, 1.0, generator=t.generator(t.seed + 1))
    generator = t.generator(t.seed + 1)
    for call in range(2):
        expected = t.forward(x, 0.0, 1.0, generator=generator)
        t.equal(t.call_array(layer, x), expected, f"y of call {call}", x)


@check(modes=TRAIN, needs=("pickling", "portable_slopes"), once=True)
def deepcopy_shares_generator(t: Trial) -> None:
    """A deep copy shares the generator: original and copy take calls from one stream."""
    x = t.minus_ones(32)
    layer = t.layer(0.0, 1.0, generator=t.generator(t.seed))
    twin = t.copies(layer)
    for call, each in enumerate((twin, layer, twin)):
        y = t.call_array(each, x)
        t.equal(y, defined(t, x, 0.0, 1.0, t.seed, call), f"y of call {call}", x)


@check(modes=TRAIN, needs=("pickling", "portable_slopes"), once=True)
def pickling_continues_stream(t: Trial) -> None:
    """An unpickled layer continues the stream of its generator where it was pickled."""
    x = t.minus_ones(32)
    layer = t.layer(0.0, 1.0, generator=t.generator(t.seed))
    t.call_array(layer, x)
    twin = _unpickled(t, layer)
    for call in (1, 2):
        y = t.call_array(twin, x)
        t.equal(y, defined(t, x, 0.0, 1.0, t.seed, call), f"y of call {call}", x)


@check(modes=BOTH, needs=("pickling",), once=True)
def copies_are_apart(t: Trial) -> None:
    """Switching a copy's mode leaves the original's alone."""
    layer = _in_mode(t, 0.5, 0.75)
    twin = t.copies(layer)
    t.method(twin, "eval()" if t.training else "train()")
    mode = layer.training
    t.ensure(mode is t.training, f"the original has training={mode!r} now")


@check(modes=TRAIN, needs=LAYERS, once=True)
def per_element(t: Trial) -> None:
    """The elements that a layer is given have slopes of their own."""
    y = t.call_array(t.layer(0.0, 1.0), t.minus_ones(4096))
    distinct = np.unique(y.astype(np.float64)).size
    t.ensure(distinct > 128, f"4096 elements have {distinct} different slopes")


@check(modes=TRAIN, needs=LAYERS, once=True)
def train_goes_on(t: Trial) -> None:
    """train() and eval() do not begin the stream of slopes again."""
    layer, x = t.layer(0.0, 1.0), t.minus_ones(64)
    seen = []
    for switches in ((), ("train()",), ("eval()", "train()")):
        for switch in switches:
            t.method(layer, switch)
        seen.append(t.call_array(layer, x).tobytes())
    t.ensure(len(set(seen)) == 3, "after train() a layer repeats the slopes of an earlier call")


@check(modes=TRAIN, needs=("layers", "any_seeding", "evaluation"), once=True)
def evaluation_draws_nothing(t: Trial) -> None:
    """A layer in evaluation does not move the stream."""
    x = t.minus_ones(16)

    def seeded() -> Any:
        if t.claims("global_seeding"):
            t.reseed(t.seed)
            return t.layer(0.0, 1.0)
        return t.layer(0.0, 1.0, generator=t.generator(t.seed))

    expected = t.call_array(seeded(), x)
    layer = seeded()
    t.method(layer, "eval()")
    t.call_array(layer, x)
    t.method(layer, "train()")
    t.equal(t.call_array(layer, x), expected, "y after an evaluation of the layer", x)


@check(modes=TRAIN, needs=("pickling", "live_bounds"), once=True)
def copies_have_own_bounds(t: Trial) -> None:
    """Bounds assigned to a copy are not those of the original."""
    layer = t.layer(0.125, 0.25)
    twin = t.copies(layer)
    t.method(twin, "upper = 0.75")
    got = t.bounds_of(layer)
    t.ensure(got == (0.125, 0.25), f"the original has lower, upper = {got} now")
    x = t.minus_ones(64)
    between(t, t.call_array(layer, x), x, 0.125, 0.25)


@check(modes=BOTH, needs=("pickling", "live_bounds"), once=True)
def copies_keep_assigned_bounds(t: Trial) -> None:
    """Copied and unpickled layers have the bounds that were assigned, not those of the beginning."""
    layer, x = _in_mode(t, 0.125, 0.25), t.minus_ones(64)
    t.method(layer, "upper = 0.75")
    t.method(layer, "lower = 0.5")
    for twin in (t.copies(layer), _unpickled(t, layer)):
        between(t, t.call_array(twin, x), x, 0.5, 0.75)


@check(modes=BOTH, inplace=(True,), needs=("pickling",), once=True)
def copies_keep_inplace(t: Trial) -> None:
    """Copied and unpickled layers work in place if the original does."""
    layer = _in_mode(t, 0.125, 0.25)
    for twin in (t.copies(layer), _unpickled(t, layer)):
        x = t.tensor(t.minus_ones(4))
        t.ensure(t.call(twin, x) is x, "y of the copy is not x")
