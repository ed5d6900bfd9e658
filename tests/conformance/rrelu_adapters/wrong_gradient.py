"""Wrong gradients, in one pass and under recomputation."""

from __future__ import annotations

import numpy as np

from rrelu_adapters.pairs import Pair
from rrelu_adapters.reference import Reference
from rrelu_compat.conformance.arithmetic import dtype_of


class FreshSlopes(Reference):
    """The backward draws again."""

    def pull(self, g, side, a, spec, key, x):
        if key is not None:
            a = self.slopes(g.shape, spec.lower, spec.upper, self.compute(g.dtype), (key[0], 2**40))
        return super().pull(g, side, a, spec, key, x)


class SlopesMadeAgain(Reference):
    """The backward makes the slopes of its call again instead of keeping them."""

    def pull(self, g, side, a, spec, key, x):
        if key is not None:
            a = self.slopes(g.shape, spec.lower, spec.upper, self.compute(g.dtype), key)
        return super().pull(g, side, a, spec, key, x)


class MeanSlope(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, side, spec.eval_slope, spec, key, x)


class EvaluationGradientLower(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, side, spec.lower if key is None else a, spec, key, x)


class WrongSide(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, ~side, a, spec, key, x)


class ZeroOnThePositiveSide(Reference):
    """What PyTorch's CUDA kernel once did."""

    def pull(self, g, side, a, spec, key, x):
        return np.where(side, g * 0, super().pull(g, side, a, spec, key, x)).astype(g.dtype)


class SlopeAtZero(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, side & (x != 0), a, spec, key, x)


class FromKeptInput(Reference):
    """The side is found again from a copy of the input."""

    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, x >= 0, a, spec, key, x)


class NaNIsPositive(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, ~(x < 0), a, spec, key, x)


class SideOfTheOutput(Reference):
    """The side is told from the sign of the output, which a negative slope turns."""

    def pull(self, g, side, a, spec, key, x):
        y = self.join(side, x, self.scale(a, x))
        return super().pull(g, y >= 0, a, spec, key, x)


class RoundedNoise(Reference):
    """Slopes are kept in bfloat16."""

    def pull(self, g, side, a, spec, key, x):
        kept = np.asarray(a).astype(dtype_of("bfloat16")).astype(self.compute(g.dtype))
        return super().pull(g, side, kept, spec, key, x)


class OnceOnly(Reference):
    """The slopes are freed by the first backward."""

    def vjp(self, x, lower, upper, **keywords):
        y, pullback = super().vjp(x, lower, upper, **keywords)
        times = []

        def once(g):
            times.append(1)
            return pullback(g) if len(times) == 1 else g

        return y, once


class GradientInMemoryOrder(Reference):
    """The output gradient is taken as if it were contiguous."""

    def pull(self, g, side, a, spec, key, x):
        gx = super().pull(g, side, a, spec, key, x)
        strides = np.array(g.strides)
        if g.ndim > 1 and g.size and (strides[:-1] < strides[1:]).any():
            gx = np.ascontiguousarray(gx.reshape(g.shape[::-1]).T).reshape(g.shape)
        return gx


class GradientPromoted(Reference):
    def pull(self, g, side, a, spec, key, x):
        return super().pull(g, side, a, spec, key, x).astype(np.float64)


class RecordedCallDiffers(Reference):
    """A call that records a gradient takes another slope."""

    def forward(self, x, lower, upper, *, training, inplace=False, generator=None):
        spec = self.check(x, lower, upper, training)
        a, key = self.choose(x, spec, training, generator)
        if key is not None:
            a = self.slopes(
                x.shape, spec.lower, spec.upper, self.compute(x.dtype), (key[0] ^ 1, key[1])
            )
        side = self.side(x)
        return self.finish(self.join(side, self.positive(x), self.scale(a, x)), x, inplace)


class RecomputationDraws(Reference):
    """The repeated forward draws again."""

    def recall(self, key, generator):
        return self.draw(generator)


class RecomputationTakesTheLast(Reference):
    """The repeated forward repeats the latest call, whichever it was."""

    def draw(self, generator):
        self.latest.append(super().draw(generator))
        return self.latest[-1]

    def __init__(self):
        super().__init__()
        self.latest = []

    def recall(self, key, generator):
        return self.latest[-1]


class RecomputationAdvances(Reference):
    """The repeated forward has the right slopes, and takes a call all the same."""

    def recall(self, key, generator):
        self.draw(generator)
        return key


class DoubleGradientDropped(Reference):
    """The gradient is a constant to the gradient."""

    def double_vjp(self, x, g, lower, upper, **keywords):
        y, gx, _ = super().double_vjp(x, g, lower, upper, **keywords)
        return y, gx, lambda h: h * 0


class TangentDropped(Reference):
    def jvp(self, x, tangent, lower, upper, **keywords):
        y, _ = super().jvp(x, tangent, lower, upper, **keywords)
        return y, y * 0


class BatchAlike(Reference):
    """Every row of a batch has the slopes of the first."""

    def vmap(self, x, lower, upper, *, training, generator=None):
        one = self.forward(x[0], lower, upper, training=training, generator=generator)
        return np.broadcast_to(one / x[0], x.shape) * x


PAIRS = [
    Pair(FreshSlopes, "gradient.equals-slope-used", SlopesMadeAgain),
    Pair(MeanSlope, "gradient.equals-slope-used", SlopesMadeAgain),
    Pair(EvaluationGradientLower, "gradient.evaluation"),
    Pair(WrongSide, "gradient.positive-side", FromKeptInput),
    Pair(ZeroOnThePositiveSide, "gradient.positive-side", FromKeptInput),
    Pair(SlopeAtZero, "gradient.at-zero", FromKeptInput),
    Pair(NaNIsPositive, "gradient.nan-input", FromKeptInput),
    Pair(SideOfTheOutput, "inplace.gradient-negative-bounds", FromKeptInput),
    Pair(RoundedNoise, "gradient.rounded-like-forward", SlopesMadeAgain),
    Pair(OnceOnly, "gradient.twice"),
    Pair(GradientInMemoryOrder, "layout.strided-gradient"),
    Pair(GradientPromoted, "gradient.same-output"),
    Pair(RecordedCallDiffers, "transforms.gradient-keeps-slopes"),
    Pair(RecomputationDraws, "recompute.gradient"),
    Pair(RecomputationTakesTheLast, "recompute.draws-between"),
    Pair(RecomputationAdvances, "recompute.stream-goes-on"),
    Pair(DoubleGradientDropped, "transforms.double-gradient"),
    Pair(TangentDropped, "transforms.forward-mode"),
    Pair(BatchAlike, "transforms.batching"),
]
