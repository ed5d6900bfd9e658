"""What was done with each use, as text and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

REWRITTEN = "rewritten"
UNCHANGED = "unchanged"
BY_HAND = "by hand"
STATUSES = (REWRITTEN, UNCHANGED, BY_HAND)
_LONGEST = 160


@dataclass(frozen=True, order=True)
class Use:
    """One use of RReLU in a file.

    Attributes
    ----------
    line, column : int
        Where its name stands; the line counts from 1, the column from 0. In a notebook the line counts
        within its cell.
    cell : int or None
        The cell of a notebook, from 0.
    name : str
        The name as written: "RReLU", "rrelu", ... or, for the attributes that only Paddle's layer has,
        "_lower", "_upper", "_name".
    kind : str
        "call", "class", "function", "import", "string", "name", "attribute", "notebook" or "unknown".
    status : str
        "rewritten", "unchanged" or "by hand".
    why : str
        Why it is unchanged or left by hand; for a rewritten one what deserves a look, or "".
    text : str
        The line it stands on.
    code : str
        A word for `why`: "name-in-string", "look-up", ...
    """

    line: int
    column: int
    name: str
    kind: str
    status: str
    why: str
    text: str
    cell: int | None = None
    code: str = ""


@dataclass(frozen=True)
class FileReport:
    """The uses of one file, and its text before and after.

    ``error`` says why the file could not be read or parsed; it is then left alone.
    """

    path: str
    uses: tuple[Use, ...]
    before: str = field(repr=False)
    after: str = field(repr=False)
    error: str = ""

    @property
    def changed(self) -> bool:
        """Whether the text changed."""
        return self.before != self.after

    def count(self, status: str) -> int:
        """Return how many uses have a status."""
        return sum(use.status == status for use in self.uses)

    @property
    def complete(self) -> bool:
        """Whether nothing is left by hand."""
        return not self.error and not self.count(BY_HAND)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data."""
        uses = [asdict(use) for use in self.uses]
        for use in uses:
            if use["cell"] is None:
                del use["cell"]
        return {"path": self.path, "changed": self.changed, "error": self.error, "uses": uses}


@dataclass(frozen=True)
class Report:
    """The reports of all files that mention RReLU, and how many files were looked at."""

    target: str
    files: tuple[FileReport, ...]
    looked_at: int

    def count(self, status: str) -> int:
        """Return how many uses have a status."""
        return sum(file.count(status) for file in self.files)

    @property
    def complete(self) -> bool:
        """Whether nothing is left by hand and every file could be read."""
        return all(file.complete for file in self.files)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data, for JSON."""
        return {
            "target": self.target,
            "files_looked_at": self.looked_at,
            "counts": {status: self.count(status) for status in STATUSES},
            "errors": sum(bool(file.error) for file in self.files),
            "files": [file.to_dict() for file in self.files],
        }

    def __str__(self) -> str:
        return self.to_text(written=True)

    def to_text(self, *, written: bool) -> str:
        """Return the report for people; not `written`: what would be done.

        Lines are cut where they are long.
        """
        lines = []
        for file in self.files:
            if file.error:
                lines.append(f"{file.path}: left alone: {file.error}")
            for use in file.uses:
                place = f"{use.line}:{use.column + 1}"
                if use.cell is not None:
                    place = f"cell {use.cell}:{place}"
                why = f": {use.why}" if use.why else ""
                code = f" [{use.code}]" if use.status == BY_HAND and use.code else ""
                text = use.text if len(use.text) <= _LONGEST else use.text[:_LONGEST] + " ..."
                status = use.status
                if status == REWRITTEN and not written:
                    status = "would be rewritten"
                lines.append(f"{file.path}:{place}: {status}: {text}{why}{code}")
        counts = ", ".join(
            f"{self.count(status)} {'would be ' if status == REWRITTEN and not written else ''}{status}"
            for status in STATUSES
        )
        errors = sum(bool(file.error) for file in self.files)
        left = f", {errors} files left alone" if errors else ""
        lines.append(f"{counts}{left} ({self.looked_at} files looked at)")
        return "\n".join(lines)
