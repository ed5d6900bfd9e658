"""Names that one file of a project takes from another: found on disk, read, never executed."""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.files import read_source
from rrelu_compat.porting.source.names import STARS, canonical, is_framework, join

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Export:
    """What a name of another file is.

    ``own`` means defined there, and ``module`` that it is a file or package itself; otherwise `path` is
    the qualified name it was imported by, or "" where that can't be told.
    """

    own: bool
    path: str = ""
    module: bool = False


UNKNOWN = Export(False)


def find_module(importer: Path, module: str) -> Path | None:
    """Return the file of a module as seen from the file that imports it, or None."""
    dots = len(module) - len(module.lstrip("."))
    parts = [part for part in module[dots:].split(".") if part]
    if dots:
        folder = importer.parent
        for _ in range(dots - 1):
            folder = folder.parent
        return _module_file(folder, parts)
    folder = importer.parent
    # Above the outermost package lies what the interpreter searches; a script finds its neighbours.
    for _ in range(1 + len(importer.parts)):
        found = _module_file(folder, parts)
        if found is not None:
            return found
        if not (folder / "__init__.py").exists():
            return None
        folder = folder.parent
    return None


def _module_file(folder: Path, parts: list[str]) -> Path | None:
    place = folder.joinpath(*parts)
    for candidate in (place / "__init__.py", place.with_name(place.name + ".py")):
        if parts and candidate.is_file():
            return candidate
    return place / "__init__.py" if (place / "__init__.py").is_file() else None


class Project:
    """The other files of the project, each read at most once and only when asked for.

    What it has read stays as it was, so files may be written while others are still to be looked at.
    """

    def __init__(self) -> None:
        self._parsed: dict[Path, tuple[ast.stmt, ...] | None] = {}
        self._active: set[tuple[Path, str]] = set()  # against files that import each other

    def look_up(self, importer: Path, qualified: str) -> Export:
        """Return what a qualified name outside the frameworks is, as seen from a file."""
        dots = len(qualified) - len(qualified.lstrip("."))
        parts = qualified[dots:].split(".")
        for count in range(len(parts), -1, -1):
            if count == 0 and not dots:
                break
            file = find_module(importer, "." * dots + ".".join(parts[:count]))
            if file is None:
                continue
            rest = parts[count:]
            if not rest:
                return Export(True, module=True)
            found = self.exports(file, rest[0])
            if found.path and len(rest) > 1:
                return Export(False, ".".join([found.path, *rest[1:]]))
            return found
        return UNKNOWN

    def exports(self, file: Path, name: str) -> Export:
        """Return what a name at the top level of a file is."""
        statements = self._top_level(file)
        if statements is None or (file, name) in self._active:
            return UNKNOWN
        self._active.add((file, name))
        try:
            found = {
                export for statement in statements for export in self._bound(file, statement, name)
            }
            if not found:
                found = set(self._from_stars(file, statements, name))
        finally:
            self._active.remove((file, name))
        return found.pop() if len(found) == 1 else UNKNOWN

    def _bound(self, file: Path, statement: ast.stmt, name: str) -> Iterator[Export]:
        if isinstance(statement, ast.ImportFrom):
            module = _module(statement)
            for alias in statement.names:
                if (alias.asname or alias.name) == name:
                    yield self._follow(file, join(module, alias.name))
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if alias.asname == name:
                    yield self._follow(file, alias.name)
                elif alias.asname is None and alias.name.split(".")[0] == name:
                    yield self._follow(file, name)
        elif name in _defined(statement):
            yield Export(True)

    def _from_stars(
        self, file: Path, statements: tuple[ast.stmt, ...], name: str
    ) -> Iterator[Export]:
        for statement in statements:
            if not isinstance(statement, ast.ImportFrom) or statement.names[0].name != "*":
                continue
            module = _module(statement)
            if name in STARS.get(module, {}):
                yield Export(False, STARS[module][name])
            elif not (is_framework(module) or is_standard(module)):
                source = find_module(file, module)
                if source is None:
                    yield UNKNOWN
                elif (inner := self.exports(source, name)) != UNKNOWN:
                    yield inner

    def _follow(self, file: Path, qualified: str) -> Export:
        if is_framework(qualified):
            return Export(False, canonical(qualified))
        return self.look_up(file, qualified)

    def _top_level(self, file: Path) -> tuple[ast.stmt, ...] | None:
        if file not in self._parsed:
            try:
                self._parsed[file] = _run_on_import(ast.parse(read_source(file).text))
            except (SyntaxError, ValueError, OSError):
                self._parsed[file] = None
        return self._parsed[file]


def is_standard(module: str) -> bool:
    """Whether a module belongs to the standard library, which has no RReLU."""
    return module.split(".", 1)[0] in sys.stdlib_module_names


def _module(statement: ast.ImportFrom) -> str:
    return "." * statement.level + (statement.module or "")


def _defined(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        return {
            node.id
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
    return set()


def _run_on_import(module: ast.Module) -> tuple[ast.stmt, ...]:
    """Return the statements that run when a module is loaded, those in branches included."""
    found = []
    pending: list[ast.AST] = list(module.body)
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.stmt):
            found.append(node)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.expr)):
            pending += list(ast.iter_child_nodes(node))
    return tuple(found)
