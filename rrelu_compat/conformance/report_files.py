"""The report files of a run, which grow while it goes on."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING

from rrelu_compat.conformance.html_report import page
from rrelu_compat.conformance.results import Result, summarise

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds between two states of the files.
PAUSE = 2.0


class ReportFiles:
    """Writes the results as JSON and as a page, over and over.

    Parameters
    ----------
    json_path, html_path : Path or None
        Where to; resolved at once, so that a subject that changes the folder moves no report.

    Raises
    ------
    ValueError
        If a file can't be written.
    """

    def __init__(self, json_path: Path | None, html_path: Path | None) -> None:
        self._paths = [
            (p.absolute(), kind) for p, kind in ((json_path, "json"), (html_path, "html")) if p
        ]
        self._written = 0.0
        for path, _ in self._paths:
            if not path.parent.is_dir():
                raise ValueError(f"{path}: there is no such directory")
        try:
            self.write([], complete=False)
        except OSError as error:
            raise ValueError(f"the report can't be written: {error}") from error

    def grow(self, results: list[Result]) -> None:
        """Write the results so far, if the last state is old."""
        if self._paths and time.monotonic() - self._written > PAUSE:
            self.write(results, complete=False)

    def write(self, results: list[Result], *, complete: bool) -> None:
        """Write the results."""
        for path, kind in self._paths:
            if kind == "json":
                text = json.dumps(summarise(results, complete), indent=1)
            else:
                text = page(results, complete)
            if path.exists() and not path.is_file():  # a pipe, a device
                if complete or results:
                    path.write_text(text, encoding="utf-8")
                continue
            # Whoever reads it meanwhile finds the whole of one state.
            beside = path.with_name(f"{path.name}.{os.getpid()}.part")
            beside.write_text(text, encoding="utf-8")
            os.replace(beside, path)
        self._written = time.monotonic()
