"""Strings that are handed to the program's own functions and only ever compared there."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.meaning import resolver as resolver_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.meaning import Resolver
    from rrelu_compat.porting.source.plan import Context
    from rrelu_compat.porting.source.tree import Tree

Function = ast.FunctionDef | ast.AsyncFunctionDef
_DEPTH = 6


def only_compared(context: Context, node: ast.expr) -> bool:
    """Whether a string is a default or an argument, and all that its parameter meets is comparisons."""
    return _lands(context.resolver, node, _DEPTH)


def _lands(resolver: Resolver, node: ast.expr, depth: int) -> bool:
    """Whether a value where it stands only reaches comparisons."""
    if depth == 0:
        return False
    tree = resolver.tree
    above = tree.parent(node)
    if isinstance(above, ast.Compare):
        return True
    if isinstance(above, ast.arguments):
        function = tree.parent(above)
        name = _of_default(above, node)
        return (
            isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            and bool(name)
            and _parameter(resolver, function, name, depth - 1)
        )
    if isinstance(above, ast.keyword):
        call = tree.parent(above)
        return isinstance(call, ast.Call) and _argument(
            resolver, call, above.arg or "", None, depth
        )
    if isinstance(above, ast.Call) and node in above.args:
        if any(isinstance(one, ast.Starred) for one in above.args):
            return False
        return _argument(resolver, above, "", above.args.index(node), depth)
    if isinstance(above, (ast.Assign, ast.AnnAssign)) and above.value is node:
        targets = above.targets if isinstance(above, ast.Assign) else [above.target]
        return all(_target(resolver, one, depth - 1) for one in targets)
    if isinstance(above, ast.FormattedValue):  # an error's text
        return any(isinstance(one, ast.Raise) for one in tree.ancestors(above))
    return False


def _of_default(arguments: ast.arguments, node: ast.expr) -> str:
    """Return the parameter that a default belongs to."""
    named = [*arguments.posonlyargs, *arguments.args]
    for one, default in zip(reversed(named), reversed(arguments.defaults), strict=False):
        if default is node:
            return one.arg
    for one, other in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        if other is node:
            return one.arg
    return ""


def _target(resolver: Resolver, target: ast.expr, depth: int) -> bool:
    """Whether a variable, or an attribute of self, only reaches comparisons."""
    tree = resolver.tree
    if isinstance(target, ast.Name):
        scope = resolver.scope(target).owner(target.id)
        if scope.kind != "function":
            return False
        return all(_lands(resolver, one, depth) for one in _reads(tree, target.id, scope.node))
    if isinstance(target, ast.Attribute) and resolver.meaning(target.value).kind == "self":
        reads = [
            one
            for one in tree.nodes
            if isinstance(one, ast.Attribute)
            and one.attr == target.attr
            and isinstance(one.ctx, ast.Load)
        ]
        spoken = resolver.project.spoken_of(target.attr, resolver.file)
        return not spoken and all(_lands(resolver, one, depth) for one in reads)
    return False


def _reads(tree: Tree, name: str, function: ast.AST) -> Iterator[ast.Name]:
    for one in tree.scopes.names.get(name, ()):
        if isinstance(one.ctx, ast.Load) and any(
            above is function for above in tree.ancestors(one)
        ):
            yield one


def _parameter(resolver: Resolver, function: Function, name: str, depth: int) -> bool:
    """Whether all that a parameter meets in its function is comparisons."""
    return all(_lands(resolver, one, depth) for one in _reads(resolver.tree, name, function))


def _argument(
    resolver: Resolver, call: ast.Call, keyword: str, index: int | None, depth: int
) -> bool:
    """Whether an argument of a call of the program's own function or class only reaches comparisons."""
    found = _function(resolver, call)
    if found is None:
        return False
    owner, function, skipped = found
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    names = {one.arg for one in (*named, *arguments.kwonlyargs)}
    if index is not None:
        if index + skipped >= len(named):
            return False
        keyword = named[index + skipped].arg
    return keyword in names and _parameter(owner, function, keyword, depth - 1)


def _function(resolver: Resolver, call: ast.Call) -> tuple[Resolver, Function, int] | None:
    """Return the definition that a call runs, and how many of its parameters come by themselves."""
    meaning = resolver.meaning(call.func)
    if meaning.kind == "class" and meaning.definition is not None:
        owner, node = meaning.definition
        for one in node.body:
            if isinstance(one, ast.FunctionDef) and one.name == "__init__":
                return owner, one, 1
        return None
    if meaning.kind != "own":
        return None
    if isinstance(call.func, ast.Name):
        return _defined(resolver, call.func.id, call.func)
    return None


def _defined(resolver: Resolver, name: str, node: ast.AST) -> tuple[Resolver, Function, int] | None:
    """Return a function that is defined once, here or in the file it is imported from."""
    found = resolver.tree.scopes.lookup(resolver.scope(node), name)
    if len(found) != 1:
        return None
    one = found[0]
    if isinstance(one.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return resolver, one.node, 0
    if isinstance(one.statement, ast.ImportFrom) and isinstance(one.node, ast.alias):
        if resolver.file is None:
            return None
        module = "." * one.statement.level + (one.statement.module or "")
        file = resolver.project.find(resolver.file, module)
        other = resolver_of(resolver.project, file) if file is not None else None
        if other is None:
            return None
        inside = other.tree.scopes.module.bindings.get(one.node.name, [])
        if len(inside) == 1 and isinstance(inside[0].node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return other, inside[0].node, 0
    return None
