"""Wrong values, shapes, dtypes, layouts; wrong places; what should be refused and is not."""

from __future__ import annotations

import math

import numpy as np

from rrelu_adapters.pairs import Pair
from rrelu_adapters.reference import Reference
from rrelu_compat import RReLUSpec


class EvaluationLower(Reference):
    def evaluation_slope(self, lower, upper):
        return lower


class EvaluationGeometric(Reference):
    def evaluation_slope(self, lower, upper):
        return math.copysign(math.sqrt(abs(lower * upper)), lower)


class EvaluationOfThePaper(Reference):
    """The paper's 1 / 5.5."""

    def evaluation_slope(self, lower, upper):
        return 2 / (3 + 8)


class EvaluationHalved(Reference):
    """The mean as a sum of halves, which is the mean."""

    def evaluation_slope(self, lower, upper):
        return lower / 2 + upper / 2


class AlwaysTrains(Reference):
    def choose(self, x, spec, training, generator):
        return super().choose(x, spec, True, generator)


class NeverTrains(Reference):
    def choose(self, x, spec, training, generator):
        return super().choose(x, spec, False, generator)


class EvaluationDraws(Reference):
    """A number is taken in evaluation too."""

    def choose(self, x, spec, training, generator):
        if not training:
            self.draw(generator)
        return super().choose(x, spec, training, generator)


class PositiveScaled(Reference):
    def positive(self, x):
        return (x * x.dtype.type(1 + 2**-5)).astype(x.dtype)


class ByMultiplying(Reference):
    """One product with a slope that is 1 on the positive side."""

    def join(self, side, positive, negative):
        return super().join(side, positive * positive.dtype.type(1), negative)


class BySum(Reference):
    """max(x, 0) + a * min(x, 0): -0.0 becomes 0.0."""

    def join(self, side, positive, negative):
        zero = positive.dtype.type(0)
        parts = np.where(side, positive, zero) + np.where(side, zero, negative)
        return super().join(np.ones_like(side), parts.astype(positive.dtype), negative)


class ByMasks(Reference):
    """x * mask + a * x * (1 - mask): infinity times 0 is NaN."""

    def join(self, side, positive, negative):
        parts = positive * side + negative * ~side
        return super().join(np.ones_like(side), parts.astype(positive.dtype), negative)


class NaNDropped(Reference):
    """fmax and fmin, which take NaN for missing."""

    def join(self, side, positive, negative):
        y = np.where(np.isnan(positive), np.zeros_like(positive), positive)
        return super().join(side | np.isnan(positive), y, negative)


class Flushed(Reference):
    """Subnormal results become 0."""

    def scale(self, a, x):
        y = super().scale(a, x)
        limit = 2.0**-126 if x.dtype.name == "bfloat16" else float(np.finfo(x.dtype).tiny)
        return np.where(np.abs(y.astype(np.float64)) < limit, y * 0, y).astype(x.dtype)


class Promoted(Reference):
    """float16 and bfloat16 come back as float32."""

    def finish(self, y, x, inplace):
        return super().finish(y, x, inplace) if inplace else y.astype(self.compute(x.dtype))


class ComputedInHalf(Reference):
    def scale(self, a, x):
        return (np.asarray(a).astype(x.dtype) * x).astype(x.dtype)


class SingleBounds(Reference):
    """The slope of float64 tensors is rounded to float32."""

    def evaluation_slope(self, lower, upper):
        return float(np.float32(lower + upper) / 2)


class Squeezed(Reference):
    def finish(self, y, x, inplace):
        return super().finish(y, x, inplace) if inplace else np.squeeze(y)


class ZeroDimensionalLost(Reference):
    def finish(self, y, x, inplace):
        return super().finish(y, x, inplace) if inplace or x.ndim else y.reshape(1)


class LayoutLost(Reference):
    """The result is contiguous."""

    def join(self, side, positive, negative):
        return np.ascontiguousarray(super().join(side, positive, negative)).reshape(side.shape)


class LayoutCopied(Reference):
    """The result is a copy of the input, written over."""

    def join(self, side, positive, negative):
        out = positive.copy(order="K")
        out[~side] = negative[~side]
        return out


class InputModified(Reference):
    """Works in the input's memory although it was not asked to."""

    def finish(self, y, x, inplace):
        if x.flags.writeable and 0 not in x.strides:
            x[...] = y
        return super().finish(y, x, inplace)


class InplaceIntoCopy(Reference):
    def finish(self, y, x, inplace):
        return y


