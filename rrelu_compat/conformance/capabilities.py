"""What a subject of the conformance suite says it can do."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

#: The dtypes of the specification, by the names the suite uses.
DTYPES = ("float16", "bfloat16", "float32", "float64")

_DTYPE_LISTS = ("dtypes", "partial_dtypes", "flushes_subnormals", "rounds_in_dtype")

#: The method that a claimed capability needs.
METHODS = {
    "gradients": "vjp",
    "double_gradients": "double_vjp",
    "recompute": "recomputed_vjp",
    "forward_mode": "jvp",
    "batching": "vmap",
    "layers": "layer",
    "seeding": "generator",
    "global_seeding": "seed",
    "strided": "strides",
    "memory_format": "strides",
    "device_names": "device_of",
}


def method_of(claim: str, capabilities: Capabilities) -> str:
    """Return the method that a claim needs; with ``whole_gradients`` it is ``gradient``."""
    if claim == "gradients" and capabilities.whole_gradients:
        return "gradient"
    return METHODS[claim]


#: Capabilities that mean nothing without another one.
IMPLIES = {
    "whole_gradients": "gradients",
    "double_gradients": "gradients",
    "recompute": "gradients",
    "live_bounds": "layers",
    "pickling": "layers",
    "portable_slopes": "seeding",
    "manual_seed": "portable_slopes",
}


@dataclass(frozen=True)
class Capabilities:
    """What a subject claims. A claim is checked; what is not claimed is reported as not offered.

    Attributes
    ----------
    dtypes : tuple of str
        Of "float16", "bfloat16", "float32", "float64": those in which everything claimed works.
    partial_dtypes : tuple of str
        Those that work in part: only the checks of the family ``dtypes`` run in them.
    devices : tuple of str
        Device names, as `from_numpy` takes them.
    bounds : tuple of 2 floats
        The interval that the suite draws bounds from. The checks of the family ``bounds`` do not
        heed it, so that a narrow interval shows there, and only there.
    gradients : bool
        ``vjp`` gives gradients.
    double_gradients : bool
        ``double_vjp`` gives gradients of gradients.
    forward_mode : bool
        ``jvp`` gives forward-mode derivatives.
    batching : bool
        ``vmap`` maps over the first axis.
    inplace : bool
        ``inplace=True`` is taken.
    layers : bool
        ``layer`` builds one, with ``train()``, ``eval()`` and ``training``.
    live_bounds : bool
        ``layer.lower`` and ``layer.upper`` may be assigned.
    pickling : bool
        Layers can be pickled and deep-copied.
    seeding : bool
        ``generator(seed)`` gives an object that the other methods take as ``generator=``.
    global_seeding : bool
        ``seed(n)`` sets the stream that is used without a generator.
    portable_slopes : bool
        The k-th training call with ``generator(seed)`` uses ``rrelu_compat.slopes(..., seed=seed,
        call=k)``, to the bit.
    manual_seed : bool
        ``rrelu_compat.manual_seed`` decides the slopes of calls without a generator.
    portable_errors : bool
        Bad bounds raise what is a ``ValueError`` and a ``RuntimeError``, bad dtypes a ``TypeError``
        and a ``NotImplementedError``, and layers refuse bad bounds when they are built.
    strided : bool
        ``from_numpy`` keeps the strides of the array; ``strides`` tells them.
    memory_format : bool
        The result has the strides of a dense input (channels-last, transposed).
    device_names : bool
        ``device_of`` tells a tensor's device.
    threads : bool
        May be called from several threads at once.
    recompute : tuple of str
        Names of the variants of recomputation (gradient checkpointing) ``recomputed_vjp`` offers.
    whole_gradients : bool
        ``gradient(x, g, ...)`` takes the output gradient at once and returns ``(y, gx)``; there is
        no ``vjp``. What needs two gradients of one forward is not offered then.
    few_shapes : bool
        Each new shape is expensive (compiled): examples have one of four.
    flushes_subnormals : tuple of str
        A limit: the dtypes in which the platform has no subnormal numbers.
    rounds_in_dtype : tuple of str
        A limit: the dtypes in which slope and product are rounded in the dtype itself, not in
        float32.
    no_negative_zero : bool
        A limit: -0.0 comes out as 0.0.
    no_evaluation : bool
        A limit: there is no evaluation; ``training=False`` draws, or raises.
    unchecked_bounds : bool
        A limit: bounds that make no sense are taken.

    A limit is checked like every claim: one that the subject does not have fails ``platform.*``.
    """

    dtypes: tuple[str, ...] = ("float32",)
    partial_dtypes: tuple[str, ...] = ()
    devices: tuple[str, ...] = ("cpu",)
    bounds: tuple[float, float] = (-math.inf, math.inf)
    gradients: bool = False
    double_gradients: bool = False
    forward_mode: bool = False
    batching: bool = False
    inplace: bool = False
    layers: bool = False
    live_bounds: bool = False
    pickling: bool = False
    seeding: bool = False
    global_seeding: bool = False
    portable_slopes: bool = False
    manual_seed: bool = False
    portable_errors: bool = False
    strided: bool = False
    memory_format: bool = False
    device_names: bool = False
    threads: bool = False
    recompute: tuple[str, ...] = ()
    whole_gradients: bool = False
    few_shapes: bool = False
    flushes_subnormals: tuple[str, ...] = ()
    rounds_in_dtype: tuple[str, ...] = ()
    no_negative_zero: bool = False
    no_evaluation: bool = False
    unchecked_bounds: bool = False

    def __post_init__(self) -> None:
        for field in (*_DTYPE_LISTS, "devices", "recompute"):
            claimed = getattr(self, field)
            if isinstance(claimed, str):
                raise ValueError(
                    f"{field} must be a tuple, got {field}={claimed!r}: pass ({claimed!r},)"
                )
        for field in _DTYPE_LISTS:
            for name in getattr(self, field):
                if name not in DTYPES:
                    raise ValueError(f"{field} must be among {', '.join(DTYPES)}, got {name!r}")
        if not self.devices:
            raise ValueError("devices must have at least one device, got devices=()")
        low, high = self.bounds
        if not (low <= 0 <= high and high > 0):
            raise ValueError(
                f"bounds must be an interval that contains 0, got bounds={self.bounds!r}"
            )
        for claim, needed in IMPLIES.items():
            if self.offers(claim) and not self.offers(needed):
                raise ValueError(f"{claim} is claimed without {needed}, which it needs")

    @property
    def negative_bounds(self) -> bool:
        """Whether the interval of bounds has negative numbers."""
        return self.bounds[0] < 0

    @property
    def any_seeding(self) -> bool:
        """Whether a call can be repeated, by a generator or by the default stream's seed."""
        return self.seeding or self.global_seeding

    @property
    def evaluation(self) -> bool:
        """Whether there is an evaluation."""
        return not self.no_evaluation

    @property
    def checked_bounds(self) -> bool:
        """Whether bad bounds are refused."""
        return not self.unchecked_bounds

    @property
    def negative_zero(self) -> bool:
        """Whether there is a -0.0."""
        return not self.no_negative_zero

    @property
    def pullbacks(self) -> bool:
        """Whether a forward can be asked for several gradients."""
        return self.gradients and not self.whole_gradients

    def offers(self, name: str, dtype: str = "") -> bool:
        """Whether the capability `name` is claimed, for `dtype` where it is one of dtypes."""
        if name == "subnormals":
            return dtype not in self.flushes_subnormals
        if name == "compute_rounding":
            return dtype not in self.rounds_in_dtype
        value = getattr(self, name)
        if dtype and name in ("flushes_subnormals", "rounds_in_dtype"):
            return dtype in value
        return bool(value)


#: What a subject has unless it says that its platform has not.
LIMITED = ("evaluation", "checked_bounds", "negative_zero", "subnormals", "compute_rounding")

#: What a check may need.
CLAIMS = (
    *(
        field.name
        for field in fields(Capabilities)
        if field.name not in ("dtypes", "partial_dtypes", "devices", "bounds")
    ),
    "negative_bounds",
    "any_seeding",
    "pullbacks",
    *LIMITED,
)
