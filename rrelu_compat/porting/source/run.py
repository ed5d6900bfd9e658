"""Rewrite files, folders and notebooks."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import TARGETS
from rrelu_compat.porting.source.exports import Project
from rrelu_compat.porting.source.files import encoded, read_source, replace_all, walk
from rrelu_compat.porting.source.mentions import mentions
from rrelu_compat.porting.source.notebooks import port_notebook
from rrelu_compat.porting.source.report import FileReport, Report
from rrelu_compat.porting.source.rewrite import port_source

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def port_paths(paths: Iterable[str | Path], to: str) -> Report:
    """Work out what becomes of files, folders and notebooks; nothing is written.

    Give all of a project at once: what one file imports from another is then changed in step.

    Parameters
    ----------
    paths : iterable of str or Path
        Files, and folders to search for ``.py``, ``.pyi`` and ``.ipynb`` files.
    to : str
        "torch", "paddle" or "neutral".

    Returns
    -------
    Report
        Of the files that mention RReLU. `write` makes the changes, `diff` shows them.

    Raises
    ------
    FileNotFoundError
        If a path does not exist.
    ValueError
        If `to` is no target.
    """
    if to not in TARGETS:
        raise ValueError(f"to must be one of {', '.join(TARGETS)}, got to={to!r}")
    given = [Path(path) for path in paths]
    for path in given:
        if not path.exists():
            raise FileNotFoundError(f"{path} does not exist")
    files = list(walk(given))
    project = Project(files, [path for path in given if path.is_dir()])
    reports = []
    for file in files:
        report = _port(file, to, project)
        if report is not None:
            reports.append(report)
    return Report(to, tuple(sorted(reports, key=lambda one: one.path)), len(files))


def _port(file: Path, to: str, project: Project) -> FileReport | None:
    """Return the report of a file, None if it has nothing to do with RReLU."""
    try:
        text = read_source(file).text
    except (SyntaxError, ValueError, OSError, LookupError) as error:
        if not _mentioned(file):
            return None
        return FileReport(str(file), (), "", "", f"can't be read: {error}")
    if not mentions(text) and not project.concerned(text, to):
        return None
    if file.suffix == ".ipynb":
        report = port_notebook(text, to, file=file, project=project)
    else:
        report = port_source(text, to, file=file, project=project)
    return report if report.uses or mentions(text) else None


def _mentioned(file: Path) -> bool:
    try:
        if not file.is_file():
            return True
        return mentions(file.read_bytes().decode("latin-1"))
    except OSError:
        return True


def diff(report: Report) -> Iterator[str]:
    """Yield the lines of a unified diff of everything that changes."""
    for file in report.files:
        if file.changed:
            yield from difflib.unified_diff(
                file.before.splitlines(keepends=True),
                file.after.splitlines(keepends=True),
                f"a/{file.path}",
                f"b/{file.path}",
            )


def write(report: Report) -> list[Path]:
    """Write the changed files, all of them or none; return which.

    Raises
    ------
    RuntimeError
        If a file changed since it was read.
    OSError
        If a file can't be written. What was written before is put back.
    """
    changes = {Path(file.path): file for file in report.files if file.changed}
    prepared = []
    for path, file in changes.items():
        source = read_source(path)
        if source.text != file.before:
            raise RuntimeError(f"{path} changed while it was being rewritten; run again")
        prepared.append((path, encoded(source, file.after)))
    return replace_all(prepared)
