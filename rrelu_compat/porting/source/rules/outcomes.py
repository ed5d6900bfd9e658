"""What becomes of a name whose meaning is known, whatever surrounds it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import MODULE, STARS, Api, is_framework
from rrelu_compat.porting.source.plan import BY_HAND, UNCHANGED, Plan

if TYPE_CHECKING:
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.meaning import Meaning
    from rrelu_compat.porting.source.plan import Context

_FRAMEWORK = {"torch": "PyTorch", "paddle": "Paddle"}


def decided(
    context: Context, place: Position, name: str, meaning: Meaning, api: Api
) -> Plan | None:
    """Return the plan for an RReLU that stays as it is whatever surrounds it, or None."""

    def stays(status: str, code: str, why: str) -> Plan:
        return Plan(place, name, "name", status, code, why, api=api, imports=meaning.imports)

    if api.framework == "neutral":
        return stays(UNCHANGED, "target", "the neutral name, which runs in both frameworks")
    if api.framework == context.target:
        whose = (
            f"{_FRAMEWORK[api.framework]}'s own" if api.native else f"{MODULE[context.target]}'s"
        )
        return stays(UNCHANGED, "target", f"{whose}, the target's already")
    if meaning.home is not None and not meaning.star:
        if context.project.is_given(meaning.home):
            why = f"what it is, is decided in {meaning.home.name}"
            return stays(UNCHANGED, "elsewhere", why)
        why = (
            f"{meaning.home.name} decides what it is and is not among the files given: give it, too"
        )
        return stays(BY_HAND, "not-given", why)
    if api.obstacle:
        return stays(BY_HAND, "no-counterpart", api.obstacle)
    if api in context.replaced:
        why = "the program replaces the framework's RReLU in this file"
        return stays(BY_HAND, "replaced", why)
    return None


def foreign(place: Position, name: str, meaning: Meaning) -> Plan:
    """Return the plan for a name that is like RReLU's and stands for something else."""

    def unsure(code: str, why: str) -> Plan:
        return Plan(place, name, "unknown", BY_HAND, code, why, imports=meaning.imports)

    if meaning.kind in ("own", "class", "instance", "self"):
        return Plan(place, name, "name", UNCHANGED, "own-name", "defined in the program itself")
    if meaning.kind == "member":
        why = "an attribute of the program's own object"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    if meaning.kind == "module" or meaning.path in STARS:
        why = "the program's own name for a module"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    if meaning.kind == "path":
        if is_framework(meaning.path):
            return unsure(
                "unknown-name", f"{meaning.path} is not a name of RReLU that is known here"
            )
        return unsure(
            "other-package", f"{meaning.path} lies in another package, which is not at hand"
        )
    return unsure("only-a-run", meaning.why or "what it is can't be known")
