"""The slopes are those of the definition, to the bit: the same in every framework."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

import rrelu_compat
from rrelu_compat import generator as process
from rrelu_compat.conformance.arithmetic import Array, branch, compute_dtype, product
from rrelu_compat.conformance.programs import Step
from rrelu_compat.conformance.registry import TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

NEEDS = ("portable_slopes",)


def defined(t: Trial, x: Array, lower: float, upper: float, seed: int, call: int) -> Array:
    """Return the specified result of a training call."""
    dtype = compute_dtype(t.dtype).name
    return branch(x, rrelu_compat.slopes(x.shape, lower, upper, seed=seed, call=call, dtype=dtype))


@check(modes=TRAIN, inplace=(False, True), needs=NEEDS)
def forward(t: Trial) -> None:
    """Call k with a generator uses the slopes of (seed, k)."""
    x = t.draw_array("any")
    lower, upper = t.draw_any_bounds()
    generator = t.generator(t.seed)
    for call in range(2):
        y = t.forward(x, lower, upper, generator=generator)
        t.equal(y, defined(t, x, lower, upper, t.seed, call), f"y of call {call}", x)


@check(modes=TRAIN, inplace=(False, True), needs=("portable_slopes", "gradients"))
def gradient(t: Trial) -> None:
    """The gradient is a * g with the slopes of the definition."""
    x = t.draw_array("any")
    lower, upper = t.draw_any_bounds()
    g = t.draw_values("any", x.shape)
    _, gx = t.gradient(x, g, lower, upper, generator=t.generator(t.seed))
    slopes = rrelu_compat.slopes(
        x.shape, lower, upper, seed=t.seed, call=0, dtype=compute_dtype(t.dtype).name
    )
    expected = np.where(x >= 0, g, product(slopes, g)).astype(g.dtype)
    t.equal(gx, expected, "the gradient", x)


@check(modes=TRAIN, inplace=(False, True), needs=("portable_slopes", "strided"))
def layouts(t: Trial) -> None:
    """Elements are numbered in logical order, whatever the memory layout."""
    layouts = ("transposed", "sliced", "offset", "flipped", "channels-last")
    x = t.draw_layout(t.draw_array("finite"), layouts)
    y = t.forward(x, 0.125, 0.25, generator=t.generator(t.seed))
    t.equal(y, defined(t, x, 0.125, 0.25, t.seed, 0), "y", x)


@check(modes=TRAIN, needs=("portable_slopes", "evaluation"), once=True)
def evaluation_takes_no_call(t: Trial) -> None:
    """An evaluation takes no call number."""
    x, generator = t.minus_ones(32), t.generator(t.seed)
    t.forward(x, 0.0, 1.0, training=False, generator=generator)
    y = t.forward(x, 0.0, 1.0, generator=generator)
    t.equal(y, defined(t, x, 0.0, 1.0, t.seed, 0), "y after an evaluation", x)


@check(modes=TRAIN, needs=NEEDS, once=True)
def large(t: Trial) -> None:
    """A tensor large enough for several threads has the slopes of the definition."""
    x = t.spread((2**19 + 5,), -2.0, 1.0)
    y = t.forward(x, 0.1, 0.3, generator=t.generator(t.seed))
    t.equal(y, defined(t, x, 0.1, 0.3, t.seed, 0), "y", x)


@check(modes=TRAIN, needs=NEEDS, once=True)
def extreme_seeds(t: Trial) -> None:
    """Seeds up to 2**64 - 1 are taken."""
    x = t.minus_ones(9)
    for seed in (0, 2**32, 2**63, 2**64 - 1):
        y = t.forward(x, 0.0, 1.0, generator=t.generator(seed))
        t.equal(y, defined(t, x, 0.0, 1.0, seed, 0), f"y of seed {seed}", x)


@check(modes=TRAIN, needs=("manual_seed",), once=True)
def manual_seed(t: Trial) -> None:
    """After rrelu_compat.manual_seed(s) call k without a generator uses the slopes of (s, k)."""
    # Another seed than that of the default stream.
    x, seed = t.minus_ones(33), t.seed + 1
    try:
        t.steps.append(_manual_seed_step(seed))
        rrelu_compat.manual_seed(seed)
        for call in range(3):
            t.equal(
                t.forward(x, 0.0, 1.0),
                defined(t, x, 0.0, 1.0, seed, call),
                f"y of call {call}",
                x,
            )
    finally:
        process.set_process_generator(False)


def _manual_seed_step(seed: int) -> Step:
    return Step("expression", {"text": f"__import__('rrelu_compat').manual_seed({seed})"})


@check(modes=TRAIN, needs=NEEDS, once=True)
def every_call_counts(t: Trial) -> None:
    """A training call takes a call number whatever the elements are: all positive, or none."""
    x = t.minus_ones(16)
    for between_calls in (-x, x[:0]):
        generator = t.generator(t.seed)
        t.forward(between_calls, 0.0, 1.0, generator=generator)
        y = t.forward(x, 0.0, 1.0, generator=generator)
        t.equal(y, defined(t, x, 0.0, 1.0, t.seed, 1), "y of call 1", x)


@check(modes=TRAIN, needs=NEEDS, once=True)
def beyond_20_bits(t: Trial) -> None:
    """Elements from 2**20 on have the slopes of the definition."""
    x = t.minus_ones(2**20 + 33)
    y = t.forward(x, 0.0, 1.0, generator=t.generator(t.seed))
    last = slice(2**20 - 33, None)
    t.equal(y[last], defined(t, x, 0.0, 1.0, t.seed, 0)[last], "y[2**20 - 33:]", x[last])
