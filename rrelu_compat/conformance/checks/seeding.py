"""Seeds: what they decide, and what must not move the stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.conformance.arithmetic import Array, same_bits
from rrelu_compat.conformance.registry import TRAIN, check

if TYPE_CHECKING:
    from rrelu_compat.conformance.trial import Trial

SEEDED = ("seeding",)
GLOBAL = ("global_seeding",)


ANY = ("any_seeding",)


def _seeded(t: Trial, x: Array, seed: int) -> Array:
    if not t.claims("seeding"):
        t.reseed(seed)
        return t.forward(x, 0.0, 1.0)
    return t.forward(x, 0.0, 1.0, generator=t.generator(seed))


@check(modes=TRAIN, inplace=(False, True), needs=SEEDED)
def reproducible(t: Trial) -> None:
    """Generators of the same seed give the same bits, call after call."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    first, second = t.generator(t.seed), t.generator(t.seed)
    for _ in range(2):
        expected = t.forward(x, lower, upper, generator=first)
        t.equal(t.forward(x, lower, upper, generator=second), expected, "y of the same seed", x)


@check(modes=TRAIN, needs=SEEDED, once=True)
def different_seeds(t: Trial) -> None:
    """Different seeds give different slopes."""
    x = t.minus_ones(64)
    seen = {_seeded(t, x, t.seed + k).tobytes() for k in range(20)}
    t.ensure(len(seen) == 20, f"20 seeds gave {len(seen)} different results on 64 elements")


@check(modes=TRAIN, needs=SEEDED, once=True)
def high_seed_bits(t: Trial) -> None:
    """Seeds that differ in any of 32 bits give different slopes."""
    x = t.minus_ones(64)
    seen = {_seeded(t, x, 1 << k).tobytes() for k in range(32)}
    t.ensure(len(seen) == 32, f"32 seeds of one bit gave {len(seen)} different results")


@check(modes=TRAIN, inplace=(False, True), needs=SEEDED, once=True)
def generator_advances(t: Trial) -> None:
    """Two calls with one generator use different slopes."""
    x, generator = t.minus_ones(64), t.generator(t.seed)
    first = t.forward(x, 0.0, 1.0, generator=generator)
    second = t.forward(x, 0.0, 1.0, generator=generator)
    t.ensure(bool((first != second).any()), "two calls with one generator gave the same slopes")


@check(modes=TRAIN, needs=("seeding", "evaluation"))
def evaluation_draws_nothing(t: Trial) -> None:
    """An evaluation between two training calls does not move a generator."""
    x, between = t.draw_values("negative", (5,)), t.draw_array("moderate")
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    t.forward(x, 0.0, 1.0, generator=plain)
    expected = t.forward(x, 0.0, 1.0, generator=plain)
    t.forward(x, 0.0, 1.0, generator=disturbed)
    t.forward(between, 0.0, 1.0, training=False, generator=disturbed)
    t.equal(t.forward(x, 0.0, 1.0, generator=disturbed), expected, "y after an evaluation", x)


@check(modes=TRAIN, needs=("seeding", "gradients"), once=True)
def gradient_draws_nothing(t: Trial) -> None:
    """A gradient between two training calls does not move a generator."""
    x = t.minus_ones(16)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    t.forward(x, 0.0, 1.0, generator=plain)
    expected = t.forward(x, 0.0, 1.0, generator=plain)
    t.gradient(x, x, 0.0, 1.0, generator=disturbed)
    t.equal(t.forward(x, 0.0, 1.0, generator=disturbed), expected, "y after a gradient", x)


def _ignores(t: Trial, before: float, after: float) -> None:
    x = np.array([before, -1.0, before, -1.0, -1.0]).astype(t.dtype)
    moved = np.array([after, -1.0, after, -1.0, -1.0]).astype(t.dtype)
    first, second = _seeded(t, x, t.seed), _seeded(t, moved, t.seed)
    same = same_bits(first, second)[[1, 3, 4]]
    t.ensure(same.all(), f"slopes of -1 changed when other elements went from {before} to {after}")


@check(modes=TRAIN, needs=ANY, once=True)
def positives_count(t: Trial) -> None:
    """The slope of an element does not depend on whether others are negative or positive."""
    _ignores(t, -2.0, 2.0)


@check(modes=TRAIN, needs=ANY, once=True)
def zeros_count_like_positives(t: Trial) -> None:
    """The slope of an element does not depend on whether others are zero or positive."""
    _ignores(t, 0.0, 2.0)


@check(modes=TRAIN, needs=ANY, once=True)
def zeros_count_like_negatives(t: Trial) -> None:
    """The slope of an element does not depend on whether others are zero or negative."""
    _ignores(t, 0.0, -2.0)


