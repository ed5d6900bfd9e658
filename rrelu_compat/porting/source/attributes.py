"""Plans for `_lower`, `_upper` and `_name`, the attributes that only Paddle's layer has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from rrelu_compat.porting.source.names import is_framework
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Plan
from rrelu_compat.porting.source.project import is_standard
from rrelu_compat.porting.source.text import Edit
from rrelu_compat.porting.source.tree import dotted, literal, positional, sole_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.resolve import Resolver
    from rrelu_compat.porting.source.tree import Tree

_PRIVATE = ("_lower", "_upper", "_name")


@dataclass
class Attributes:
    """Finds the private attributes of Paddle's layer in a file that goes elsewhere.

    The layers of every target have them as `lower`, `upper` and `name`; a change is only made where
    the object is an RReLU for certain.
    """

    resolver: Resolver
    by_hand: bool  # some class or layer of this file stays Paddle's

    def __post_init__(self) -> None:
        self.tree: Tree = self.resolver.tree

    def plans(self) -> Iterator[Plan]:
        """Yield a plan for every such attribute that is, or may be, of an RReLU."""
        for node in self.tree.nodes:
            if isinstance(node, cst.Attribute) and node.attr.value in _PRIVATE:
                if self._is_layer(node):
                    yield self._renamed(node.attr)
                elif node.attr.value != "_name" and not self._is_own(node):
                    yield self._unsure(node, node.attr.value)
            elif isinstance(node, cst.MatchKeywordElement) and node.key.value in _PRIVATE:
                pattern = self.tree.parent(node)
                if isinstance(pattern, cst.MatchClass) and self._is_class(pattern.cls):
                    yield self._renamed(node.key)
            elif isinstance(node, cst.SimpleString) and literal(node) in ("_lower", "_upper"):
                yield self._unsure(node, str(literal(node)))

    def _renamed(self, node: cst.Name) -> Plan:
        place = self.tree.start(node)
        if self.by_hand:
            why = "the layer may be one that is left by hand"
            return Plan(place, node.value, "attribute", BY_HAND, why)
        edit = Edit(*self.tree.span(node), node.value[1:])
        return Plan(place, node.value, "attribute", REWRITTEN, edits=[edit])

    def _unsure(self, node: cst.CSTNode, name: str) -> Plan:
        why = f"if this is an RReLU, it is called {name[1:]} in the target"
        place = self.tree.start(node.attr if isinstance(node, cst.Attribute) else node)
        return Plan(place, name, "attribute", BY_HAND, why)

    def _is_layer(self, node: cst.Attribute) -> bool:
        """Whether the object is a Paddle RReLU for certain."""
        base = node.value
        if isinstance(base, cst.Name):
            if self.resolver.meaning(base).kind == "self":
                return self._lineage(self.tree.enclosing(node, cst.ClassDef)) == "layer"
            value = sole_value(self.tree, base)
            if (value is not None and self._builds(value)) or self._annotated(base):
                return True
        elif self._builds(base) or (isinstance(base, cst.Attribute) and self._on_self(base)):
            return True
        return self._guarded(node)

    def _is_class(self, node: cst.BaseExpression) -> bool:
        api = self.resolver.meaning(node).api
        return api is not None and api.is_class and api.framework == "paddle"

    def _builds(self, value: cst.BaseExpression) -> bool:
        return isinstance(value, cst.Call) and self._is_class(value.func)

    def _lineage(self, owner: cst.ClassDef | None) -> str:
        """Return "layer" for a class derived from RReLU, "other" for one that is not, or "unknown"."""
        if owner is None:
            return "unknown"
        found = {self._base(base.value) for base in owner.bases if not base.star}
        if "layer" in found:
            return "layer"
        return "unknown" if "unknown" in found else "other"

    def _base(self, base: cst.BaseExpression) -> str:
        if self._is_class(base):
            return "layer"
        meaning = self.resolver.meaning(base)
        if meaning.kind == "path":
            return "other" if is_framework(meaning.path) or is_standard(meaning.path) else "unknown"
        if self.resolver.is_builtin(base, "object"):
            return "other"
        owners = [
            node
            for node in self.tree.nodes
            if isinstance(node, cst.ClassDef) and node.name.value == dotted(base)
        ]
        return self._lineage(owners[0]) if len(owners) == 1 and meaning.kind == "own" else "unknown"

    def _annotated(self, base: cst.Name) -> bool:
        found = list(self.tree.scope(base)[base.value])
        node = getattr(found[0], "node", None) if len(found) == 1 else None
        if not isinstance(node, cst.Param) or node.annotation is None:
            return False
        return self._is_class(node.annotation.annotation)

    def _on_self(self, base: cst.Attribute) -> bool:
        """Whether ``self.act`` is only ever given RReLU layers, as far as its class shows."""
        owner = self.tree.enclosing(base, cst.ClassDef)
        if owner is None or self.resolver.meaning(base.value).kind != "self":
            return False
        values = []
        for node in self.tree.nodes:
            if (
                isinstance(node, cst.Attribute)
                and node.attr.value == base.attr.value
                and not self.tree.is_load(node)
            ):
                statement = self.tree.parent(self.tree.parent(node))
                values.append(statement.value if isinstance(statement, cst.Assign) else None)
        return bool(values) and all(value is not None and self._builds(value) for value in values)

    def _is_own(self, node: cst.Attribute) -> bool:
        """Whether it is an attribute that a class, which is no RReLU, gives to itself."""
        owner = self.tree.enclosing(node, cst.ClassDef)
        if owner is None or self.resolver.meaning(node.value).kind != "self":
            return False
        if self._lineage(owner) != "other":
            return False
        return any(
            isinstance(one, cst.Attribute)
            and one.attr.value == node.attr.value
            and not self.tree.is_load(one)
            and self.tree.enclosing(one, cst.ClassDef) is owner
            for one in self.tree.nodes
        )

    def _guarded(self, node: cst.Attribute) -> bool:
        """Whether ``isinstance(base, RReLU)`` holds wherever the attribute is reached."""
        written = dotted(node.value)
        if written is None:
            return False
        below: cst.CSTNode = node
        for above in self.tree.ancestors(node):
            if isinstance(above, (cst.FunctionDef, cst.ClassDef, cst.Lambda)):
                return False
            if (
                (isinstance(above, (cst.If, cst.IfExp)) and below is above.body)
                and self._tests(above.test, written)
                and not self._rebound(above.body, written)
            ):
                return True
            if (
                isinstance(above, cst.BooleanOperation)
                and isinstance(above.operator, cst.And)
                and below is above.right
                and self._tests(above.left, written)
            ):
                return True
            if isinstance(above, (cst.ListComp, cst.SetComp, cst.GeneratorExp, cst.DictComp)) and (
                below is not above.for_in
                and any(self._tests(one.test, written) for one in above.for_in.ifs)
            ):
                return True
            below = above
        return False

    def _tests(self, test: cst.BaseExpression, written: str) -> bool:
        """Whether a condition can only hold if the object is an RReLU."""
        if isinstance(test, cst.BooleanOperation) and isinstance(test.operator, cst.And):
            return self._tests(test.left, written) or self._tests(test.right, written)
        if not isinstance(test, cst.Call) or not self.resolver.is_builtin(test.func, "isinstance"):
            return False
        classes = positional(test, 1)
        if dotted(positional(test, 0)) != written or classes is None:
            return False
        if isinstance(classes, cst.Tuple):
            return all(self._is_class(one.value) for one in classes.elements)
        return self._is_class(classes)

    def _rebound(self, body: cst.CSTNode, written: str) -> bool:
        """Whether the object is assigned anew inside the guarded part."""
        low, high = self.tree.span(body)
        return any(
            isinstance(node, (cst.Name, cst.Attribute))
            and dotted(node) == written
            and not self.tree.is_load(node)
            and low <= self.tree.start(node) < high
            for node in self.tree.nodes
        )
