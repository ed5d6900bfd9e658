"""Uses of a name that an import binds: they stay as they are, since the import is redirected."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.arguments import ByHandError, convert_layer, foreign_generator
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.rules import class_references, imports, neutral_class, outcomes

if TYPE_CHECKING:
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.meaning import Meaning
    from rrelu_compat.porting.source.plan import Context


def plan(context: Context, place: Position, name: str, node: ast.AST) -> Plan | None:
    """Plan a name that is read."""
    if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
        return None
    resolver = context.resolver
    bindings = context.tree.scopes.lookup(resolver.scope(node), node.id)
    for binding in bindings:  # a redirected import keeps its meaning, whatever else binds the name
        if binding.statement is None:
            continue
        assert isinstance(binding.node, ast.alias)
        meaning = resolver.imported(binding.statement, binding.node)
        if meaning.api is not None:
            done = outcomes.decided(context, place, name, meaning, meaning.api)
            if done is not None:
                return neutral_class.check_elsewhere(context, done, node)
            return _imported(context, place, node, meaning, binding.node)
    meaning = resolver.meaning(node)
    if bindings and meaning.api is not None and not meaning.star:
        why = "another name the program gives it: what it is, is decided where it is assigned"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    if meaning.api is not None:
        done = outcomes.decided(context, place, name, meaning, meaning.api)
        if done is not None:
            return neutral_class.check_elsewhere(context, done, node)
        return _starred(context, place, node, meaning)
    if bindings and meaning.kind == "object" and not any(one.statement for one in bindings):
        why = "a variable of the program"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    return outcomes.foreign(place, name, meaning)


def _imported(
    context: Context, place: Position, node: ast.Name, meaning: Meaning, alias: ast.alias
) -> Plan:
    api = meaning.api
    assert api is not None
    done = Plan(
        place,
        node.id,
        "class" if api.is_class else "function",
        REWRITTEN,
        api=api,
        callee=context.tree.span(node),
        shim=api.shim(context.target),
        imports=meaning.imports,
        alias=alias,
    )
    _look_around(context, done, node)
    if done.status != BY_HAND and imports._other_framework(context, alias):
        return done.give_up("both-frameworks", imports._other_framework(context, alias))
    return done


def _starred(context: Context, place: Position, node: ast.Name, meaning: Meaning) -> Plan:
    """Plan a name from a star import: an import of the shim follows it."""
    api = meaning.api
    assert api is not None
    kind = "class" if api.is_class else "function"
    done = Plan(place, node.id, kind, REWRITTEN, api=api, imports=meaning.imports)
    done.shim, done.local = api.shim(context.target), node.id
    _look_around(context, done, node)
    return done


def _look_around(context: Context, done: Plan, node: ast.Name) -> None:
    """Look at what is done with the name."""
    above = context.tree.parent(node)
    api = done.api
    assert api is not None
    if api.is_class:
        class_references.check(context, done, node)
    if isinstance(above, ast.Call) and above.func is node and done.status == REWRITTEN:
        done.kind = "call"
        if api.is_class:
            try:
                done.edits += convert_layer(context, api, above)
            except ByHandError as error:
                done.give_up("arguments", str(error))
        elif foreign_generator(context, above):
            done.give_up("generator", foreign_generator(context, above))
