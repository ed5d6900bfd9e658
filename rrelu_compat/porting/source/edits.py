"""Lines, positions and edits of a source text."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


class Position(NamedTuple):
    """A place in a text: line from 1, column from 0, counted in characters."""

    line: int
    column: int


Span = tuple[Position, Position]


@dataclass(frozen=True)
class Edit:
    """Replace the text from `start` to `end` (equal for an insertion) by `text`."""

    start: Position
    end: Position
    text: str


class OverlapError(ValueError):
    """Two edits touch the same text."""


class Text:
    """A text as lines.

    `str.splitlines` splits at form feeds and other characters that are no line ends in Python
    source, so the lines are made here.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = _LINE.findall(source)
        self.starts = [0]
        for line in self.lines:
            self.starts.append(self.starts[-1] + len(line))
        first = next((line for line in self.lines if line[-1] in "\r\n"), "\n")
        self.newline = "\r\n" if first.endswith("\r\n") else first[-1]

    @cached_property
    def plain(self) -> str:
        """The text with every line end as a line feed: what Python's parsers number alike."""
        if "\r" not in self.source:
            return self.source
        return "".join(
            line.rstrip("\r\n") + ("\n" if line[-1] in "\r\n" else "") for line in self.lines
        )

    def offset(self, position: Position) -> int:
        """Return the index into the source."""
        return self.starts[min(position.line - 1, len(self.lines))] + position.column

    def position(self, offset: int) -> Position:
        """Return the position of an index into the source."""
        line = bisect_right(self.starts, offset, hi=max(len(self.lines), 1)) - 1
        if offset == self.starts[-1]:  # behind the last character
            line = len(self.starts) - 1
        return Position(line + 1, offset - self.starts[line])

    def line(self, number: int) -> str:
        """Return a line without its end and indentation."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def between(self, start: Position, end: Position) -> str:
        """Return the text from `start` to `end`."""
        return self.source[self.offset(start) : self.offset(end)]

    def apply(self, edits: list[Edit]) -> str:
        """Return the source with all edits made.

        Raises
        ------
        OverlapError
            If two edits touch the same text.
        """
        spans = [
            (self.offset(edit.start), self.offset(edit.end), index, edit.text)
            for index, edit in enumerate(edits)
        ]
        parts = []
        done = 0
        for start, end, _, text in sorted(spans, key=lambda span: span[:3]):
            if start < done or end < start:
                raise OverlapError(f"edit {text!r} at {self.position(start)} overlaps another")
            parts += [self.source[done:start], text]
            done = end
        return "".join([*parts, self.source[done:]])
