"""`_lower`, `_upper` and `_name`, the attributes that only Paddle's layer has.

The layers of every target have them as `lower`, `upper` and `name`; a change is only made where the
object is an RReLU for certain.
"""

from __future__ import annotations

import ast
import itertools
import re
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import is_framework
from rrelu_compat.porting.source.edits import Edit
from rrelu_compat.porting.source.exports import is_standard
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Plan
from rrelu_compat.porting.source.tree import dotted, positional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.meaning import Resolver
    from rrelu_compat.porting.source.plan import Context

_PRIVATE = ("_lower", "_upper", "_name")
MENTIONED = re.compile(r"\b_(?:lower|upper)\b")


def plans(context: Context, left: bool) -> Iterator[Plan]:
    """Yield a plan for every such attribute that is, or may be, of an RReLU.

    ``left``: some class or layer of this file stays Paddle's.
    """
    resolver = context.resolver
    for node in context.tree.nodes:
        if isinstance(node, ast.Attribute) and node.attr in _PRIVATE:
            place = context.tree.name_place(node)
            if _is_layer(resolver, node):
                yield _renamed(place, node.attr, left)
            elif node.attr != "_name" and not _is_own(resolver, node):
                yield _unsure(place, node.attr)
        elif isinstance(node, ast.MatchClass) and _is_class(resolver, node.cls):
            tokens = context.tree.tokens(node)
            for token, following in itertools.pairwise(tokens):
                if token.text in _PRIVATE and following.text == "=":
                    yield _renamed(token.start, token.text, left)
        elif isinstance(node, ast.Constant) and node.value in ("_lower", "_upper"):
            yield _unsure(context.tree.start(node), str(node.value))


def _renamed(place: Position, name: str, left: bool) -> Plan:
    if left:
        why = "the layer may be one that is left by hand"
        return Plan(place, name, "attribute", BY_HAND, "attribute", why)
    end = type(place)(place.line, place.column + len(name))
    return Plan(place, name, "attribute", REWRITTEN, edits=[Edit(place, end, name[1:])])


def _unsure(place: Position, name: str) -> Plan:
    why = f"if this is an RReLU, it is called {name[1:]} in the target"
    return Plan(place, name, "attribute", BY_HAND, "attribute", why)


def _is_layer(resolver: Resolver, node: ast.Attribute) -> bool:
    """Whether the object is a Paddle RReLU for certain."""
    base = node.value
    if isinstance(base, ast.Name):
        if resolver.meaning(base).kind == "self":
            return _lineage(resolver, resolver.tree.enclosing(node, ast.ClassDef)) == "layer"
        found = resolver.tree.scopes.lookup(resolver.scope(base), base.id)
        if len(found) == 1:
            values, binding = found[0].values, found[0].node
            if len(values) == 1 and _builds(resolver, values[0]):
                return True
            if isinstance(binding, ast.arg) and binding.annotation is not None:
                if _is_class(resolver, binding.annotation):
                    return True
    elif _builds(resolver, base) or (isinstance(base, ast.Attribute) and _on_self(resolver, base)):
        return True
    return _guarded(resolver, node)


def _is_class(resolver: Resolver, node: ast.expr) -> bool:
    api = resolver.meaning(node).api
    return api is not None and api.is_class and api.framework == "paddle"


def _builds(resolver: Resolver, value: ast.expr) -> bool:
    return isinstance(value, ast.Call) and _is_class(resolver, value.func)


def _lineage(resolver: Resolver, owner: ast.ClassDef | None) -> str:
    """Return "layer" for a class derived from RReLU, "other" for one that is not, or "unknown"."""
    if owner is None:
        return "unknown"
    found = {_base(resolver, owner, base) for base in owner.bases}
    if "layer" in found:
        return "layer"
    return "unknown" if "unknown" in found else "other"


def _base(resolver: Resolver, owner: ast.ClassDef, base: ast.expr) -> str:
    if _is_class(resolver, base):
        return "layer"
    meaning = resolver.meaning(base)
    if meaning.kind == "path":
        return "other" if is_framework(meaning.path) or is_standard(meaning.path) else "unknown"
    if resolver.is_builtin(base, "object"):
        return "other"
    if meaning.kind == "class" and meaning.definition is not None:
        other, definition = meaning.definition
        return _lineage(other, definition) if definition is not owner else "unknown"
    return "unknown"


def _on_self(resolver: Resolver, base: ast.Attribute) -> bool:
    """Whether ``self.act`` is only ever given RReLU layers, as far as its class shows."""
    owner = resolver.tree.enclosing(base, ast.ClassDef)
    if owner is None or resolver.meaning(base.value).kind != "self":
        return False
    values = [value for node, value in resolver.stored if node.attr == base.attr]
    return bool(values) and all(value is not None and _builds(resolver, value) for value in values)


def _is_own(resolver: Resolver, node: ast.Attribute) -> bool:
    """Whether it is an attribute that a class, which is no RReLU, gives to itself."""
    owner = resolver.tree.enclosing(node, ast.ClassDef)
    if owner is None or resolver.meaning(node.value).kind != "self":
        return False
    if _lineage(resolver, owner) != "other":
        return False
    return any(
        one.attr == node.attr and resolver.tree.enclosing(one, ast.ClassDef) is owner
        for one, _ in resolver.stored
    )


def _guarded(resolver: Resolver, node: ast.Attribute) -> bool:
    """Whether ``isinstance(base, RReLU)`` holds wherever the attribute is reached."""
    written = dotted(node.value)
    if written is None:
        return False
    below: ast.AST = node
    for above in resolver.tree.ancestors(node):
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            return False
        if isinstance(above, (ast.If, ast.IfExp)) and _tests(resolver, above.test, written):
            body = above.body if isinstance(above.body, list) else [above.body]
            if below in body and not any(_rebound(one, written) for one in body):
                return True
        if isinstance(above, ast.BoolOp) and isinstance(above.op, ast.And):
            before = above.values[: above.values.index(below)]  # type: ignore[arg-type]
            if any(_tests(resolver, one, written) for one in before):
                return True
        if isinstance(above, (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)):
            tests = [test for one in above.generators for test in one.ifs]
            if below not in above.generators and any(
                _tests(resolver, test, written) for test in tests
            ):
                return True
        below = above
    return False


def _tests(resolver: Resolver, test: ast.expr, written: str) -> bool:
    """Whether a condition can only hold if the object is an RReLU."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return any(_tests(resolver, one, written) for one in test.values)
    if not isinstance(test, ast.Call) or not resolver.is_builtin(test.func, "isinstance"):
        return False
    classes = positional(test, 1)
    if dotted(positional(test, 0)) != written or classes is None:
        return False
    if isinstance(classes, ast.Tuple):
        return all(_is_class(resolver, one) for one in classes.elts)
    return _is_class(resolver, classes)


def _rebound(part: ast.AST, written: str) -> bool:
    """Whether the object is assigned anew inside the guarded part."""
    return any(
        isinstance(node, (ast.Name, ast.Attribute))
        and not isinstance(node.ctx, ast.Load)
        and dotted(node) == written
        for node in ast.walk(part)
    )
