"""Wrong slopes: shared, of another distribution, dependent, periodic, of the wrong stream."""

from __future__ import annotations

import math

import numpy as np

from rrelu_adapters.pairs import OwnStream, Pair
from rrelu_adapters.reference import Reference
from rrelu_compat import Generator, slopes


class ByChannel(Reference):
    """Goes through the channels (axis 1), each with its own elements' slopes."""

    def slopes(self, shape, lower, upper, compute, key):
        a = super().slopes(shape, lower, upper, compute, key)
        out = np.empty_like(a)
        for c in range(shape[1] if len(shape) > 1 else 0):
            out[:, c] = self.channel(a[:, c])
        return out if len(shape) > 1 else a

    def channel(self, a):
        return a


class PerChannel(ByChannel):
    def channel(self, a):
        return np.broadcast_to(a[:1].reshape(-1)[:1], a.shape) if a.size else a


class PerSample(Reference):
    def slopes(self, shape, lower, upper, compute, key):
        a = super().slopes(shape, lower, upper, compute, key)
        return np.broadcast_to(a[..., :1], shape) if len(shape) > 1 and a.size else a


class PerPosition(Reference):
    def slopes(self, shape, lower, upper, compute, key):
        a = super().slopes(shape, lower, upper, compute, key)
        return np.broadcast_to(a[:1], shape) if len(shape) > 1 and a.size else a


class PerTensor(Reference):
    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes((), lower, upper, compute, key)


class SameEachCall(Reference):
    """The call number is ignored."""

    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, (key[0], 0))


class LayersAlike(Reference):
    """Every layer has a generator of the same seed."""

    def layer(self, lower, upper, *, inplace=False, generator=None):
        return super().layer(lower, upper, inplace=inplace, generator=generator or Generator(7))


class Swapped(OwnStream):
    """The bounds change places."""

    def slopes(self, shape, lower, upper, compute, key):
        u = self.uniform(shape, compute, key)
        return (compute.type(upper) + compute.type(upper - lower) * u).astype(compute)


class Shifted(OwnStream):
    """One percent of the width too high."""

    def uniform(self, shape, compute, key):
        return np.minimum(super().uniform(shape, compute, key) + compute.type(0.01), 1)


class ScaledBounds(OwnStream):
    """One percent too steep."""

    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, key) * compute.type(1.01)


class HalfRange(OwnStream):
    def uniform(self, shape, compute, key):
        return super().uniform(shape, compute, key) / 2


class NeverLow(OwnStream):
    """The lowest tenth is missing."""

    def uniform(self, shape, compute, key):
        return np.maximum(super().uniform(shape, compute, key), compute.type(0.1))


class Beta(OwnStream):
    """Beta(2, 2): the median of three."""

    def uniform(self, shape, compute, key):
        three = super().uniform((3, *shape), compute, key)
        return np.median(three, axis=0)


class BetaOneOne(OwnStream):
    """Beta(1, 1): the median of one, which is uniform."""

    def uniform(self, shape, compute, key):
        return np.median(super().uniform((1, *shape), compute, key), axis=0)


class Triangular(OwnStream):
    def uniform(self, shape, compute, key):
        return super().uniform((2, *shape), compute, key).mean(axis=0)


class FourBits(OwnStream):
    """Sixteen different slopes: mean and variance nearly right."""

    def uniform(self, shape, compute, key):
        return (np.floor(super().uniform(shape, compute, key) * 16) + compute.type(0.5)) / 16


class InTwos(OwnStream):
    """Numbers made two by two."""

    def uniform(self, shape, compute, key):
        count = math.prod(shape)
        twos = super().uniform(((count + 1) // 2, 2), compute, key)
        self.second(twos)
        return twos.reshape(-1)[:count].reshape(shape)

    def second(self, twos):
        pass


class NeighboursAlike(InTwos):
    def second(self, twos):
        twos[:, 1] = twos[:, 0]


class Antithetic(InTwos):
    def second(self, twos):
        twos[:, 1] = 1 - twos[:, 0]


class AlikeFromTheMean(InTwos):
    """Neighbours are as far from the mean, on sides that do not correlate."""

    def second(self, twos):
        side = np.where(twos[:, 1] < 0.5, -1, 1)
        twos[:, 1] = 0.5 + side * np.abs(twos[:, 0] - 0.5)


class InBlocks(Reference):
    """Makes slopes block by block."""

    block = 2**12

    def slopes(self, shape, lower, upper, compute, key):
        count = math.prod(shape)
        whole = super().slopes((count,), lower, upper, compute, key)
        parts = [self.part(whole, k) for k in range(0, count, self.block)]
        return np.concatenate(parts).reshape(shape) if parts else whole.reshape(shape)

    def part(self, whole, start):
        return whole[start : start + self.block]


class ShortPeriod(InBlocks):
    def part(self, whole, start):
        return whole[: min(self.block, whole.size - start)]


class LongPeriod(ShortPeriod):
    """Element numbers of 18 bits."""

    block = 2**18


class FirstElementsOnly(InBlocks):
    """Elements from 2**18 on get the mean."""

    block = 2**18

    def part(self, whole, start):
        part = whole[start : start + self.block]
        return part if start == 0 else np.full_like(part, whole[: self.block].mean())


class CallsOverlap(OwnStream):
    """Call k begins k elements into call 0."""

    def uniform(self, shape, compute, key):
        seed, call = key
        start = call % 64
        count = math.prod(shape)
        return slopes(count + 64, 0, 1, seed=seed, dtype=compute.name)[
            start : start + count
        ].reshape(shape)


class SeedsOverlap(OwnStream):
    """Seed s begins s elements into seed 0."""

    def uniform(self, shape, compute, key):
        seed, call = key
        start = seed % 4096
        count = math.prod(shape)
        return slopes(count + 4096, 0, 1, seed=0, call=call, dtype=compute.name)[
            start : start + count
        ].reshape(shape)


class CallsRepeat(Reference):
    """Call numbers of 7 bits."""

    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, (key[0], key[1] % 128))


class SeedIgnored(Reference):
    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, (0, key[1]))


