"""Plans for mentions of RReLU in strings."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from rrelu_compat.porting.source import contexts
from rrelu_compat.porting.source.names import MODULE, lookup
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.resolve import subscript_key
from rrelu_compat.porting.source.text import Edit, Position
from rrelu_compat.porting.source.tree import dotted, literal, positional

if TYPE_CHECKING:
    from rrelu_compat.porting.source.expressions import Expressions
    from rrelu_compat.porting.source.resolve import Meaning, Resolver
    from rrelu_compat.porting.source.scan import Hit
    from rrelu_compat.porting.source.tree import Tree

# Functions whose strings are for people.
_TALKING = {
    "print",
    "debug",
    "info",
    "warning",
    "warn",
    "error",
    "exception",
    "critical",
    "log",
}
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
_UNKNOWN = (
    "a name in a string: what looks it up can't be known here. If it is looked up in a framework's "
    "module, remember that rrelu's training defaults to False in PyTorch and to True in Paddle"
)

StringNode = cst.SimpleString | cst.FormattedString | cst.ConcatenatedString


@dataclass
class Strings:
    """Plans for the strings of a file."""

    expressions: Expressions

    def __post_init__(self) -> None:
        self.resolver: Resolver = self.expressions.resolver
        self.tree: Tree = self.resolver.tree
        self._nodes = [
            (node, *self.tree.span(node))
            for node in self.tree.nodes
            if isinstance(node, (cst.SimpleString, cst.FormattedString))
        ]

    def plan(self, hit: Hit) -> Plan | None:
        """Return the plan for a mention in a string, or None if no string stands there."""
        place = Position(hit.line, hit.column)
        inside = [node for node, start, end in self._nodes if start <= place < end]
        if not inside:
            return None
        node = inside[-1]  # the innermost: nodes come in the order of the tree
        if isinstance(node, cst.SimpleString):
            planned = self._special(place, hit.name, node)
            if planned is not None:
                planned.kind = "string"
                return planned
        why = self._harmless(node, hit.name)
        if why:
            return Plan(place, hit.name, "string", UNCHANGED, why)
        above = self._outermost(node)
        if contexts.called_with(self.tree, above) in ("eval", "exec", "compile"):
            return Plan(place, hit.name, "string", BY_HAND, "program text in a string")
        return Plan(place, hit.name, "string", BY_HAND, _UNKNOWN)

    # Strings that name the thing for certain

    def _special(self, place: Position, name: str, node: cst.SimpleString) -> Plan | None:
        tree = self.tree
        if self._is_annotation(node):
            return self._annotation(place, name, node)
        if self._in_all(node):
            return self._exported(place, name, node)
        value = literal(node)
        if value is None:
            return None
        above = tree.parent(node)
        call = tree.parent(above)
        if isinstance(above, cst.Index):
            item = tree.parent(call)
            if isinstance(item, cst.Subscript):
                return self._looked_up(place, name, item, self.resolver.meaning(item))
        if isinstance(call, cst.Call) and positional(call, 1) is node:
            return self._second_argument(place, name, value, call)
        if lookup(value) is not None:
            return self._path(place, name, value, node)
        return None

    def _second_argument(
        self, place: Position, name: str, value: str, call: cst.Call
    ) -> Plan | None:
        meaning = self.resolver.set_by(call)
        function = contexts.last_name(call.func)
        first = positional(call, 0)
        if self.resolver.is_builtin(call.func, "getattr"):
            return self._looked_up(place, name, call, meaning)
        if meaning.kind == "member" and function in ("setattr", "hasattr", "delattr"):
            return Plan(
                place, name, "string", UNCHANGED, "an attribute of the program's own object"
            )
        if self.resolver.is_builtin(call.func, "hasattr") and meaning.path in (
            "torch.nn.RReLU",
            "paddle.nn.RReLU",
            "torch.nn.functional.rrelu",
            "paddle.nn.functional.rrelu",
        ):
            return Plan(place, name, "string", UNCHANGED, "both frameworks have it in this module")
        if meaning.api is not None and first is not None:
            why = f"{function}() changes or asks about {dotted(first)}.{value} itself"
            return Plan(place, name, "string", BY_HAND, why)
        return None

    def _looked_up(
        self, place: Position, name: str, node: cst.Call | cst.Subscript, meaning: Meaning
    ) -> Plan | None:
        """Plan ``getattr(nn, "RReLU")``, ``vars(nn)["RReLU"]`` and the like."""
        if meaning.api is not None:
            return self.expressions.expression(place, name, node, meaning)
        if meaning.kind == "member":
            return Plan(
                place, name, "string", UNCHANGED, "an attribute of the program's own object"
            )
        own = isinstance(node, cst.Subscript) and self._own_table(node.value)
        if own and isinstance(node, cst.Subscript) and not _names_framework(subscript_key(node)):
            return Plan(place, name, "string", UNCHANGED, "a key of the program's own table")
        return None

    def _own_table(self, node: cst.BaseExpression) -> bool:
        """Whether an expression is a table that this file makes: a dict display, or on self."""
        if isinstance(node, cst.Attribute):
            return self.resolver.meaning(node.value).kind == "self"
        if not isinstance(node, cst.Name):
            return isinstance(node, cst.Dict)
        found = list(self.tree.scope(node)[node.value])
        values = [self.resolver.value(one) for one in found]
        return bool(values) and all(
            isinstance(value, cst.Dict)
            or (
                isinstance(value, cst.Call)
                and contexts.last_name(value.func)
                in ("dict", "ModuleDict", "LayerDict", "OrderedDict")
            )
            for value in values
        )

    def _path(self, place: Position, name: str, value: str, node: cst.SimpleString) -> Plan:
        """Plan a dotted path such as ``"torch.nn.RReLU"``."""
        api = lookup(value)
        assert api is not None
        tree = self.tree
        decided = None
        if api.framework in ("neutral", self.expressions.target):
            decided = "the target's already"
        above = tree.parent(node)
        key = literal(above.key) if isinstance(above, cst.DictElement) else None
        if isinstance(above, cst.Arg) and above.keyword is not None:
            key = above.keyword.value
        located = contexts.called_with(tree, node) in _LOCATING or key in _TARGET_KEYS
        if decided and located:
            return Plan(place, name, "string", UNCHANGED, decided)
        if located and api.is_class:
            start, _ = tree.span(node)
            inside = Position(start.line, start.column + node.value.index(value))
            end = Position(inside.line, inside.column + len(value))
            new = f"{MODULE[self.expressions.target]}.RReLU"
            plan = Plan(place, name, "string", REWRITTEN, api=api)
            plan.edits = [Edit(inside, end, new)]
            return plan
        if located:
            why = f"a path can't carry the default training={api.training_default}: give it by name"
            return Plan(place, name, "string", BY_HAND, why)
        why = self._harmless(node, name)
        if why:
            return Plan(place, name, "string", UNCHANGED, why)
        return Plan(place, name, "string", BY_HAND, _UNKNOWN)

    # Annotations and __all__

    def _is_annotation(self, node: cst.SimpleString) -> bool:
        for above, _ in contexts.parts_of(self.tree, node):
            if isinstance(above, cst.Subscript) and contexts.last_name(above.value) == "Literal":
                return False
            if isinstance(above, cst.Annotation):
                return True
            if isinstance(above, cst.Call):
                cast = contexts.last_name(above.func) == "cast"
                return cast and positional(above, 0) is node
        return False

    def _annotation(self, place: Position, name: str, node: cst.SimpleString) -> Plan | None:
        start, end = self.tree.span(node)
        line = self.tree.text.lines[place.line - 1]
        if start.line != end.line:
            return None
        begin = place.column
        while begin > start.column and (
            line[begin - 1].isidentifier() or line[begin - 1] in ".0123456789"
        ):
            begin -= 1
        # An opening quote or prefix can't be part of the path: both end at the quote itself.
        path = line[begin : place.column + len(name)]
        root, *rest = path.split(".")
        meaning = self.resolver.name(root, self.tree.scope(node))
        written = root
        for part in rest:
            meaning = self.resolver.member(meaning, part, written)
            written = f"{written}.{part}"
        if meaning.api is None:
            return self.expressions.foreign(place, name, node, meaning)
        plan = self.expressions.decided(place, name, meaning, meaning.api)
        if plan is not None:
            return plan
        plan = Plan(place, name, "string", REWRITTEN, api=meaning.api, bindings=meaning.bindings)
        plan.shim = meaning.api.name
        plan.bare = not rest
        plan.callee = (
            Position(place.line, begin),
            Position(place.line, place.column + len(name)),
        )
        return plan

    def _in_all(self, node: cst.SimpleString) -> bool:
        for above, _ in contexts.parts_of(self.tree, node):
            if isinstance(above, cst.Call):
                return (dotted(above.func) or "").startswith("__all__.")
        statement = self.tree.enclosing(node, cst.Assign, cst.AugAssign, cst.AnnAssign)
        if isinstance(statement, cst.Assign):
            return any(dotted(one.target) == "__all__" for one in statement.targets)
        return statement is not None and dotted(statement.target) == "__all__"

    def _exported(self, place: Position, name: str, node: cst.SimpleString) -> Plan:
        meaning = self.resolver.name(name, self.tree.scope(node))
        api = meaning.api
        target = self.expressions.target
        if api is not None and not api.is_class and api.framework not in ("neutral", target):
            why = "handed on to other files, where the default of training would change"
            # Counted as a use of the import, which then stays as it is.
            return Plan(place, name, "string", BY_HAND, why, bindings=meaning.bindings)
        if meaning.kind in ("unknown", "unbound"):
            return Plan(place, name, "string", BY_HAND, meaning.why)
        return Plan(place, name, "string", UNCHANGED, "the name this file exports stays the same")

    # Strings that change nothing

    def _outermost(self, node: cst.BaseExpression) -> cst.BaseExpression:
        """Return the whole text a string is a part of: joined, formatted, added up."""
        tree = self.tree
        while True:
            above = tree.parent(node)
            if isinstance(above, (cst.ConcatenatedString, cst.BinaryOperation)):
                node = above
            elif isinstance(above, cst.Attribute) and above.attr.value in ("format", "join"):
                call = tree.parent(above)
                if not isinstance(call, cst.Call):
                    return node
                node = call
            else:
                return node

    def _harmless(self, node: StringNode, name: str) -> str:
        """Return why a string changes nothing about which RReLU is used, or ""."""
        tree = self.tree
        whole = self._outermost(node)
        above = tree.parent(whole)
        if isinstance(above, cst.Assert) and above.msg is whole:
            return "text for people"
        if contexts.called_with(tree, whole) in _TALKING:
            return "text for people"
        if isinstance(above, cst.Arg):
            if above.keyword is not None and above.keyword.value in _TALKING_KEYWORDS:
                return "text for people"
            if isinstance(tree.parent(tree.parent(above)), cst.Raise):
                return "text for people"
        if self._in_literal(whole):
            return "a type"
        if _names_framework(literal(node)):
            return (
                ""  # the path of the class changes, so a key or a comparison does change something
            )
        if isinstance(above, cst.MatchValue) or contexts.compared(tree, whole):
            return "only compared with other strings"
        if isinstance(above, cst.DictElement) and above.key is whole and self._has_api(above.value):
            return "a key of the program's own table"
        if isinstance(above, cst.Element):
            pair = tree.parent(above)
            if (
                isinstance(pair, (cst.Tuple, cst.List))
                and len(pair.elements) == 2
                and pair.elements[0] is above
                and self._has_api(pair.elements[1].value)
            ):
                return "the name the program gives to its own layer"
        if contexts.called_with(tree, whole) in _NAMING:
            call = tree.parent(above)
            if isinstance(call, cst.Call) and positional(call, 0) is whole:
                return "the name the program gives to its own layer"
        return ""

    def _in_literal(self, node: cst.BaseExpression) -> bool:
        item = self.tree.enclosing(node, cst.Subscript)
        return (
            isinstance(self.tree.parent(node), cst.Index)
            and item is not None
            and contexts.last_name(item.value) == "Literal"
        )

    def _has_api(self, node: cst.BaseExpression) -> bool:
        """Whether an expression holds a class or function of RReLU that is planned by itself."""
        span = self.tree.span(node)
        return any(
            isinstance(one, (cst.Name, cst.Attribute, cst.Call))
            and span[0] <= self.tree.start(one) < span[1]
            and self.resolver.meaning(one).api is not None
            for one in self.tree.nodes
        )


def _names_framework(value: str | None) -> bool:
    """Whether a string holds a dotted path into a framework."""
    return value is not None and _FRAMEWORK_PATH.search(value) is not None
