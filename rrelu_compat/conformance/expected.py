"""Expected failures: of a subject, and of a file with one case on a line."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.guarding import clean
from rrelu_compat.conformance.registry import cases
from rrelu_compat.conformance.results import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def read_expected(path: Path) -> dict[str, str]:
    """Read a file of expected failures, as array-api-tests has them.

    Parameters
    ----------
    path : Path
        One id on a line: of a case (``gradient.at-zero[cpu-float32-train]``), or of a check for all
        its cases. What follows a ``#`` is the reason; without one, the comment above is. Empty
        lines end a comment.

    Raises
    ------
    ValueError
        If the file can't be read, or a line has more than an id and a comment.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ValueError(f"--expected-failures {path}: {error}") from error
    expected: dict[str, str] = {}
    above = ""
    for number, line in enumerate(text.splitlines(), 1):
        name, _, comment = (part.strip() for part in line.partition("#"))
        if " " in name:
            raise ValueError(f"--expected-failures {path}, line {number}: {name!r} is not one id")
        if name:
            expected[name] = comment or above or f"expected by {path.name}"
        else:
            above = comment
    return expected


def expectations(subject: Any, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the expected failures of a subject and of a file, those of whole checks spelt out."""
    expected = dict(getattr(subject, "expected_failures", {}))
    known = list(cases(subject))
    for name, reason in (more or {}).items():
        whole = [case.id for case in known if case.check.id == name and not case.missing()]
        expected.update(dict.fromkeys(whole or [name], reason))
    return expected


def unknown_expectations(subject: Any, more: Mapping[str, str] | None = None) -> Iterator[Result]:
    """Yield a failure for every expected failure that names no case: a misspelt or outdated one."""
    known = {case.id for case in cases(subject)}
    for name in expectations(subject, more):
        text = clean(name if isinstance(name, str) else repr(name))
        # A device that this machine lacks has no cases here.
        device = text.partition("[")[2].rstrip("]").partition("-")[0]
        if name in known or device not in (*subject.capabilities.devices, ""):
            continue
        near = difflib.get_close_matches(text, known, 1)
        hint = f"; {near[0]} is one" if near else ""
        yield Result(
            text,
            text.partition("[")[0],
            clean(subject.name),
            device,
            "",
            "",
            False,
            "failed",
            0,
            f"expected_failures has {text!r}, which is no case of this subject{hint}",
        )
