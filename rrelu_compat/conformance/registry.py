"""Checks, and the cases that a subject's capabilities make of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from rrelu_compat.conformance.capabilities import CLAIMS, DTYPES, LIMITED, Capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A function of a `Trial`. Not typed as one: a trial knows its case, and the case its check.
BodyT = TypeVar("BodyT", bound="Callable[[Any], None]")

#: One module of `rrelu_compat.conformance.checks` each, in the order of a report.
FAMILIES = (
    "platform",
    "dtypes",
    "forward",
    "evaluation",
    "bounds",
    "special",
    "shapes",
    "layout",
    "inplace",
    "gradient",
    "transforms",
    "random",
    "distribution",
    "independence",
    "seeding",
    "portable",
    "layer",
    "recompute",
    "threads",
    "errors",
)

BOTH = ("train", "eval")
TRAIN = ("train",)
EVAL = ("eval",)
#: One mode for each variant of recomputation that the subject offers.
RECOMPUTE = ("recompute",)


@dataclass(frozen=True)
class Check:
    """One thing an RReLU must do.

    Attributes
    ----------
    id : str
        "family.name", stable.
    summary : str
        The requirement, one sentence.
    body : callable
        Takes a `Trial`; raises if the requirement does not hold.
    modes : tuple of str
        The modes it is run in; ``("",)`` if the mode means nothing.
    inplace : tuple of bool
        Run out of place, in place, or both.
    needs : tuple of str
        Capabilities without which it is not offered.
    dtypes : tuple of str
        The dtypes it is run in; ``("",)`` if the dtype means nothing.
    partial : bool
        Whether it is also run in the subject's ``partial_dtypes``.
    once : bool
        Run once with fixed seeds, instead of on many drawn examples.
    """

    id: str
    summary: str
    body: Callable[[Any], None]
    modes: tuple[str, ...] = ("",)
    inplace: tuple[bool, ...] = (False,)
    needs: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES
    partial: bool = False
    once: bool = False


_registry: dict[str, Check] = {}


def check(
    *,
    modes: tuple[str, ...] = ("",),
    inplace: tuple[bool, ...] = (False,),
    needs: tuple[str, ...] = (),
    dtypes: tuple[str, ...] = DTYPES,
    partial: bool = False,
    once: bool = False,
) -> Callable[[BodyT], BodyT]:
    """Register a function as a check; its id is made of its module and name, its summary of its docstring."""
    unknown = set(needs) - set(CLAIMS)
    if unknown:
        raise ValueError(f"needs={needs!r} has unknown capabilities {sorted(unknown)}")

    def register(body: BodyT) -> BodyT:
        family = body.__module__.rpartition(".")[2]
        identity = f"{family}.{body.__name__.rstrip('_').replace('_', '-')}"
        if identity in _registry:
            raise ValueError(f"check {identity} exists twice")
        summary = " ".join((body.__doc__ or "").split())
        if not summary:
            raise ValueError(f"check {identity} has no docstring")
        _registry[identity] = Check(
            identity, summary, body, modes, inplace, needs, dtypes, partial, once
        )
        return body

    return register


def all_checks() -> list[Check]:
    """Return every check, in the order of a report."""
    for family in FAMILIES:
        importlib.import_module(f"rrelu_compat.conformance.checks.{family}")
    place = {family: k for k, family in enumerate(FAMILIES)}
    return sorted(_registry.values(), key=lambda c: place[c.id.partition(".")[0]])


@dataclass(frozen=True)
class Case:
    """A check with one subject, device, dtype, mode, in place or not."""

    check: Check
    subject: Any
    device: str
    dtype: str
    mode: str
    inplace: bool

    @property
    def id(self) -> str:
        """The stable name, as expected failures give it: ``forward.bounds[cpu-float32-train]``."""
        parts = [self.device, self.dtype, self.mode, "inplace" if self.inplace else ""]
        return f"{self.check.id}[{'-'.join(part for part in parts if part)}]"

    @property
    def training(self) -> bool:
        """Whether the mode is one with random slopes."""
        return self.mode != "eval"

    def missing(self) -> str:
        """Return what the subject does not claim and this case needs, "" if nothing."""
        claims: Capabilities = self.subject.capabilities
        needs: tuple[str, ...] = self.check.needs
        if self.inplace:
            needs = (*needs, "inplace")
        if self.mode == "eval":
            needs = (*needs, "evaluation")
        for need in needs:
            if not claims.offers(need, self.dtype):
                return need.replace("_", " ") if need in LIMITED else need
        if self.dtype and self.dtype not in claims.dtypes:
            if self.dtype in claims.partial_dtypes:
                return "" if self.check.partial else f"all of {self.dtype}"
            return self.dtype
        return ""


def cases(subject: Any) -> Iterator[Case]:
    """Yield every case of a subject, those it does not offer included."""
    claims = subject.capabilities
    for one in all_checks():
        modes = one.modes
        if modes == RECOMPUTE:
            modes = tuple(claims.recompute) or ("recompute",)
        for device in claims.devices:
            for dtype in one.dtypes:
                for mode in modes:
                    for inplace in one.inplace:
                        yield Case(one, subject, device, dtype, mode, inplace)
