"""``F.rrelu``, ``nn.RReLU``, ``torch.rrelu``: names reached through a module become the shim's."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.arguments import (
    ByHandError,
    KeepError,
    convert_function,
    convert_layer,
)
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.rules import class_references, neutral_class, outcomes

if TYPE_CHECKING:
    from rrelu_compat.porting.source.apis import Api
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.meaning import Meaning
    from rrelu_compat.porting.source.plan import Context


def plan(context: Context, place: Position, name: str, node: ast.AST) -> Plan | None:
    """Plan an attribute."""
    if not isinstance(node, ast.Attribute):
        return None
    tree = context.tree
    above = tree.parent(node)
    if isinstance(above, ast.Attribute) and context.resolver.meaning(above).api is not None:
        node = above  # torch.ops.aten.rrelu.default
    meaning = context.resolver.meaning(node)
    if not isinstance(node.ctx, ast.Load):
        return _written(place, name, meaning)
    return expression(context, place, name, node, meaning)


def _written(place: Position, name: str, meaning: Meaning) -> Plan:
    if meaning.kind == "member":
        why = "an attribute of the program's own object"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    if meaning.api is None and meaning.kind == "object":
        why = "the program gives this attribute itself"
        return Plan(place, name, "name", UNCHANGED, "own-name", why)
    why = "the program replaces the framework's RReLU here"
    return Plan(place, name, "unknown", BY_HAND, "replaced", why)


def expression(
    context: Context, place: Position, name: str, node: ast.expr, meaning: Meaning
) -> Plan:
    """Plan an expression that is read: an attribute, or a look-up by a literal name."""
    api = meaning.api
    if api is None:
        return outcomes.foreign(place, name, meaning)
    done = outcomes.decided(context, place, name, meaning, api)
    if done is not None:
        return neutral_class.check_elsewhere(context, done, node)
    tree = context.tree
    done = Plan(
        place,
        name,
        "class" if api.is_class else "function",
        REWRITTEN,
        api=api,
        callee=tree.span(node),
        shim=api.shim(context.target),
        imports=meaning.imports,
    )
    if any(isinstance(one, ast.NamedExpr) for one in ast.walk(node)):
        return done.give_up("assigns", "the expression that names it also assigns a name")
    above = tree.parent(node)
    if isinstance(above, ast.Call) and above.func is node:
        _call(context, done, api, above)
    elif api.is_class:
        class_references.check(context, done, node)
    elif not api.plain:
        why = "an operator object is not a function: nothing in the target can stand for it"
        done.give_up("operator", why)
    return done


def _call(context: Context, done: Plan, api: Api, call: ast.Call) -> None:
    """Write a call out with the target's own names, or keep its arguments where that can't be."""
    done.kind = "call"
    try:
        if api.is_class:
            done.edits = convert_layer(context, api, call)
        else:
            done.edits = convert_function(context, api, call)
            in_place = context.target == "neutral" and api.name == "rrelu_"
            done.shim = "rrelu" if in_place else api.name
    except KeepError:
        if not api.plain:
            why = "the arguments of an operator object can't be handed on to a function"
            done.give_up("operator", why)
    except ByHandError as error:
        done.give_up("generator" if "generator" in str(error) else "arguments", str(error))
    except ValueError as error:
        done.give_up("arguments", str(error))
