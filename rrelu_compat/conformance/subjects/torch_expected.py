"""Where PyTorch's own RReLU leaves the specification (torch 2.13, CPU)."""

from __future__ import annotations

from rrelu_compat.conformance.subjects.expected import because

_ISSUE = "https://github.com/pytorch/pytorch/issues/"
_ALL = ("bfloat16", "float32", "float64")
_BOTH = ("train", "eval")
_PLACES = (False, True)

FAILURES: dict[str, str] = {
    **because(
        "no float16 kernel for training on the CPU",
        "dtypes.forward",
        "dtypes.gradient",
        dtypes=("float16",),
        modes=("train",),
    ),
    **because(
        "zeros are multiplied by the slope, so a negative slope flips their sign",
        "special.signed-zeros-negative-slope",
        dtypes=_ALL,
        modes=_BOTH,
        inplace=_PLACES,
    ),
    **because(
        f"the result is always contiguous ({_ISSUE}60028)",
        "layout.memory-format",
        dtypes=_ALL,
        modes=_BOTH,
    ),
    **because(
        "evaluation is leaky_relu, whose in-place backward refuses negative slopes "
        f"({_ISSUE}31938)",
        "inplace.gradient-negative-bounds",
        dtypes=_ALL,
        modes=("eval",),
        inplace=(True,),
    ),
    **because(
        "the noise kept for backward is rounded to bfloat16, the slope of the forward is not",
        "gradient.rounded-like-forward",
        dtypes=("bfloat16",),
        modes=("train",),
    ),
    **because(
        "x <= 0 is the negative side, so the gradient at 0 is the slope",
        "gradient.at-zero",
        dtypes=_ALL,
        modes=_BOTH,
    ),
    **because(
        "x <= 0 is the negative side, so the derivative at 0 is the slope",
        "transforms.forward-mode-at-zero",
        dtypes=("float32", "float64"),
        modes=_BOTH,
    ),
    **because(
        "in training NaN counts as the positive side",
        "gradient.nan-input",
        dtypes=_ALL,
        modes=("train",),
    ),
    **because(
        "vmap has no rule for aten::rrelu",
        "transforms.batching",
        "transforms.batching-rows",
        dtypes=("float32", "float64"),
        modes=_BOTH,
    ),
    **because(
        "one number is drawn for each x <= 0, so slopes depend on the signs of earlier elements",
        "seeding.positives-count",
        "seeding.zeros-count-like-positives",
        dtypes=_ALL,
        modes=("train",),
    ),
    **because(
        "nn.RReLU takes no generator",
        "layer.generator",
        dtypes=_ALL,
        modes=("train",),
    ),
    **because(
        f"recomputation stops before the kernel has filled the noise tensor: the gradient is made of "
        "uninitialised memory, without an error, where nothing after RReLU in the segment saves a "
        f"tensor ({_ISSUE}193671)",
        "recompute.gradient",
        "recompute.draws-between",
        "recompute.two-segments",
        "recompute.two-segments-backwards",
        "recompute.generator",
        "recompute.stream-goes-on",
        dtypes=_ALL,
        modes=("non-reentrant",),
    ),
    **because(
        "checkpointing restores the default generators only: with a generator of one's own the "
        "gradient is that of other slopes",
        "recompute.generator",
        "recompute.stream-goes-on",
        dtypes=_ALL,
        modes=("reentrant",),
    ),
    **because(
        f"rrelu_ in evaluation does not check that bounds are finite ({_ISSUE}153281)",
        "errors.infinite-bounds",
        modes=("eval",),
        inplace=(True,),
    ),
    **because(
        f"a bool is taken as 0 or 1 ({_ISSUE}76782)",
        "errors.bool-bounds",
        modes=_BOTH,
        inplace=_PLACES,
    ),
    **because(
        f"a bool is taken as 0 or 1 ({_ISSUE}76782)",
        "errors.bool-lower",
        modes=_BOTH,
    ),
    **because(
        "in evaluation the difference of the bounds is not looked at",
        "errors.width-overflow",
        dtypes=("float64",),
        modes=("eval",),
        inplace=_PLACES,
    ),
    **because(
        "errors are RuntimeError, which code written for Paddle does not catch; bounds and values "
        "are not in the message",
        "errors.bounds-error-kind",
        "errors.bounds-type-error",
        "errors.message-names-argument",
        modes=_BOTH,
    ),
    **because(
        "errors are NotImplementedError only",
        "errors.dtype-error-kind",
        modes=_BOTH,
    ),
    **because(
        "bounds are looked at when the layer is called",
        "errors.layer-refuses-early",
    ),
}
