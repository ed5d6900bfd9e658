"""Where a class or function that is not called at once can't simply be exchanged for the shim's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import Assignment

from rrelu_compat.porting.source.tree import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.names import Api
    from rrelu_compat.porting.source.resolve import Resolver
    from rrelu_compat.porting.source.tree import Tree

# Reading these says nothing about a default and holds for the shim's function and class as well.
_HARMLESS_ATTRIBUTES = {"__name__", "__qualname__", "__doc__"}
# Functions that look at the object they are given instead of calling it.
_INSPECTING = {
    "wraps",
    "update_wrapper",
    "partialmethod",
    "signature",
    "getsource",
    "getfullargspec",
    "getattr",
    "hasattr",
    "setattr",
    "delattr",
    "id",
    "hash",
    "script",
    "trace",
    "object",
    "patch",
    "isinstance",
    "type",
}
_NO_SUBCLASS = "the neutral RReLU can't be subclassed: subclass the drop-in of one framework"
_INSPECTING_MODULES = ("inspect.", "types.", "dis.")
_FUNCTION_LIKE = (cst.FunctionDef, cst.Lambda, cst.ClassDef)


def parts_of(tree: Tree, node: cst.CSTNode) -> Iterator[tuple[cst.CSTNode, cst.CSTNode]]:
    """Yield (ancestor, the child it was reached from) up to the end of the statement."""
    below = node
    for above in tree.ancestors(node):
        if isinstance(above, (cst.BaseSmallStatement, cst.BaseCompoundStatement, cst.Lambda)):
            return
        yield above, below
        below = above


def compared(tree: Tree, node: cst.CSTNode) -> bool:
    """Whether an expression, or a collection it stands in, is compared with something."""
    for above, _ in parts_of(tree, node):
        if isinstance(above, (cst.Comparison, cst.ComparisonTarget)):
            return True
        if not isinstance(above, (cst.Element, cst.Tuple, cst.List, cst.Set, cst.DictElement)):
            return False
    return False


def is_key(tree: Tree, node: cst.CSTNode) -> bool:
    """Whether an expression is a key of a dict, an element of a set, or an index."""
    above = tree.parent(node)
    if isinstance(above, cst.DictElement):
        return above.key is node
    if isinstance(above, cst.Element):
        return isinstance(tree.parent(above), cst.Set)
    return isinstance(above, cst.Index)


def last_name(node: cst.CSTNode) -> str:
    """Return ``c`` of ``a.b.c``, or ""."""
    if isinstance(node, cst.Attribute):
        return node.attr.value
    return dotted(node) or ""


def called_with(tree: Tree, node: cst.CSTNode) -> str:
    """Return the last name of the function that an expression is a direct argument of, or ""."""
    above = tree.parent(node)
    if not isinstance(above, cst.Arg):
        return ""
    call = tree.parent(above)
    if not isinstance(call, cst.Call):
        return ""
    return last_name(call.func)


def class_obstacle(resolver: Resolver, node: cst.BaseExpression, target: str) -> str:
    """Return why a reference to the class can't become one to the shim's, or ""."""
    tree = resolver.tree
    above = tree.parent(node)
    if called_with(tree, node) == "super":
        return (
            "super(RReLU, ...) starts above the class: above the shim's there is one more, so write "
            "super() or name the base that is meant"
        )
    if target != "neutral":
        return ""
    if isinstance(above, cst.Arg) and isinstance(tree.parent(above), cst.ClassDef):
        return _NO_SUBCLASS
    if isinstance(above, (cst.Assign, cst.AnnAssign)) and _alias_subclassed(resolver):
        return _NO_SUBCLASS
    if isinstance(above, cst.Attribute) and above.attr.value not in _HARMLESS_ATTRIBUTES:
        return "the neutral RReLU builds layers of another class and has no such attribute"
    if compared(tree, node):
        return "no layer's type is the neutral RReLU: use isinstance(layer, RReLU)"
    if is_key(tree, node):
        return "no layer's type is the neutral RReLU, so a look-up by type would not find it"
    name = called_with(tree, node)
    if name == "issubclass" and tree.parent(node) is not _argument(tree, node, 1):
        return "the neutral RReLU is no subclass of a framework's class"
    if name in _INSPECTING - {"object", "isinstance", "type"}:
        return "the neutral RReLU builds layers of another class"
    kept = _in_collection(tree, node) and not _inside_isinstance(tree, node)
    if kept and _types_compared(resolver):
        return "this file compares types, and no layer's type is the neutral RReLU"
    return ""


def _alias_subclassed(resolver: Resolver) -> bool:
    """Whether a class derives from RReLU under a name that the program gives to it."""
    for node in resolver.tree.nodes:
        if isinstance(node, cst.ClassDef):
            for base in node.bases:
                api = resolver.meaning(base.value).api
                if api is not None and api.is_class:
                    return True
    return False


def _argument(tree: Tree, node: cst.CSTNode, index: int) -> cst.CSTNode | None:
    call = tree.parent(tree.parent(node))
    if isinstance(call, cst.Call) and len(call.args) > index:
        return call.args[index]
    return None


def _in_collection(tree: Tree, node: cst.CSTNode) -> bool:
    return isinstance(tree.parent(node), (cst.Element, cst.AssignTarget, cst.Assign, cst.AnnAssign))


def _inside_isinstance(tree: Tree, node: cst.CSTNode) -> bool:
    collection = tree.parent(tree.parent(node))
    return called_with(tree, collection) == "isinstance"


def _types_compared(resolver: Resolver) -> bool:
    tree = resolver.tree
    for node in tree.nodes:
        is_type = (isinstance(node, cst.Call) and resolver.is_builtin(node.func, "type")) or (
            isinstance(node, cst.Attribute) and node.attr.value == "__class__"
        )
        if is_type and any(isinstance(above, cst.Comparison) for above, _ in parts_of(tree, node)):
            return True
    return False


def function_obstacle(resolver: Resolver, node: cst.BaseExpression, api: Api) -> str:
    """Return why a reference to the function can't become one with its default kept, or ""."""
    tree = resolver.tree
    default = f"training={api.training_default}"
    above = tree.parent(node)
    if not api.plain:
        return "an operator object is not a function: nothing in the target can stand for it"
    if compared(tree, node) or is_key(tree, node):
        return (
            f"it is told apart by identity, and keeping the default {default} takes another object"
        )
    if isinstance(above, (cst.Attribute, cst.Decorator)):
        return f"keeping the default {default} takes another object, without such an attribute"
    name = called_with(tree, node)
    if name in _INSPECTING or _inspected(resolver, node):
        return f"{name}() looks at the function itself, and keeping {default} takes another one"
    if _bound_in_class(tree, node):
        return (
            "a function in a class body becomes a method, which a functools.partial does not: "
            f"wrap it in staticmethod and keep {default}"
        )
    return calls_obstacle(resolver, node, api)