@check(modes=TRAIN, needs=ANY)
def shape_does_not_matter(t: Trial) -> None:
    """The same elements in another shape get the same slopes."""
    rows, columns = (1 + k for k in t.draw_small(2))
    x = t.draw_values("negative", (rows, columns))
    first = _seeded(t, x, t.seed)
    t.equal(_seeded(t, x.reshape(-1), t.seed), first.reshape(-1), "y of the flat tensor")


@check(modes=TRAIN, needs=("any_seeding", "strided"))
def layout_does_not_matter(t: Trial) -> None:
    """The same elements in another memory layout get the same slopes."""
    rows, columns = (2 + k for k in t.draw_small(2))
    x = t.draw_values("negative", (rows, columns))
    first = _seeded(t, x, t.seed)
    t.equal(_seeded(t, np.asfortranarray(x), t.seed), first, "y of the transposed layout", x)


@check(modes=TRAIN, needs=GLOBAL)
def global_reproducible(t: Trial) -> None:
    """After the framework's seed is set again, calls repeat."""
    x = t.draw_array("finite")
    lower, upper = t.draw_bounds()
    t.reseed(t.seed)
    first = [t.forward(x, lower, upper) for _ in range(2)]
    t.reseed(t.seed)
    for expected in first:
        t.equal(t.forward(x, lower, upper), expected, "y after seeding again", x)


@check(modes=TRAIN, needs=GLOBAL, once=True)
def global_different_seeds(t: Trial) -> None:
    """Different framework seeds give different slopes."""
    x = t.minus_ones(64)
    seen = set()
    for k in range(20):
        t.reseed(t.seed + k)
        seen.add(t.forward(x, 0.0, 1.0).tobytes())
    t.ensure(len(seen) == 20, f"20 seeds gave {len(seen)} different results on 64 elements")


@check(modes=TRAIN, needs=("global_seeding", "evaluation"))
def evaluation_leaves_global_stream(t: Trial) -> None:
    """An evaluation does not move the framework's stream."""
    x, between = t.draw_values("negative", (5,)), t.draw_array("moderate")
    t.reseed(t.seed)
    expected = t.forward(x, 0.0, 1.0)
    t.reseed(t.seed)
    t.forward(between, 0.0, 1.0, training=False)
    t.equal(t.forward(x, 0.0, 1.0), expected, "y after an evaluation", x)


@check(modes=TRAIN, needs=("seeding", "global_seeding"), once=True)
def generators_ignore_global_seed(t: Trial) -> None:
    """A call with a generator does not depend on the framework's seed."""
    x = t.minus_ones(16)
    t.reseed(t.seed)
    expected = _seeded(t, x, 5)
    t.reseed(t.seed + 1)
    t.equal(_seeded(t, x, 5), expected, "y with a generator", x)


@check(modes=TRAIN, needs=SEEDED, once=True)
def seeds_and_calls_apart(t: Trial) -> None:
    """Of 16 neighbouring seeds and 16 calls of each no two give the same slopes."""
    x = t.minus_ones(64)
    seen: dict[bytes, tuple[int, int]] = {}
    for seed in range(t.seed, t.seed + 16):
        generator = t.generator(seed)
        for call in range(16):
            slopes = t.forward(x, 0.0, 1.0, generator=generator).tobytes()
            if slopes in seen:
                t.fail(f"(seed, call) {seen[slopes]} and {(seed, call)} gave the same slopes")
            seen[slopes] = (seed, call)


@check(modes=TRAIN, needs=GLOBAL, once=True)
def global_high_seed_bits(t: Trial) -> None:
    """Framework seeds that differ in any of 31 bits give different slopes."""
    x = t.minus_ones(64)
    seen = set()
    for k in range(31):
        t.reseed(1 << k)
        seen.add(t.forward(x, 0.0, 1.0).tobytes())
    t.ensure(len(seen) == 31, f"31 seeds of one bit gave {len(seen)} different results")


@check(modes=TRAIN, needs=("seeding", "gradients", "evaluation"), once=True)
def evaluation_gradient_draws_nothing(t: Trial) -> None:
    """An evaluation whose gradient is asked for does not move a generator."""
    x = t.minus_ones(16)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    expected = t.forward(x, 0.0, 1.0, generator=plain)
    t.gradient(x, x, 0.0, 1.0, training=False, generator=disturbed)
    t.equal(t.forward(x, 0.0, 1.0, generator=disturbed), expected, "y after the evaluation", x)


@check(modes=TRAIN, inplace=(True,), needs=("seeding", "evaluation"), once=True)
def evaluation_in_place_draws_nothing(t: Trial) -> None:
    """An evaluation in place does not move a generator."""
    x = t.minus_ones(16)
    plain, disturbed = t.generator(t.seed), t.generator(t.seed)
    expected = t.forward(x, 0.0, 1.0, generator=plain)
    t.forward(x, 0.0, 1.0, training=False, generator=disturbed)
    t.equal(t.forward(x, 0.0, 1.0, generator=disturbed), expected, "y after the evaluation", x)
