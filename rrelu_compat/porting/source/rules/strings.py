"""RReLU's names in strings: look-ups by a literal, annotations, ``__all__``, paths, and mere words."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import MODULE, lookup
from rrelu_compat.porting.source.edits import Edit, Position
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.rules import outcomes, qualified_names
from rrelu_compat.porting.source.rules.compared_strings import only_compared
from rrelu_compat.porting.source.tree import dotted, last_name, literal, positional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.meaning import Meaning
    from rrelu_compat.porting.source.mentions import Hit
    from rrelu_compat.porting.source.plan import Context

# Functions whose strings are for people.
_TALKING = {"print", "debug", "info", "warning", "warn", "error", "exception", "critical", "log"}
_TALKING_KEYWORDS = {"help", "description", "epilog", "msg", "message", "title", "label"}
# Functions and keys that take the dotted path of a class to build it.
_LOCATING = {
    "locate",
    "import_string",
    "import_from_string",
    "get_class",
    "get_object",
    "get_obj_from_str",
    "import_object",
    "resolve_name",
}
_TARGET_KEYS = {"_target_", "class_path"}
_FRAMEWORK_PATH = re.compile(r"(?<![\w.])(?:torch|paddle|rrelu_compat|nn|F)(?:\.|::)\w")
_NAMING = {"add_module", "add_sublayer", "register_module"}
_OWN_MEMBER = "an attribute of the program's own object"
_UNKNOWN = (
    "a name in a string: what looks it up can't be known here. If it is looked up in a framework's "
    "module, remember that rrelu's training defaults to False in PyTorch and to True in Paddle"
)


def plan(context: Context, hit: Hit) -> Plan | None:
    """Return the plan for a mention in a string, or None if no string stands there."""
    place = Position(hit.line, hit.column)
    node = _node(context, place)
    if node is None:
        return None
    if isinstance(node, ast.Constant):
        planned = _special(context, place, hit.name, node)
        if planned is not None:
            planned.kind = "string"
            return planned
    why = harmless(context, node)
    if why:
        return Plan(place, hit.name, "string", UNCHANGED, "own-name", why)
    if _called_with(context, _outermost(context, node)) in ("eval", "exec", "compile"):
        return Plan(place, hit.name, "string", BY_HAND, "program-text", "program text in a string")
    return Plan(place, hit.name, "string", BY_HAND, "name-in-string", _UNKNOWN)


def _node(context: Context, place: Position) -> ast.expr | None:
    strings = context.tree.strings
    offset = context.tree.text.offset(place)
    index = bisect_right(strings, offset, key=lambda one: one[0]) - 1
    if index < 0 or offset >= strings[index][1]:
        return None
    return strings[index][2]


# Strings that name the thing for certain


def _special(context: Context, place: Position, name: str, node: ast.Constant) -> Plan | None:
    if _is_annotation(context, node):
        return _annotation(context, place, name, node)
    if _in_all(context, node):
        return _exported(context, place, name, node)
    value = literal(node)
    if value is None:
        return None
    above = context.tree.parent(node)
    if isinstance(above, ast.Subscript) and above.slice is node:
        return _looked_up(context, place, name, above, context.resolver.meaning(above))
    if isinstance(above, ast.Call) and positional(above, 1) is node:
        return _second_argument(context, place, name, value, above)
    if lookup(value) is not None:
        return _path(context, place, name, value, node)
    return None


def _second_argument(
    context: Context, place: Position, name: str, value: str, call: ast.Call
) -> Plan | None:
    resolver = context.resolver
    meaning = resolver.set_by(call)
    function = last_name(call.func)
    first = positional(call, 0)
    if resolver.is_builtin(call.func, "getattr"):
        return _looked_up(context, place, name, call, meaning)
    if meaning.kind == "member" and function in ("setattr", "hasattr", "delattr"):
        return Plan(place, name, "string", UNCHANGED, "own-name", _OWN_MEMBER)
    both: tuple[str, ...] = ("torch.nn.RReLU", "paddle.nn.RReLU")
    both += ("torch.nn.functional.rrelu", "paddle.nn.functional.rrelu")
    if resolver.is_builtin(call.func, "hasattr") and meaning.path in both:
        why = "both frameworks have it in this module"
        return Plan(place, name, "string", UNCHANGED, "own-name", why)
    if meaning.api is not None and first is not None:
        why = f"{function}() changes or asks about {dotted(first)}.{value} itself"
        return Plan(place, name, "string", BY_HAND, "replaced", why)
    return None


def _looked_up(
    context: Context, place: Position, name: str, node: ast.expr, meaning: Meaning
) -> Plan | None:
    """Plan ``getattr(nn, "RReLU")``, ``vars(nn)["RReLU"]`` and the like."""
    if meaning.api is not None:
        return qualified_names.expression(context, place, name, node, meaning)
    if meaning.kind in ("member", "own", "class", "instance", "self"):
        return Plan(place, name, "string", UNCHANGED, "own-name", _OWN_MEMBER)
    if isinstance(node, ast.Subscript) and _own_table(context, node.value):
        if not _names_framework(literal(node.slice)):
            why = "a key of the program's own table"
            return Plan(place, name, "string", UNCHANGED, "own-name", why)
    return None


def _own_table(context: Context, node: ast.expr) -> bool:
    """Whether an expression is a table that this file makes: a dict display, or on self."""
    if isinstance(node, ast.Attribute):
        return context.resolver.meaning(node.value).kind == "self"
    if not isinstance(node, ast.Name):
        return isinstance(node, ast.Dict)
    found = context.tree.scopes.lookup(context.resolver.scope(node), node.id)
    values = [value for one in found for value in one.values or (None,)]
    tables = ("dict", "ModuleDict", "LayerDict", "OrderedDict")
    return bool(values) and all(
        isinstance(value, ast.Dict)
        or (isinstance(value, ast.Call) and last_name(value.func) in tables)
        for value in values
    )


def _path(context: Context, place: Position, name: str, value: str, node: ast.Constant) -> Plan:
    """Plan a dotted path such as ``"torch.nn.RReLU"``."""
    api = lookup(value)
    assert api is not None
    tree = context.tree
    above = tree.parent(node)
    key = above.arg if isinstance(above, ast.keyword) else None
    if isinstance(above, ast.Dict):
        index = next((i for i, one in enumerate(above.values) if one is node), None)
        key = literal(above.keys[index]) if index is not None else None
    located = _called_with(context, node) in _LOCATING or key in _TARGET_KEYS
    if located and api.framework in ("neutral", context.target):
        return Plan(place, name, "string", UNCHANGED, "target", "the target's already")
    if located and api.obstacle:
        return Plan(place, name, "string", BY_HAND, "no-counterpart", api.obstacle)
    written = tree.code(node)
    if located and value in written:
        start = tree.start(node)
        inside = Position(start.line, start.column + written.index(value))
        end = Position(inside.line, inside.column + len(value))
        done = Plan(place, name, "string", REWRITTEN, api=api)
        done.edits = [Edit(inside, end, f"{MODULE[context.target]}.{api.shim(context.target)}")]
        return done
    why = harmless(context, node)
    if why:
        return Plan(place, name, "string", UNCHANGED, "own-name", why)
    return Plan(place, name, "string", BY_HAND, "name-in-string", _UNKNOWN)


# Annotations and __all__


def _is_annotation(context: Context, node: ast.expr) -> bool:
    below: ast.AST = node
    for above in context.tree.ancestors(node):
        if isinstance(above, ast.Subscript) and last_name(above.value) == "Literal":
            return False
        if isinstance(above, ast.arg) or (
            isinstance(above, ast.AnnAssign) and above.annotation is below
        ):
            return True
        if isinstance(above, (ast.FunctionDef, ast.AsyncFunctionDef)) and above.returns is below:
            return True
        if isinstance(above, ast.Call):
            return last_name(above.func) == "cast" and positional(above, 0) is node
        if isinstance(above, (ast.stmt, ast.Lambda)):
            return False
        below = above
    return False


def _annotation(context: Context, place: Position, name: str, node: ast.expr) -> Plan | None:
    tree = context.tree
    start, end = tree.span(node)
    if start.line != end.line:
        return None
    line = tree.text.lines[place.line - 1]
    begin = place.column
    while begin > start.column and (
        line[begin - 1].isidentifier() or line[begin - 1] in ".0123456789"
    ):
        begin -= 1
    # An opening quote or prefix can't be part of the path: both end at the quote itself.
    path = line[begin : place.column + len(name)]
    root, *rest = path.split(".")
    scope = context.resolver.scope(node)
    meaning = context.resolver.name(root, scope)
    written = root
    for part in rest:
        meaning = context.resolver.member(meaning, part, written)
        written = f"{written}.{part}"
    if meaning.api is None:
        return outcomes.foreign(place, name, meaning)
    done = outcomes.decided(context, place, name, meaning, meaning.api)
    if done is not None:
        return done
    done = Plan(place, name, "string", REWRITTEN, api=meaning.api, imports=meaning.imports)
    done.shim = meaning.api.shim(context.target)
    done.callee = (Position(place.line, begin), Position(place.line, place.column + len(name)))
    if not rest:
        aliases = [one.node for one in tree.scopes.lookup(scope, root)]
        if not aliases:
            done.local, done.callee = root, None
        done.alias = next((one for one in aliases if isinstance(one, ast.alias)), None)
    return done


def _in_all(context: Context, node: ast.expr) -> bool:
    for above in context.tree.ancestors(node):
        if isinstance(above, ast.Call):
            return (dotted(above.func) or "").startswith("__all__.")
        if isinstance(above, ast.Assign):
            return any(dotted(one) == "__all__" for one in above.targets)
        if isinstance(above, (ast.AugAssign, ast.AnnAssign)):
            return dotted(above.target) == "__all__"
        if isinstance(above, ast.stmt):
            return False
    return False


def _exported(context: Context, place: Position, name: str, node: ast.expr) -> Plan:
    meaning = context.resolver.name(name, context.resolver.scope(node))
    if meaning.star and meaning.api is not None:
        done = outcomes.decided(context, place, name, meaning, meaning.api)
        if done is None:
            done = Plan(place, name, "string", REWRITTEN, api=meaning.api, imports=meaning.imports)
            done.shim, done.local = meaning.api.shim(context.target), name
        return done
    if meaning.kind in ("unknown", "unbound"):
        return Plan(place, name, "string", BY_HAND, "only-a-run", meaning.why)
    why = "the name this file exports stays the same"
    return Plan(place, name, "string", UNCHANGED, "own-name", why)


# Strings that change nothing


def _called_with(context: Context, node: ast.AST) -> str:
    """Return the last name of the function that an expression is a direct argument of, or ""."""
    above = context.tree.parent(node)
    if isinstance(above, ast.keyword):
        above = context.tree.parent(above)
    if not isinstance(above, ast.Call) or above.func is node:
        return ""
    return last_name(above.func)


def _outermost(context: Context, node: ast.expr) -> ast.expr:
    """Return the whole text a string is a part of: joined, formatted, added up."""
    tree = context.tree
    while True:
        above = tree.parent(node)
        if isinstance(above, (ast.BinOp, ast.JoinedStr, ast.FormattedValue)):
            node = above
        elif isinstance(above, ast.Attribute) and above.attr in ("format", "join"):
            call = tree.parent(above)
            if not isinstance(call, ast.Call):
                return node
            node = call
        else:
            return node


def harmless(context: Context, node: ast.expr) -> str:
    """Return why a string changes nothing about which RReLU is used, or ""."""
    tree = context.tree
    whole = _outermost(context, node)
    above = tree.parent(whole)
    if isinstance(above, ast.Assert) and above.msg is whole:
        return "text for people"
    if _called_with(context, whole) in _TALKING:
        return "text for people"
    if isinstance(above, ast.keyword) and above.arg in _TALKING_KEYWORDS:
        return "text for people"
    if isinstance(above, ast.Call) and isinstance(tree.parent(above), ast.Raise):
        return "text for people"
    if isinstance(above, ast.Subscript) and last_name(above.value) == "Literal":
        return "a type"
    if isinstance(above, ast.Tuple) and isinstance(tree.parent(above), ast.Subscript):
        if last_name(tree.parent(above).value) == "Literal":  # type: ignore[attr-defined]
            return "a type"
    if _names_framework(literal(node)):
        return ""  # the path of the class changes, so a key or a comparison does change something
    if isinstance(above, ast.MatchValue) or _compared(context, whole):
        return "only compared with other strings"
    if isinstance(above, ast.Dict):
        index = next((i for i, key in enumerate(above.keys) if key is whole), None)
        if index is not None and _has_api(context, above.values[index]):
            return "a key of the program's own table"
    if isinstance(above, (ast.Tuple, ast.List)) and len(above.elts) == 2:
        if above.elts[0] is whole and _has_api(context, above.elts[1]):
            return "the name the program gives to its own layer"
    if _called_with(context, whole) in _NAMING and positional(above, 0) is whole:  # type: ignore[arg-type]
        return "the name the program gives to its own layer"
    if whole is node and only_compared(context, node):
        return "it only reaches comparisons with other strings"
    return ""


def _compared(context: Context, node: ast.AST) -> bool:
    """Whether an expression, or a collection it stands in, is compared with something."""
    for above in _up(context, node):
        if isinstance(above, ast.Compare):
            return True
        if not isinstance(above, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
            return False
    return False


def _up(context: Context, node: ast.AST) -> Iterator[ast.AST]:
    for above in context.tree.ancestors(node):
        if isinstance(above, (ast.stmt, ast.Lambda)):
            return
        yield above


def _has_api(context: Context, node: ast.expr) -> bool:
    """Whether an expression holds a class or function of RReLU that is planned by itself."""
    return any(
        isinstance(one, (ast.Name, ast.Attribute, ast.Call))
        and context.resolver.meaning(one).api is not None
        for one in ast.walk(node)
    )


def _names_framework(value: str | None) -> bool:
    """Whether a string holds a dotted path into a framework."""
    return value is not None and _FRAMEWORK_PATH.search(value) is not None