def _inspected(resolver: Resolver, node: cst.CSTNode) -> bool:
    call = resolver.tree.parent(resolver.tree.parent(node))
    return isinstance(call, cst.Call) and resolver.meaning(call.func).path.startswith(
        _INSPECTING_MODULES
    )


def harmless_attribute(tree: Tree, node: cst.CSTNode) -> bool:
    """Whether only an attribute such as ``__name__`` is read of an expression."""
    above = tree.parent(node)
    return isinstance(above, cst.Attribute) and above.attr.value in _HARMLESS_ATTRIBUTES


def _bound_in_class(tree: Tree, node: cst.CSTNode) -> bool:
    if not isinstance(tree.enclosing(node, *_FUNCTION_LIKE), cst.ClassDef):
        return False
    for above in tree.ancestors(node):
        if isinstance(above, (cst.Assign, cst.AnnAssign)):
            return True
        if not isinstance(above, (cst.IfExp, cst.BooleanOperation)):
            return False
    return False


def calls_obstacle(resolver: Resolver, node: cst.BaseExpression, api: Api) -> str:
    """Look at how the thing that a function is given to is called, as far as this file shows."""
    tree = resolver.tree
    default = f"training={api.training_default}"
    above = tree.parent(node)
    handed_to = tree.parent(above) if isinstance(above, cst.Arg) else None
    if isinstance(handed_to, cst.Call):
        after = handed_to.args[list(handed_to.args).index(above) + 1 :]  # type: ignore[arg-type]
        if len([arg for arg in after if arg.keyword is None]) > 3:
            return f"training may be handed on by position, which can't be combined with {default}"
        if any(arg.keyword and arg.keyword.value in api.input_names for arg in handed_to.args):
            return "the input may be handed on by a keyword that the target lacks"
    if called_with(tree, node) == "starmap":
        return f"whether training is handed on by position can't be known; the default is {default}"
    for call in (*_receivers(resolver, node), *_possible_receivers(resolver, node, api)):
        if not isinstance(call, cst.Call):
            continue
        plain = [arg for arg in call.args if arg.keyword is None]
        keywords = {arg.keyword.value for arg in call.args if arg.keyword is not None}
        if len(plain) > 3 and not any(arg.star for arg in plain):
            return (
                f"line {tree.start(call).line} calls it with training by position, "
                f"which can't be combined with its default {default}"
            )
        if keywords & {*api.input_names, "generator", "name"}:
            return f"line {tree.start(call).line} calls it with a keyword that the target lacks"
    return ""