class InplaceNotWritten(Reference):
    """Returns the input as it was."""

    def finish(self, y, x, inplace):
        return x if inplace else y


class InplaceByParts(Reference):
    """Writes the negative elements only."""

    def finish(self, y, x, inplace):
        if not inplace:
            return y
        super().finish(x, x, True)
        negative = ~(x >= 0)
        x[negative] = y[negative]
        return x


class OverlapTaken(Reference):
    """Writes into an expanded tensor."""

    def finish(self, y, x, inplace):
        if inplace:
            np.copyto(np.lib.stride_tricks.as_strided(x, x.shape, x.strides), y)
            return x
        return y


class ReadsMemory(Reference):
    """Takes the elements in the order of memory."""

    def join(self, side, positive, negative):
        y = super().join(side, positive, negative)
        if y.ndim > 1 and y.flags.f_contiguous and not y.flags.c_contiguous:
            y[...] = y.ravel(order="K").reshape(y.shape)
        return y


class NoEqualBounds(Reference):
    """Divides by the width."""

    def slopes(self, shape, lower, upper, compute, key):
        a = super().slopes(shape, lower, upper, compute, key)
        width = compute.type(upper - lower)
        with np.errstate(all="ignore"):
            return (a * width / width).astype(compute) if width == 0 else a


class PositiveBoundsOnly(Reference):
    def check(self, x, lower, upper, training):
        spec = super().check(x, lower, upper, training)
        if spec.lower < 0:
            raise ValueError("lower is negative")
        return spec


class Unchecked(Reference):
    """Bounds in any order."""

    def check(self, x, lower, upper, training):
        return super().check(x, min(lower, upper), max(lower, upper), training)


class InfinityTaken(Reference):
    def check(self, x, lower, upper, training):
        if isinstance(upper, float) and math.isinf(upper):
            upper = 1e30
        if isinstance(lower, float) and math.isinf(lower):
            lower = -1e30
        return super().check(x, lower, upper, training)


class BoolTaken(Reference):
    def check(self, x, lower, upper, training):
        return super().check(x, lower, float(upper) if isinstance(upper, bool) else upper, training)


class IntegersTaken(Reference):
    """Integer tensors are rounded results."""

    def check(self, x, lower, upper, training):
        if x.dtype.kind == "i":
            return RReLUSpec(lower, upper)
        return super().check(x, lower, upper, training)


class PlainErrors(Reference):
    """Errors of one kind."""

    def check(self, x, lower, upper, training):
        try:
            return super().check(x, lower, upper, training)
        except Exception as error:
            raise ValueError(str(error)) from error


PAIRS = [
    Pair(EvaluationLower, "evaluation.slope", EvaluationHalved),
    Pair(EvaluationGeometric, "evaluation.slope", EvaluationHalved),
    Pair(EvaluationOfThePaper, "evaluation.slope", EvaluationHalved),
    Pair(AlwaysTrains, "evaluation.deterministic"),
    Pair(NeverTrains, "random.per-element"),
    Pair(EvaluationDraws, "seeding.evaluation-draws-nothing"),
    Pair(PositiveScaled, "forward.identity", ByMultiplying),
    Pair(BySum, "special.signed-zeros", ByMultiplying),
    Pair(ByMasks, "special.infinity", ByMultiplying),
    Pair(NaNDropped, "special.nan", ByMultiplying),
    Pair(Flushed, "special.subnormals"),
    Pair(Promoted, "forward.dtype"),
    Pair(ComputedInHalf, "evaluation.default-bounds"),
    Pair(SingleBounds, "bounds.double-precision"),
    Pair(Squeezed, "forward.shape"),
    Pair(ZeroDimensionalLost, "shapes.zero-dimensional"),
    Pair(LayoutLost, "layout.memory-format", LayoutCopied),
    Pair(InputModified, "forward.input-untouched"),
    Pair(InplaceIntoCopy, "inplace.same-object", InplaceByParts),
    Pair(InplaceNotWritten, "forward.bounds", InplaceByParts),
    Pair(OverlapTaken, "inplace.overlapping", InplaceByParts),
    Pair(ReadsMemory, "layout.evaluation"),
    Pair(NoEqualBounds, "forward.equal-bounds"),
    Pair(PositiveBoundsOnly, "bounds.negative"),
    Pair(Unchecked, "errors.unordered-bounds"),
    Pair(InfinityTaken, "errors.infinite-bounds"),
    Pair(BoolTaken, "errors.bool-bounds"),
    Pair(IntegersTaken, "errors.integer-dtype"),
    Pair(PlainErrors, "errors.bounds-error-kind"),
]
