"""A parsed file: its syntax tree with parents, positions and tokens, and small questions to it."""

from __future__ import annotations

import ast
import io
import itertools
import re
import tokenize
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from rrelu_compat.porting.source.edits import Position, Span, Text
from rrelu_compat.porting.source.mentions import IN_CODE
from rrelu_compat.porting.source.scopes import Scopes

if TYPE_CHECKING:
    from collections.abc import Iterator

ImportStatement = ast.Import | ast.ImportFrom
_SHARED = (ast.expr_context, ast.operator, ast.boolop, ast.unaryop, ast.cmpop)


class Token(NamedTuple):
    """One token of a part of the text."""

    kind: int
    text: str
    start: Position
    end: Position


class Argument(NamedTuple):
    """One argument of a call: where it is written, its keyword or "", its star or "", its value."""

    start: Position
    end: Position
    keyword: str
    star: str
    value: ast.expr


class Tree:
    """A parsed file.

    Raises
    ------
    SyntaxError, ValueError, RecursionError
        If the source can't be parsed.
    """

    def __init__(self, source: str) -> None:
        self.text = Text(source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.module = ast.parse(self.text.plain)
        self.nodes: list[ast.AST] = []  # parents before children
        self.parents: dict[ast.AST, ast.AST] = {}
        pending: list[ast.AST] = [self.module]
        while pending:
            node = pending.pop()
            self.nodes.append(node)
            children = [one for one in ast.iter_child_nodes(node) if not isinstance(one, _SHARED)]
            for child in children:
                self.parents[child] = node
            pending += reversed(children)
        self.scopes = Scopes(self.module)
        self.imports = [one for one in self.nodes if isinstance(one, (ast.Import, ast.ImportFrom))]

    def parent(self, node: ast.AST) -> ast.AST:
        """Return the parent of a node; the module is its own."""
        return self.parents.get(node, self.module)

    def ancestors(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the parents of a node, nearest first, the module last."""
        while node is not self.module:
            node = self.parents[node]
            yield node

    def enclosing(self, node: ast.AST, *kinds: type[Any]) -> Any:
        """Return the nearest ancestor of one of the kinds, or None."""
        return next((above for above in self.ancestors(node) if isinstance(above, kinds)), None)

    def statement(self, node: ast.AST) -> ast.stmt:
        """Return the statement that a node is or stands in."""
        found = node if isinstance(node, ast.stmt) else self.enclosing(node, ast.stmt)
        assert isinstance(found, ast.stmt)
        return found

    def block(self, statement: ast.stmt) -> list[ast.stmt]:
        """Return the statements among which one stands."""
        above = self.parent(statement)
        for _, field in ast.iter_fields(above):
            if isinstance(field, list) and any(one is statement for one in field):
                return field
        return [statement]

    # Places

    def place(self, line: int, utf8_column: int) -> Position:
        """Return the position that a node's line and column in bytes stand for."""
        text = self.text.lines[line - 1] if line <= len(self.text.lines) else ""
        if not text.isascii():
            utf8_column = len(text.encode()[:utf8_column].decode())
        return Position(line, utf8_column)

    def start(self, node: ast.AST) -> Position:
        """Return where a node starts, without parentheses around it."""
        return self.place(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> Position:
        """Return where a node ends."""
        return self.place(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def span(self, node: ast.AST) -> Span:
        """Return where a node stands."""
        return self.start(node), self.end(node)

    def code(self, node: ast.AST) -> str:
        """Return the source of a node."""
        return self.text.between(*self.span(node))

    def name_place(self, node: ast.Attribute) -> Position:
        """Return where the name of an attribute stands."""
        line, column = self.end(node)
        return Position(line, column - len(node.attr))

    @cached_property
    def places(self) -> dict[Position, ast.AST]:
        """Every identifier that could be a name of RReLU, by its place, and the node that holds it."""
        found = {}
        for node in self.nodes:
            for place in _identifiers(self, node):
                if self._in_fstring(node) and not self._is_there(node):
                    continue
                found[place] = node
        return found

    def _in_fstring(self, node: ast.AST) -> bool:
        return isinstance(node, ast.expr) and self.enclosing(node, ast.JoinedStr) is not None

    def _is_there(self, node: ast.AST) -> bool:
        """Whether a node inside an f-string stands where Python says, which before 3.12 it may not."""
        try:
            seen = ast.parse(self.code(node), mode="eval").body
        except (SyntaxError, ValueError, IndexError):
            return False
        return isinstance(node, ast.expr) and ast.dump(seen) == ast.dump(node)

    @cached_property
    def strings(self) -> list[tuple[int, int, ast.expr]]:
        """The strings that could hold a name, outermost ones only: start, end and node, in order."""
        found = []
        for node in self.nodes:
            is_string = isinstance(node, ast.JoinedStr) or (
                isinstance(node, ast.Constant)
                and isinstance(node.value, (str, bytes))
                and (b"elu" if isinstance(node.value, bytes) else "elu") in node.value.lower()  # type: ignore[operator]
            )
            if is_string and isinstance(node, ast.expr) and not self._in_fstring(node):
                low, high = self.span(node)
                found.append((self.text.offset(low), self.text.offset(high), node))
        return sorted(found, key=lambda one: one[:2])

    # Tokens

    def tokens(self, node: ast.AST) -> list[Token]:
        """Return the tokens of a node, comments and line ends left out."""
        first, last = self.span(node)
        lines = [line.rstrip("\r\n") + "\n" for line in self.text.lines[first.line - 1 : last.line]]
        lines[-1] = lines[-1][: last.column]
        lines[0] = lines[0][first.column :]
        found = []
        try:
            for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
                if token.type in (
                    tokenize.COMMENT,
                    tokenize.NL,
                    tokenize.NEWLINE,
                    tokenize.ENDMARKER,
                ):
                    continue
                start, end = (
                    Position(line + first.line - 1, column + (first.column if line == 1 else 0))
                    for line, column in (token.start, token.end)
                )
                found.append(Token(token.type, token.string, start, end))
        except (tokenize.TokenError, IndentationError):
            pass  # what is left over behind the last bracket
        return found

    def arguments(self, call: ast.Call) -> list[Argument]:
        """Return the arguments of a call as they are written."""
        pieces = self._pieces(call)
        given: list[tuple[Position, str, str, ast.expr]] = []
        for value in call.args:
            inner = value.value if isinstance(value, ast.Starred) else value
            star = "*" if isinstance(value, ast.Starred) else ""
            given.append((self.start(value), "", star, inner))
        for keyword in call.keywords:
            star = "" if keyword.arg else "**"
            given.append((self.start(keyword), keyword.arg or "", star, keyword.value))
        given.sort(key=lambda one: one[0])
        if len(pieces) != len(given):
            raise ValueError("the arguments of a call could not be told apart")
        return [
            Argument(start, end, keyword, star, value)
            for (start, end), (_, keyword, star, value) in zip(pieces, given, strict=True)
        ]

    def _pieces(self, call: ast.Call) -> list[Span]:
        """Return where the arguments of a call stand, their own parentheses included."""
        after = self.end(call.func)
        tokens = [token for token in self.tokens(call) if token.start >= after]
        while tokens and tokens[0].text == ")":  # (f)(x)
            tokens.pop(0)
        pieces: list[Span] = []
        start: Position | None = None
        end = after
        depth = 0
        for token in tokens[1:]:
            if depth == 0 and token.text in (",", ")") and token.kind == tokenize.OP:
                if start is not None:
                    pieces.append((start, end))
                start = None
                if token.text == ")":
                    break
                continue
            if token.kind == tokenize.OP:
                depth += (token.text in "([{") - (token.text in ")]}")
            start = token.start if start is None else start
            end = token.end
        return pieces


def _identifiers(tree: Tree, node: ast.AST) -> Iterator[Position]:
    """Yield the places of the identifiers in a node, itself and not its children, that name RReLU."""

    def named(text: object) -> bool:
        return isinstance(text, str) and IN_CODE.fullmatch(text) is not None

    if isinstance(node, ast.Name):
        if named(node.id):
            yield tree.start(node)
    elif isinstance(node, ast.Attribute):
        if named(node.attr):
            yield tree.name_place(node)
    elif isinstance(node, (ast.arg, ast.keyword)):
        if named(node.arg):
            yield tree.start(node)
    elif isinstance(node, ast.alias):
        line, column = tree.start(node)
        for part in node.name.split("."):
            if named(part):
                yield Position(line, column)
            column += len(part) + 1
        if named(node.asname):
            line, column = tree.end(node)
            yield Position(line, column - len(str(node.asname)))
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        if named(node.name):
            yield from _words(tree, node, {node.name}, first=True)
    elif isinstance(node, (ast.Global, ast.Nonlocal)):
        yield from _words(tree, node, {name for name in node.names if named(name)})
    elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
        if named(node.name):
            yield from _words(tree, node, {str(node.name)}, first=True)
    elif isinstance(node, ast.MatchMapping):
        if named(node.rest):
            yield from list(_words(tree, node, {str(node.rest)}))[-1:]
    elif isinstance(node, ast.MatchClass):
        wanted = {name for name in node.kwd_attrs if named(name)}
        tokens = tree.tokens(node)
        for token, following in itertools.pairwise(tokens):
            if token.text in wanted and following.text == "=":
                yield token.start
    elif isinstance(node, ast.ImportFrom) and any(
        named(part) for part in (node.module or "").split(".")
    ):
        for token in tree.tokens(node):
            if token.text == "import":
                break
            if named(token.text):
                yield token.start


def _words(
    tree: Tree, node: ast.AST, words: set[str], *, first: bool = False
) -> Iterator[Position]:
    """Yield where words stand as tokens of a node."""
    if not words:
        return
    if first:  # the header of a definition is short, its body may be long
        low, high = (tree.text.offset(place) for place in tree.span(node))
        found = re.compile(rf"\b(?:{'|'.join(words)})\b").search(tree.text.source, low, high)
        if isinstance(node, (ast.MatchAs, ast.MatchStar)):
            line, column = tree.end(node)
            yield Position(line, column - len(next(iter(words))))
        elif found is not None:
            yield tree.text.position(found.start())
        return
    for token in tree.tokens(node):
        if token.text in words:
            yield token.start


def dotted(node: ast.AST | None) -> str | None:
    """Return ``a.b.c`` for a name or a chain of attributes, None for anything else."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    return ".".join([node.id, *reversed(parts)])


def last_name(node: ast.AST) -> str:
    """Return ``c`` of ``a.b.c``, or ""."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def literal(node: ast.AST | None) -> str | None:
    """Return the value of a plain string literal, None for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return None


def positional(call: ast.Call, index: int) -> ast.expr | None:
    """Return a positional argument of a call, or None."""
    arguments = call.args[: index + 1]
    if len(arguments) <= index or any(isinstance(one, ast.Starred) for one in arguments):
        return None
    return arguments[index]


def module_of(statement: ast.ImportFrom) -> str:
    """Return the module of a ``from`` import, its dots in front."""
    return "." * statement.level + (statement.module or "")


def is_star(statement: ast.AST) -> bool:
    """Whether a statement is ``from ... import *``."""
    return isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*"
