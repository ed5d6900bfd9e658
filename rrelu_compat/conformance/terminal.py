"""The report on a terminal: progress, one block for each failing check, the table of counts."""

from __future__ import annotations

import os
import shutil
import textwrap
import time
from typing import IO, TYPE_CHECKING

from rrelu_compat.conformance.results import Result, executed, idle_subjects, rows, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NAMES = {"train": "training", "eval": "evaluation"}
#: Columns of the table, the last ones left out first where there is no room.
_COLUMNS = ("subject", "device", "dtype", "passed", "failed", "expected", "n/o", "examples", "s")


def _width() -> int:
    return max(30, shutil.get_terminal_size((80, 24)).columns)


def table(results: list[Result], width: int) -> str:
    """Return the counts of every subject, device and dtype, in lines of at most `width` characters."""
    lines = []
    for row in rows(results):
        c = row.counts
        numbers = (c["passed"], c["failed"] + c["xpassed"], c["xfailed"], c["not-offered"])
        cells = (*numbers, row.examples, f"{row.seconds:.1f}")
        lines.append([row.subject, row.device or "-", row.dtype or "any", *map(str, cells)])
    columns = [list(column) for column in zip(_COLUMNS, *lines, strict=True)]
    # Seconds, examples and what is not offered stand in the other reports too.
    for drop in ("s", "examples", "n/o", "device"):
        if sum(2 + max(map(len, column)) for column in columns) - 2 > width:
            columns = [column for column in columns if column[0] != drop]
    if sum(2 + max(map(len, column)) for column in columns) - 2 > width:
        # The subject on a line of its own.
        columns = [column for column in columns if column[0] != "subject"]
        text, names = _aligned(columns), [line[0] for line in lines]
        out = [text[0]]
        for k, name in enumerate(names):
            if k == 0 or names[k - 1] != name:
                out += textwrap.wrap(name, width) or [name]
            out.append(text[k + 1])
        return "\n".join(out)
    return "\n".join(_aligned(columns))


def _aligned(columns: list[list[str]]) -> list[str]:
    wide = [max(map(len, column)) for column in columns]
    left = ("subject", "device", "dtype")
    padded = [
        [cell.ljust(w) if column[0] in left else cell.rjust(w) for cell in column]
        for column, w in zip(columns, wide, strict=True)
    ]
    return ["  ".join(cells).rstrip() for cells in zip(*padded, strict=True)]


def where(results: Sequence[Result]) -> str:
    """Return the dtypes and modes of cases in words."""
    dtypes = list(dict.fromkeys(r.dtype for r in results if r.dtype))
    modes = list(dict.fromkeys(_NAMES.get(r.mode, r.mode) for r in results if r.mode))
    devices = list(dict.fromkeys(r.device for r in results if r.device))
    words = [", ".join(dtypes), " and ".join(modes)]
    places = {r.inplace for r in results}
    if True in places:
        words.append("in place" if len(places) == 1 else "in place or not")
    if len(devices) > 1:
        words.append(", ".join(devices))
    return "; ".join(word for word in words if word)


def simplest(results: Sequence[Result]) -> Result:
    """Return the result whose example is easiest to read."""
    shown = [r for r in results if r.snippet] or list(results)
    usual = [r for r in shown if r.dtype in ("", "float32")] or shown
    return min(usual, key=lambda r: len(r.snippet))


def print_failures(results: Iterable[Result], stream: IO[str], width: int) -> None:
    """Print a block for each check that failed: what is required, what happened, a program."""
    blocks: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.bad:
            blocks.setdefault((result.outcome, result.subject, result.check), []).append(result)

    def put(text: str, indent: str = "  ") -> None:
        lines = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent)
        print("\n".join(lines), file=stream)

    for (outcome, subject, check), group in blocks.items():
        one = simplest(group)
        print(f"\n{outcome.upper()} {subject}: {check}", file=stream)
        if places := where(group):
            put(f"in: {places}")
        if one.requirement:
            put(f"required: {one.requirement}")
        put(one.message)
        if one.snippet:
            put("the smallest example found, to paste and run:")
            for line in one.snippet.splitlines():
                print(f"      {line}".rstrip(), file=stream)
    if blocks:
        print("\nfailed cases:", file=stream)
        for group in blocks.values():
            for result in group:
                print(f"  {result.subject}: {result.id}", file=stream)


def print_report(results: list[Result], stream: IO[str], complete: bool = True) -> None:
    """Print failures, the table and the verdict."""
    width = _width()
    print_failures(results, stream, width)
    print(file=stream)
    if results:
        print(table(results, width), file=stream)
    for name in idle_subjects(results):
        print(f"FAILED {name}: no check ran", file=stream)
    if not results:
        print("FAILED: no case was selected (--list prints the cases)", file=stream)
    if not complete:
        print("STOPPED before the end: the cases after these did not run", file=stream)
    verdict = "passed" if complete and succeeded(results) else "FAILED"
    follows = sum(r.outcome == "follows" for r in results)
    more = f", {follows} follow from these" if follows else ""
    print(
        f"{verdict}: {executed(results)} checks ran, {sum(r.bad for r in results)} failed{more}, "
        f"{sum(r.examples for r in results)} examples",
        file=stream,
    )


class Progress:
    """Shows how far a run is: on a terminal a line that changes, in a file a line now and then.

    Parameters
    ----------
    stream : file
        Where to.
    total : int
        How many cases there are.
    """

    def __init__(self, stream: IO[str], total: int) -> None:
        self._stream, self._total = stream, total
        self._done = self._failed = 0
        self._terminal = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._shown = time.monotonic()

    def __call__(self, result: Result) -> None:
        """Count a result."""
        self._done += 1
        self._failed += result.bad
        now = time.monotonic()
        if now - self._shown < (0.1 if self._terminal else 10):
            return
        self._shown = now
        text = f"{self._done}/{self._total} {result.subject}: {self._failed} failed, {result.check}"
        if self._terminal:
            width = _width() - 1
            print(f"\r{text[:width]:{width}}", end="", file=self._stream, flush=True)
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Clear the line."""
        if self._terminal:
            print(f"\r{'':{_width() - 1}}\r", end="", file=self._stream, flush=True)
