"""Where Paddle's own RReLU leaves the specification (paddlepaddle 3.3, CPU)."""

from __future__ import annotations

from rrelu_compat.conformance.subjects.expected import because

_FULL = ("float32", "float64")
_BOTH = ("train", "eval")

FAILURES: dict[str, str] = {
    **because(
        "no bfloat16 kernel on the CPU",
        "dtypes.forward",
        "dtypes.gradient",
        dtypes=("bfloat16",),
        modes=_BOTH,
    ),
    **because(
        "no float16 kernel for the gradient on the CPU",
        "dtypes.gradient",
        dtypes=("float16",),
        modes=_BOTH,
    ),
    **because(
        "bounds and slopes are float32, also for float64 tensors",
        "evaluation.default-bounds",
        "evaluation.mean-in-double-precision",
        dtypes=("float64",),
        modes=("eval",),
    ),
    **because(
        "bounds and slopes are float32, also for float64 tensors",
        "bounds.double-precision",
        dtypes=("float64",),
        modes=_BOTH,
    ),
    **because(
        "bounds outside [0, 1] are refused",
        "bounds.negative",
        "bounds.mixed-signs",
        "bounds.above-one",
        "bounds.large",
        dtypes=_FULL,
        modes=_BOTH,
    ),
    **because(
        "bounds must be instances of float",
        "bounds.integer",
        "bounds.numpy-scalar",
        dtypes=_FULL,
        modes=_BOTH,
    ),
    **because(
        "the gradient at NaN is that of the positive side",
        "gradient.nan-input",
        dtypes=_FULL,
        modes=_BOTH,
    ),
    **because(
        "rrelu_grad has no gradient of its own",
        "transforms.double-gradient",
        "transforms.double-gradient-first",
        "transforms.double-gradient-linear",
        dtypes=_FULL,
        modes=_BOTH,
    ),
    **because(
        "one number is drawn for each x < 0, so slopes depend on the signs of earlier elements",
        "seeding.positives-count",
        "seeding.zeros-count-like-negatives",
        dtypes=_FULL,
        modes=("train",),
    ),
    **because(
        "the bounds of a layer are _lower and _upper; assigning lower or upper does nothing",
        "layer.live-bounds",
        "layer.copies-keep-assigned-bounds",
        dtypes=_FULL,
        modes=_BOTH,
    ),
    **because(
        "the bounds of a layer are _lower and _upper",
        "layer.copies-have-own-bounds",
        dtypes=_FULL,
        modes=("train",),
    ),
    **because(
        "bounds and slopes are float32, also for float64 tensors",
        "forward.product-rounding",
        dtypes=("float64",),
        modes=("train",),
    ),
    **because(
        "the bounds of a layer are _lower and _upper",
        "layer.bounds-are-readable",
        dtypes=_FULL,
    ),
    **because(
        "errors are ValueError, which code written for PyTorch does not catch",
        "errors.bounds-error-kind",
        modes=_BOTH,
    ),
    **because("errors are RuntimeError", "errors.dtype-error-kind", modes=_BOTH),
    **because(
        "values are printed without their type", "errors.message-names-argument", modes=_BOTH
    ),
    **because(
        "bounds are looked at when the layer is called",
        "errors.layer-refuses-early",
    ),
    **because(
        "the bounds of a layer are _lower and _upper",
        "errors.assignment-refused",
        "errors.assignment-nan",
    ),
}
