"""Rewrite the code cells of a Jupyter notebook and leave every other byte of it as it was."""

from __future__ import annotations

import ast
import json
import re
import warnings
from dataclasses import dataclass
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.source.edits import Edit, Position, Text
from rrelu_compat.porting.source.mentions import IN_STRING
from rrelu_compat.porting.source.report import BY_HAND, FileReport, Use
from rrelu_compat.porting.source.rewrite import Analysis, analyse

if TYPE_CHECKING:
    from pathlib import Path

    from rrelu_compat.porting.source.exports import Project

_SPACE = re.compile(r"[ \t\r\n]*")
_ATOM = re.compile(r"[^\s,\]}]+")
# Cell magics whose body is Python that runs in the notebook's own names.
_PYTHON_MAGICS = ("%%time", "%%timeit", "%%capture", "%%prun")
_MAGIC_LINE = re.compile(r"\s*(?:[%!]|\?|[\w.]+\?\??\s*$|[\w, ]+=\s*[!%])")


class _Node:
    """A JSON value with its place in the text."""

    def __init__(self, value: Any, start: int, end: int) -> None:
        self.value, self.start, self.end = value, start, end


@dataclass
class _Cell:
    """A code cell: which one, its source, where that stands, and its first line in the program."""

    number: int
    source: str
    node: _Node
    masked: str = ""
    first: int = 0
    skipped: tuple[int, ...] = ()  # lines, from 1, that are not Python
    why: str = ""


def port_notebook(text: str, to: str, *, file: Path, project: Project) -> FileReport:
    """Rewrite a notebook; all its code cells count as one program, in their order."""
    path = str(file)
    try:
        cells = _cells(_parse(text))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return FileReport(path, (), text, text, "not a notebook of format 4")
    if cells is None:
        return FileReport(path, (), text, text, "its language is not Python")
    program = ""
    for cell in cells:
        _mask(cell)
        cell.first = program.count("\n") + 1
        program += cell.masked
    done = analyse(program, to, file, project)
    if done.error:
        return FileReport(path, (), text, text, done.error)
    uses: list[Use] = []
    changes: list[tuple[_Node, str]] = []
    for cell in cells:
        uses += _uses(cell, done)
        edits = _edits(cell, done.edits)
        if edits:
            changes.append((cell.node, Text(cell.source).apply(edits)))
    parts, at = [], 0
    for node, new in changes:
        parts += [text[at : node.start], _encoded(node, new, text)]
        at = node.end
    after = "".join([*parts, text[at:]])
    return FileReport(path, tuple(uses), text, after)


def _parse(text: str) -> _Node:
    node, at = _value(text, _skip(text, 0))
    if _skip(text, at) != len(text):
        raise ValueError("text after the notebook")
    return node


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()


def _value(text: str, start: int) -> tuple[_Node, int]:
    """Return the JSON value at a place and where it ends."""
    first = text[start]
    if first == '"':
        value, end = scanstring(text, start + 1, True)
        return _Node(value, start, end), end
    if first in "{[":
        items: dict[str, _Node] | list[_Node] = {} if first == "{" else []
        at = _skip(text, start + 1)
        while text[at] not in "}]":
            key = ""
            if isinstance(items, dict):
                name, at = _value(text, at)
                key = name.value
                at = _skip(text, _skip(text, at) + 1)
            node, at = _value(text, at)
            if isinstance(items, dict):
                items[key] = node
            else:
                items.append(node)
            at = _skip(text, at)
            if text[at] == ",":
                at = _skip(text, at + 1)
        return _Node(items, start, at + 1), at + 1
    match = _ATOM.match(text, start)
    if match is None:
        raise ValueError(f"no JSON value at {start}")
    return _Node(json.loads(match.group()), start, match.end()), match.end()


def _cells(root: _Node) -> list[_Cell] | None:
    """Return the code cells, or None if the notebook is in another language."""
    metadata = root.value["metadata"].value if "metadata" in root.value else {}
    for key, inner in (("kernelspec", "language"), ("language_info", "name")):
        described = metadata[key].value if key in metadata else {}
        if inner in described and "python" not in described[inner].value.lower():
            return None
    found = []
    for number, node in enumerate(root.value["cells"].value):
        if node.value["cell_type"].value != "code":
            continue
        source = node.value["source"]
        lines = source.value if isinstance(source.value, str) else None
        text = lines if lines is not None else "".join(line.value for line in source.value)
        found.append(_Cell(number, text, source))
    return found


def _mask(cell: _Cell) -> None:
    """Write what is not Python as ``pass``, line for line."""
    lines = Text(cell.source).lines
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    first = cell.source.lstrip()
    if first.startswith("%%") and not first.startswith(_PYTHON_MAGICS):
        cell.why = f"inside a cell of {first.split()[0]}"
        cell.skipped = tuple(range(1, len(lines) + 1))
    elif not _parses("".join(lines)):
        cell.why = "inside a magic or shell line"
        cell.skipped = tuple(
            number for number, line in enumerate(lines, 1) if _MAGIC_LINE.match(line)
        )
        if not _parses(_without(lines, cell.skipped)):
            cell.why = "inside a cell that can't be parsed"
            cell.skipped = tuple(range(1, len(lines) + 1))
    cell.masked = _without(lines, cell.skipped)


def _without(lines: list[str], skipped: tuple[int, ...]) -> str:
    if len(skipped) == len(lines):
        return "pass\n" * len(lines)
    masked = list(lines)
    for number in skipped:
        line = lines[number - 1]
        masked[number - 1] = line[: len(line) - len(line.lstrip(" \t"))] + "pass\n"
    return "".join(masked)


def _parses(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError):
        return False
    return True


def _uses(cell: _Cell, done: Analysis) -> list[Use]:
    text = Text(cell.source)
    uses = [
        Use(
            plan.place.line - cell.first + 1,
            plan.place.column,
            plan.name,
            plan.kind,
            plan.status,
            plan.why,
            text.line(plan.place.line - cell.first + 1),
            cell.number,
        )
        for plan in done.plans
        if cell.first <= plan.place.line < cell.first + len(text.lines)
    ]
    for number in cell.skipped:
        uses += [
            Use(
                number,
                match.start(),
                match.group(),
                "notebook",
                BY_HAND,
                cell.why,
                text.line(number),
                cell.number,
            )
            for match in IN_STRING.finditer(text.lines[number - 1])
        ]
    return sorted(uses)


def _edits(cell: _Cell, edits: list[Edit]) -> list[Edit]:
    """Return the edits that fall into a cell, in the cell's own lines."""
    count = len(Text(cell.source).lines)

    def shifted(place: Position) -> Position:
        return Position(place.line - cell.first + 1, place.column)

    return [
        Edit(shifted(edit.start), shifted(edit.end), edit.text)
        for edit in edits
        if cell.first <= edit.start.line < cell.first + count
    ]


def _encoded(node: _Node, new: str, text: str) -> str:
    """Return the JSON of a changed source, in the layout of the one it replaces."""
    escape = text.isascii() and "\\u" in text
    if isinstance(node.value, str):
        return json.dumps(new, ensure_ascii=escape)
    items: list[_Node] = node.value
    before = {item.value: text[item.start : item.end] for item in items}
    lines = [before.get(line, json.dumps(line, ensure_ascii=escape)) for line in Text(new).lines]
    opening = text[node.start : items[0].start]
    closing = text[items[-1].end : node.end]
    between = text[items[0].end : items[1].start] if len(items) > 1 else "," + opening[1:]
    return opening + between.join(lines) + closing
