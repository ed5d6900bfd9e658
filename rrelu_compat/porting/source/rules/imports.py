"""Imports of RReLU: they are redirected to the shim, under the names they had.

The shim's function has the source's signature and defaults, so whoever reaches the name, in this file or
another, finds what was there.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.mentions import IN_CODE
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.rules import outcomes

if TYPE_CHECKING:
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.plan import Context


def plan(context: Context, place: Position, name: str, node: ast.AST) -> Plan | None:
    """Plan a name that stands in an import."""
    if isinstance(node, ast.ImportFrom):
        return Plan(place, name, "name", UNCHANGED, "own-name", "the name of a module")
    if not isinstance(node, ast.alias):
        return None
    statement = context.tree.parent(node)
    if isinstance(statement, ast.Import):
        own = place != context.tree.start(node) or "." in node.name
        why = "the name of a module" if own else "a module of that name"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    assert isinstance(statement, ast.ImportFrom)
    meaning = context.resolver.imported(statement, node)
    api = meaning.api
    if api is None:
        if place != context.tree.start(node):
            why = "the program's own name for something else"
            return Plan(place, name, "import", UNCHANGED, "own-name", why)
        found = outcomes.foreign(place, name, meaning)
        found.kind = "import"
        return found
    done = outcomes.decided(context, place, name, meaning, api)
    if done is None:
        done = Plan(place, name, "import", REWRITTEN, api=api, alias=node)
        done.shim = api.shim(context.target)
        other = _other_framework(context, node)
        if other:
            done.status, done.code, done.why = BY_HAND, "both-frameworks", other
    done.kind, done.alias = "import", node
    return done


def _other_framework(context: Context, node: ast.alias) -> str:
    """Return why an import can't be redirected that shares its name with one of the other framework."""
    name = node.asname or node.name
    scope = context.resolver.scope(node)
    frameworks = set()
    for binding in scope.owner(name).bindings.get(name, ()):
        api = context.resolver.bound(binding).api
        if api is not None:
            frameworks.add(api.framework)
    if {"torch", "paddle"} <= frameworks:
        return f"{name} is imported from both frameworks: which one is meant, only a run would tell"
    return ""


def is_redirected(done: Plan) -> bool:
    """Whether a plan redirects an import."""
    return done.kind == "import" and done.status == REWRITTEN and done.alias is not None


def local_name(alias: ast.alias) -> str:
    """Return the name that an alias of a ``from`` import binds."""
    return alias.asname or alias.name


def names_it(text: str) -> bool:
    """Whether a word is a name of RReLU."""
    return IN_CODE.fullmatch(text) is not None
