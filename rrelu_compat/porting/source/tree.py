"""A parsed file: its syntax tree with scopes, parents and positions, and small questions to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import libcst as cst
from libcst.metadata import (
    Assignment,
    ExpressionContext,
    ExpressionContextProvider,
    MetadataWrapper,
    PositionProvider,
    Scope,
    ScopeProvider,
)

from rrelu_compat.porting.source.text import Position, Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from libcst.metadata import BaseAssignment

Span = tuple[Position, Position]


class _Collector(cst.CSTVisitor):
    """Lists the nodes in the order of the source, and their parents."""

    def __init__(self) -> None:
        super().__init__()
        self.nodes: list[cst.CSTNode] = []
        self.parents: dict[cst.CSTNode, cst.CSTNode] = {}
        self._above: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        self.nodes.append(node)
        if self._above:
            self.parents[node] = self._above[-1]
        self._above.append(node)
        return not isinstance(node, cst.BaseParenthesizableWhitespace)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._above.pop()


class Tree:
    """A parsed file.

    Raises
    ------
    libcst.ParserSyntaxError
        If the source can't be parsed.
    ValueError
        If LibCST reads it as another text, so that its positions are not those of the source.
    """

    def __init__(self, source: str) -> None:
        self.text = Text(source)
        # A tree that was just parsed has no node twice, so it need not be copied.
        wrapper = MetadataWrapper(cst.parse_module(source), unsafe_skip_copy=True)
        self.module = wrapper.module
        if self.module.code != source:  # LibCST 1.9 loses a form feed before a statement
            raise ValueError("LibCST does not reproduce it (a form feed before a statement?)")
        self._positions = wrapper.resolve(PositionProvider)
        self._scopes = wrapper.resolve(ScopeProvider)
        self._contexts = wrapper.resolve(ExpressionContextProvider)
        collector = _Collector()
        self.module.visit(collector)
        self.nodes = collector.nodes
        self._parents = collector.parents
        # libcst records no assignment for the names that a match statement binds.
        self.captures = {name for node in self.nodes for name in _captured(node)}
        self.imports = [
            node for node in self.nodes if isinstance(node, (cst.Import, cst.ImportFrom))
        ]
        self.scopes = [scope for scope in set(self._scopes.values()) if scope is not None]

    def parent(self, node: cst.CSTNode) -> cst.CSTNode:
        """Return the parent of a node; the module is its own."""
        return self._parents.get(node, self.module)

    def ancestors(self, node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        """Yield the parents of a node, nearest first, the module last."""
        while node is not self.module:
            node = self.parent(node)
            yield node

    def enclosing(self, node: cst.CSTNode, *kinds: type[Any]) -> Any:
        """Return the nearest ancestor of one of the kinds, or None."""
        return next((above for above in self.ancestors(node) if isinstance(above, kinds)), None)

    def scope(self, node: cst.CSTNode) -> Scope:
        """Return the scope a node stands in."""
        found = self._scopes.get(node)
        for above in self.ancestors(node):
            if found is not None:
                break
            found = self._scopes.get(above)
        assert isinstance(found, Scope)
        return found

    def span(self, node: cst.CSTNode) -> Span:
        """Return where a node stands, its own parentheses included."""
        place = self._positions[node]
        start = Position(place.start.line, place.start.column)
        end = Position(place.end.line, place.end.column)
        left: Sequence[cst.CSTNode] | cst.CSTNode | None = getattr(node, "lpar", None)
        right: Sequence[cst.CSTNode] | cst.CSTNode | None = getattr(node, "rpar", None)
        if isinstance(left, (list, tuple)) and left:
            start = min(start, self.span(left[0])[0])
        if isinstance(right, (list, tuple)) and right:
            end = max(end, self.span(right[-1])[1])
        return start, end

    def start(self, node: cst.CSTNode) -> Position:
        """Return where a node starts."""
        return self.span(node)[0]

    def is_load(self, node: cst.CSTNode) -> bool:
        """Whether a name or attribute is read here; not a target, a keyword, an import or a pattern."""
        above = self.parent(node)
        if isinstance(above, cst.Arg) and above.keyword is node:
            return False
        if isinstance(above, (cst.NameItem, cst.ImportAlias, cst.MatchKeywordElement)):
            return False
        if isinstance(above, (cst.MatchAs, cst.MatchStar, cst.MatchMapping)):
            return False
        if self.enclosing(node, cst.Import, cst.ImportFrom) is not None:
            return False
        return self._contexts.get(node) is ExpressionContext.LOAD

    def code(self, node: cst.CSTNode) -> str:
        """Return the source of a node."""
        return self.text.between(*self.span(node))

    def assignments(self, scope: Scope, name: str) -> list[BaseAssignment]:
        """Return what binds a name as seen from a scope, in the order of the source."""
        return sorted(
            scope[name],
            key=lambda found: self.start(found.node) if hasattr(found, "node") else Position(0, 0),
        )


def dotted(node: cst.CSTNode | None) -> str | None:
    """Return ``a.b.c`` for a name or a chain of attributes, None for anything else."""
    if isinstance(node, cst.Name):
        return node.value
    if isinstance(node, cst.Attribute):
        base = dotted(node.value)
        return None if base is None else f"{base}.{node.attr.value}"
    return None


def literal(node: cst.CSTNode | None) -> str | None:
    """Return the value of a plain string literal, None for anything else."""
    if isinstance(node, cst.SimpleString) and isinstance(node.evaluated_value, str):
        return node.evaluated_value
    return None


def positional(call: cst.Call, index: int) -> cst.BaseExpression | None:
    """Return a positional argument of a call, or None."""
    arguments = call.args[: index + 1]
    if len(arguments) <= index or any(arg.star or arg.keyword for arg in arguments):
        return None
    return arguments[index].value


def module_of(statement: cst.ImportFrom) -> str:
    """Return the module of a ``from`` import, its dots in front."""
    return "." * len(statement.relative) + (dotted(statement.module) or "")


def assigned_value(tree: Tree, assignment: Assignment) -> cst.BaseExpression | None:
    """Return the expression that an assignment gives to its name, or None if it is not written so."""
    node = assignment.node
    above = tree.parent(node)
    if isinstance(above, (cst.NamedExpr, cst.AnnAssign)) and above.target is node:
        return above.value
    if isinstance(above, cst.AssignTarget):
        statement = tree.parent(above)
        return statement.value if isinstance(statement, cst.Assign) else None
    if isinstance(above, cst.Element):  # a, b = torch.nn, torch.nn.functional
        pattern = tree.parent(above)
        target = tree.parent(pattern)
        statement = tree.parent(target)
        if (
            isinstance(pattern, cst.Tuple)
            and isinstance(statement, cst.Assign)
            and isinstance(statement.value, cst.Tuple)
            and len(statement.value.elements) == len(pattern.elements)
            and all(isinstance(one, cst.Element) for one in statement.value.elements)
            and all(isinstance(one, cst.Element) for one in pattern.elements)
        ):
            return statement.value.elements[list(pattern.elements).index(above)].value
    return None


def sole_value(tree: Tree, name: cst.Name) -> cst.BaseExpression | None:
    """Return the expression that a name's only assignment gives it, or None."""
    found = list(tree.scope(name)[name.value])
    if len(found) != 1 or not isinstance(found[0], Assignment) or name.value in tree.captures:
        return None
    return assigned_value(tree, found[0])


def _captured(node: cst.CSTNode) -> list[str]:
    if isinstance(node, (cst.MatchAs, cst.MatchStar)) and node.name is not None:
        return [node.name.value]
    if isinstance(node, cst.MatchMapping) and node.rest is not None:
        return [node.rest.value]
    return []