class SeedOf16Bits(Reference):
    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, (key[0] % 2**16, key[1]))


class GeneratorIgnored(Reference):
    def draw(self, generator):
        return super().draw(None)


class GeneratorStandsStill(Reference):
    """A generator gives its first call for ever."""

    def draw(self, generator):
        return (generator.seed, 0) if generator is not None else super().draw(None)


class UnseededStream(OwnStream):
    """Uniform numbers of NumPy, whose seed `seed` does not set."""

    rng = np.random.default_rng(3)

    def uniform(self, shape, compute, key):
        return self.rng.random(shape)


class SeededStream(OwnStream):
    """Uniform numbers of NumPy, seeded by the call's key."""

    def uniform(self, shape, compute, key):
        return np.random.default_rng(key).random(shape)


class OffByOne(Reference):
    """Elements are counted from one."""

    def slopes(self, shape, lower, upper, compute, key):
        count = math.prod(shape)
        return super().slopes(count + 1, lower, upper, compute, key)[1:].reshape(shape)


class CallsFromOne(Reference):
    """Calls are counted from one."""

    def slopes(self, shape, lower, upper, compute, key):
        return super().slopes(shape, lower, upper, compute, (key[0], key[1] + 1))


class MemoryOrder(Reference):
    """Elements are counted in the order of memory."""

    def choose(self, x, spec, training, generator):
        a, key = super().choose(x, spec, training, generator)
        if training and x.ndim > 1 and not x.flags.c_contiguous:
            a = np.ascontiguousarray(a).reshape(x.shape[::-1]).T
        return a, key


class DependsOnSigns(OwnStream):
    """A number is drawn for each negative element only."""

    def choose(self, x, spec, training, generator):
        a, key = super().choose(x, spec, training, generator)
        if training:
            flat = np.zeros(x.size, a.dtype)
            negative = (x < 0).reshape(-1)
            flat[negative] = a.reshape(-1)[: negative.sum()]
            a = flat.reshape(x.shape)
        return a, key


PAIRS = [
    Pair(PerChannel, "random.along-first-axis", ByChannel),
    Pair(PerSample, "random.along-last-axis"),
    Pair(PerPosition, "random.along-first-axis"),
    Pair(PerTensor, "random.per-element"),
    Pair(SameEachCall, "random.fresh-each-call"),
    Pair(LayersAlike, "layer.layers-differ"),
    Pair(Swapped, "forward.bounds", OwnStream),
    Pair(Shifted, "distribution.mean", OwnStream),
    Pair(ScaledBounds, "forward.bounds", OwnStream),
    Pair(HalfRange, "distribution.both-ends", OwnStream),
    Pair(NeverLow, "distribution.both-ends", OwnStream),
    Pair(Beta, "distribution.uniform", BetaOneOne),
    Pair(Triangular, "distribution.variance", BetaOneOne),
    Pair(FourBits, "distribution.uniform", OwnStream),
    Pair(NeighboursAlike, "independence.neighbours", InTwos),
    Pair(Antithetic, "independence.neighbours", InTwos),
    Pair(AlikeFromTheMean, "independence.squares", InTwos),
    Pair(ShortPeriod, "independence.no-period", InBlocks),
    Pair(LongPeriod, "independence.no-long-period", InBlocks),
    Pair(FirstElementsOnly, "shapes.large", InBlocks),
    Pair(CallsOverlap, "independence.calls", OwnStream),
    Pair(SeedsOverlap, "independence.seeds", OwnStream),
    Pair(CallsRepeat, "random.calls-never-repeat"),
    Pair(SeedIgnored, "seeding.different-seeds"),
    Pair(SeedOf16Bits, "seeding.high-seed-bits"),
    Pair(GeneratorIgnored, "seeding.reproducible"),
    Pair(GeneratorStandsStill, "seeding.generator-advances"),
    Pair(UnseededStream, "seeding.global-reproducible", SeededStream),
    Pair(OffByOne, "portable.forward"),
    Pair(CallsFromOne, "portable.forward"),
    Pair(MemoryOrder, "seeding.layout-does-not-matter"),
    Pair(DependsOnSigns, "seeding.positives-count", OwnStream),
]
