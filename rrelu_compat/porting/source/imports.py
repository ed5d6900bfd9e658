"""Plans for import statements: which are rewritten in place, removed or kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.scan import IN_CODE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.expressions import Expressions
    from rrelu_compat.porting.source.names import Api
    from rrelu_compat.porting.source.resolve import ImportStatement, Meaning


@dataclass
class ImportChanges:
    """What becomes of the aliases of import statements.

    Attributes
    ----------
    in_place : dict
        Aliases that import from the shim from now on, under the name they had, and what they are.
    removed : set
        Aliases that nothing needs any more.
    kept : set
        Aliases of the source's RReLU that uses left by hand still need.
    existing : dict
        Aliases that are the target's shim already.
    """

    in_place: dict[cst.ImportAlias, Api] = field(default_factory=dict)
    removed: set[cst.ImportAlias] = field(default_factory=set)
    kept: set[cst.ImportAlias] = field(default_factory=set)
    existing: dict[cst.ImportAlias, Api] = field(default_factory=dict)


def plan_imports(expressions: Expressions, plans: list[Plan]) -> tuple[list[Plan], ImportChanges]:
    """Return the plans for the names in imports, and what becomes of the imports.

    ``plans`` are those of the uses, which decide whether an import may change.
    """
    changes = ImportChanges()
    found = []
    tree = expressions.tree
    for statement in tree.imports:
        module = statement.module if isinstance(statement, cst.ImportFrom) else None
        found += [
            _module_name(expressions, node)
            for node in (_names(module) if module is not None else ())
            if IN_CODE.fullmatch(node.value)
        ]
        if isinstance(statement.names, cst.ImportStar):
            continue
        for alias in statement.names:
            found += _alias(expressions, statement, alias, plans, changes)
    return found, changes


def _module_name(expressions: Expressions, node: cst.Name) -> Plan:
    why = "the name of a module"
    return Plan(expressions.tree.start(node), node.value, "name", UNCHANGED, why)


def _alias(
    expressions: Expressions,
    statement: ImportStatement,
    alias: cst.ImportAlias,
    plans: list[Plan],
    changes: ImportChanges,
) -> Iterator[Plan]:
    tree = expressions.tree
    if isinstance(statement, cst.Import):
        for node in _names(alias.name):
            if IN_CODE.fullmatch(node.value):
                yield _module_name(expressions, node)
        yield from _own_name(expressions, alias)
        return
    meaning = expressions.resolver.imported(statement, alias)
    name = alias.evaluated_name
    place = tree.start(alias.name)
    if meaning.api is None:
        if IN_CODE.fullmatch(name):
            foreign = expressions.expression(place, name, alias.name, meaning)
            foreign.kind = "import"
            yield foreign
        yield from _own_name(expressions, alias)
        return
    plan = expressions.decided(place, name, meaning, meaning.api)
    if plan is None:
        status, why = _fate(expressions, alias, meaning, plans, changes)
        plan = Plan(place, name, "import", status, why, api=meaning.api)
    elif plan.status == UNCHANGED and not meaning.through and not meaning.api.native:
        changes.existing[alias] = meaning.api
    plan.kind = "import"
    yield plan
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        node = alias.asname.name
        if IN_CODE.fullmatch(node.value):
            yield Plan(tree.start(node), node.value, "import", plan.status, plan.why)


def _own_name(expressions: Expressions, alias: cst.ImportAlias) -> Iterator[Plan]:
    if alias.asname is not None and isinstance(alias.asname.name, cst.Name):
        node = alias.asname.name
        if IN_CODE.fullmatch(node.value):
            why = "the program's own name for something else"
            yield Plan(expressions.tree.start(node), node.value, "import", UNCHANGED, why)


def _fate(
    expressions: Expressions,
    alias: cst.ImportAlias,
    meaning: Meaning,
    plans: list[Plan],
    changes: ImportChanges,
) -> tuple[str, str]:
    """Decide about an import of the source's RReLU; return the status and why."""
    api = meaning.api
    assert api is not None
    binding = meaning.bindings[0]
    named = expressions.resolver.name(binding.local, binding.scope)
    users = [plan for plan in plans if any(one.alias is alias for one in plan.bindings)]
    changes.kept.add(alias)
    if named.api != api:
        return BY_HAND, named.why or f"{binding.local} is not always what is imported here"
    lines = [str(plan.place.line) for plan in users if plan.status == BY_HAND]
    if lines:
        plural = "s" if len(lines) > 1 else ""
        return BY_HAND, f"still needed by what is left by hand in line{plural} {', '.join(lines)}"
    if not api.is_class and not users:
        return BY_HAND, (
            "not used in this file: whoever imports it from here would get another default of training"
        )
    changes.kept.remove(alias)
    if any(plan.bare and plan.shim not in ("", api.name) for plan in users):
        changes.removed.add(alias)  # the neutral names have no rrelu_
    else:
        changes.in_place[alias] = api
    return REWRITTEN, ""


def _names(node: cst.BaseExpression) -> list[cst.Name]:
    if isinstance(node, cst.Attribute):
        return [*_names(node.value), node.attr]
    return [node] if isinstance(node, cst.Name) else []
