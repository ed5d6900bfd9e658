"""Find every mention of RReLU by its names alone, without understanding the program.

The rewriter reads a syntax tree and scopes; this module reads tokens. What it finds is the list that a
report has to account for, so it shares nothing with the rewriter.
"""

from __future__ import annotations

import ast
import re
import tokenize
import warnings
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.edits import Position, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = r"(?:RReLU|rrelu_with_noise_?|(?:torch_|paddle_)?rrelu_?)(?!\w)"
IN_CODE = re.compile(rf"(?<!\w){_NAMES}")
# In a string the character before a name can be the letter of an escape, as in "\nrrelu(x)".
IN_STRING = re.compile(rf"(?:(?<!\w)|(?<=\\[abfnrtv])){_NAMES}")


@dataclass(frozen=True, order=True)
class Hit:
    """One mention: where it stands, the name, and whether it is an identifier or part of a string."""

    line: int
    column: int
    name: str
    in_string: bool


def mentions(source: str) -> bool:
    """Whether the names occur at all, comments and docstrings included."""
    return IN_STRING.search(source) is not None


def scan(source: str) -> list[Hit]:
    """Return the mentions of RReLU outside comments and docstrings, in order.

    Raises
    ------
    SyntaxError
        If the source can't be parsed.

    Examples
    --------
    >>> [(hit.line, hit.name) for hit in scan("y = F.rrelu(x)  # rrelu")]
    [(1, 'rrelu')]
    """
    text = Text(source)
    docstrings = _bare_strings(text)
    if IN_STRING.search(source) is None:
        return []
    starts = [start for start, _ in docstrings]
    hits = []
    for start, end, in_string in _pieces(text):
        before = bisect_right(starts, start) - 1
        if before >= 0 and end <= docstrings[before][1]:
            continue
        pattern = IN_STRING if in_string else IN_CODE
        for match in pattern.finditer(source, start, end):
            line, column = text.position(match.start())
            hits.append(Hit(line, column, match.group(), in_string))
    return sorted(set(hits))


def _pieces(text: Text) -> Iterator[tuple[int, int, bool]]:
    """Yield (start, end, is a string) for every identifier and string that could hold a name."""
    fstring_start = getattr(tokenize, "FSTRING_START", None)
    fstring_end = getattr(tokenize, "FSTRING_END", None)
    open_at: list[Position] = []
    lines = iter(_lines(text))
    try:
        for token in tokenize.generate_tokens(lines.__next__):
            kind = token.type
            if fstring_start is not None and kind == fstring_start:
                open_at.append(Position(*token.start))
            elif fstring_end is not None and kind == fstring_end:
                begin = open_at.pop()
                if not open_at:
                    yield text.offset(begin), text.offset(Position(*token.end)), True
            elif open_at or kind not in (tokenize.STRING, tokenize.NAME):
                continue
            elif "elu" in token.string.lower():
                start, end = Position(*token.start), Position(*token.end)
                yield text.offset(start), text.offset(end), kind == tokenize.STRING
    except tokenize.TokenError as error:
        raise SyntaxError(str(error)) from error


def _lines(text: Text) -> list[str]:
    """Return the lines, each ending in a line feed: the tokenizer knows no lone carriage return."""
    return [line.rstrip("\r\n") + "\n" for line in text.lines]


def _bare_strings(text: Text) -> list[tuple[int, int]]:
    """Return the spans of strings that stand as statements, in order: docstrings and the like."""
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # invalid escapes in the user's strings are not our business
        tree = ast.parse(text.plain)
    spans = []
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, (str, bytes))
        ):
            start = _offset(text, node.lineno, node.col_offset)
            end = _offset(text, node.end_lineno or 0, node.end_col_offset or 0)
            spans.append((start, end))
        elif not isinstance(node, ast.expr):
            pending += ast.iter_child_nodes(node)
    return sorted(spans)


def _offset(text: Text, line: int, utf8_column: int) -> int:
    before = text.lines[line - 1].encode()[:utf8_column]
    return text.offset(Position(line, len(before.decode())))
