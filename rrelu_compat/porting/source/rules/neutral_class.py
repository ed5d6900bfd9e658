"""The neutral class builds layers of another class: where that shows, the class is left by hand."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.plan import BY_HAND, Plan
from rrelu_compat.porting.source.tree import last_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.plan import Context

_NO_SUBCLASS = "the neutral RReLU can't be subclassed: subclass the drop-in of one framework"
_HARMLESS_ATTRIBUTES = {"__name__", "__qualname__", "__doc__"}
# Where a file looks at types, a class that is handed on may be among them.
_LOOKS_AT_TYPES = re.compile(
    r"\btype\(|__class__|issubclass|__bases__|__mro__|\bmro\(|__subclasses__|singledispatch"
)
_HINTS = {"Type", "type"}


def obstacle(context: Context, node: ast.expr) -> str:
    """Return why a reference to the class can't become one to the neutral class, or ""."""
    tree = context.tree
    above = tree.parent(node)
    if isinstance(above, ast.Call) and above.func is node:
        return ""
    if isinstance(above, ast.ClassDef) and node in above.bases:
        return _NO_SUBCLASS
    if isinstance(above, ast.Attribute):
        if above.attr in _HARMLESS_ATTRIBUTES:
            return ""
        return "the neutral RReLU builds layers of another class and has no such attribute"
    if isinstance(above, ast.MatchClass):
        return ""
    if _in_annotation(context, node):
        return _hint(context, node)
    if _second_of_isinstance(context, node):
        return ""
    whole: ast.AST = node
    while isinstance(tree.parent(whole), (ast.Tuple, ast.List, ast.Set)):
        whole = tree.parent(whole)
    if isinstance(tree.parent(whole), ast.Compare):
        return "no layer's type is the neutral RReLU: use isinstance(layer, RReLU)"
    if isinstance(above, (ast.Dict, ast.Set)) and not _is_value(above, node):
        return "no layer's type is the neutral RReLU, so a look-up by type would not find it"
    if isinstance(above, ast.Subscript) and above.slice is node:
        return "no layer's type is the neutral RReLU, so a look-up by type would not find it"
    if isinstance(above, ast.Call) and last_name(above.func) == "issubclass":
        if not (len(above.args) > 1 and above.args[1] is node):
            return "the neutral RReLU is no subclass of a framework's class"
        return ""
    if isinstance(above, ast.Assign) and _sets_class(above):
        return "a layer's class can't become the neutral RReLU"
    if isinstance(above, ast.Call) and last_name(above.func) == "partial" and above.args[0] is node:
        return ""
    if _looked_at(context):
        return "types are looked at in this project, and no layer's type is the neutral RReLU"
    return ""


def check_elsewhere(context: Context, done: Plan, node: ast.expr) -> Plan:
    """Leave a class by hand that another file of the run makes neutral, where that shows here."""
    if context.target == "neutral" and done.code == "elsewhere" and done.api and done.api.is_class:
        why = obstacle(context, node)
        if why:
            return done.give_up("neutral-class", why)
    return done


def aliases(context: Context) -> Iterator[Plan]:
    """Yield a plan for every use of the class under another name that the neutral class can't serve."""
    tree = context.tree
    for node in tree.nodes:
        if not isinstance(node, ast.expr) or not isinstance(getattr(node, "ctx", None), ast.Load):
            continue
        if not isinstance(node, (ast.Name, ast.Attribute)) or tree.start(node) in tree.places:
            continue
        if isinstance(node, ast.Attribute) and tree.name_place(node) in tree.places:
            continue
        api = context.resolver.meaning(node).api
        if api is None or not api.is_class or not api.native:
            continue
        why = obstacle(context, node)
        if why:
            place = tree.name_place(node) if isinstance(node, ast.Attribute) else tree.start(node)
            done = Plan(place, last_name(node), "class", BY_HAND, "neutral-class", why, api=api)
            done.native = True
            if isinstance(node, ast.Name):
                for one in tree.scopes.lookup(context.resolver.scope(node), node.id):
                    done.alias = one.node if isinstance(one.node, ast.alias) else done.alias
            yield done


def _in_annotation(context: Context, node: ast.AST) -> bool:
    below = node
    for above in context.tree.ancestors(node):
        if isinstance(above, ast.arg) and above.annotation is below:
            return True
        if isinstance(above, ast.AnnAssign) and above.annotation is below:
            return True
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)) and above.returns is below:
            return True
        if isinstance(above, ast.stmt):
            return False
        below = above
    return False


def _hint(context: Context, node: ast.AST) -> str:
    above = context.tree.parent(node)
    if isinstance(above, ast.Subscript) and last_name(above.value) in _HINTS:
        return "no layer's class is the neutral RReLU, so Type[RReLU] says something else"
    return ""


def _second_of_isinstance(context: Context, node: ast.AST) -> bool:
    tree = context.tree
    whole = node
    while isinstance(tree.parent(whole), (ast.Tuple, ast.BinOp)):
        whole = tree.parent(whole)
    call = tree.parent(whole)
    return (
        isinstance(call, ast.Call)
        and last_name(call.func) == "isinstance"
        and len(call.args) > 1
        and call.args[1] is whole
    )


def _is_value(above: ast.AST, node: ast.AST) -> bool:
    return isinstance(above, ast.Dict) and any(one is node for one in above.values)


def _sets_class(statement: ast.Assign) -> bool:
    return any(
        isinstance(one, ast.Attribute) and one.attr == "__class__" for one in statement.targets
    )


def _looked_at(context: Context) -> bool:
    if _LOOKS_AT_TYPES.search(context.tree.text.source):
        return True
    return any(_LOOKS_AT_TYPES.search(context.project.text(one)) for one in context.project.given)