def _receivers(resolver: Resolver, node: cst.BaseExpression) -> Iterator[cst.CSTNode]:
    """Yield the parents of everything in this file that may be the function under another name."""
    tree = resolver.tree
    whole: cst.CSTNode = node
    while isinstance(tree.parent(whole), (cst.IfExp, cst.BooleanOperation, cst.NamedExpr)):
        whole = tree.parent(whole)
    if _called(tree, whole):
        yield tree.parent(whole)
    for above, below in parts_of(tree, node):
        if isinstance(above, cst.NamedExpr) and isinstance(above.target, cst.Name):
            for found in tree.scope(above.target)[above.target.value]:
                yield from _uses(tree, found)
        if isinstance(above, cst.Param) and above.default is below:
            function = tree.enclosing(above, cst.FunctionDef, cst.Lambda)
            inside = tree.scope(function.body)
            for found in inside.assignments[above.name.value] if inside else ():
                yield from _uses(tree, found)
        if isinstance(above, (cst.Element, cst.DictElement, cst.StarredElement)):
            yield from (
                tree.parent(one)
                for one in tree.nodes
                if isinstance(one, cst.Subscript) and _called(tree, one)
            )
    statement = tree.enclosing(node, cst.Assign, cst.AnnAssign)
    targets = []
    if isinstance(statement, cst.Assign):
        targets = [one.target for one in statement.targets]
    elif isinstance(statement, cst.AnnAssign):
        targets = [statement.target]
    for target in targets:
        if isinstance(target, cst.Name):
            for found in tree.scope(target)[target.value]:  # a global one as well
                yield from _uses(tree, found)
        elif isinstance(target, cst.Attribute):
            yield from (
                tree.parent(one)
                for one in tree.nodes
                if isinstance(one, cst.Attribute)
                and one.attr.value == target.attr.value
                and _called(tree, one)
            )


def _possible_receivers(
    resolver: Resolver, node: cst.BaseExpression, api: Api
) -> Iterator[cst.CSTNode]:
    """Yield the calls of unknown functions in this file that may be the function, handed on."""
    tree = resolver.tree
    around = [above for above, _ in parts_of(tree, node)]
    last = tree.parent(around[-1] if around else node)
    if not isinstance(last, (cst.Return, cst.Lambda)) and not any(
        isinstance(above, (cst.Arg, cst.Element, cst.DictElement, cst.Yield)) for above in around
    ):
        return
    takes = {*api.parameters, *api.input_names}
    for call in tree.nodes:
        if not isinstance(call, cst.Call) or not isinstance(call.func, (cst.Name, cst.Call)):
            continue
        plain = [arg for arg in call.args if arg.keyword is None]
        keywords = {arg.keyword.value for arg in call.args if arg.keyword is not None}
        fits = len(plain) <= len(api.parameters) and keywords <= takes
        if fits and resolver.meaning(call.func).kind == "object":
            yield call


def _uses(tree: Tree, found: object) -> Iterator[cst.CSTNode]:
    if isinstance(found, Assignment):
        for access in found.references:
            if _called(tree, access.node):
                yield tree.parent(access.node)


def _called(tree: Tree, node: cst.CSTNode) -> bool:
    above = tree.parent(node)
    return isinstance(above, cst.Call) and above.func is node
