"""The report on a terminal: progress, failures, the table of counts."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from rrelu_compat.conformance.results import Result, executed, idle_subjects, rows, succeeded

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADINGS = (
    "subject",
    "device",
    "dtype",
    "passed",
    "failed",
    "expected",
    "not offered",
    "examples",
    "seconds",
)

Progress = Callable[[int, int, Result], None]


def _cells(results: list[Result]) -> list[list[str]]:
    lines = []
    for row in rows(results):
        failed = row.counts["failed"] + row.counts["xpassed"]
        numbers = (
            row.counts["passed"],
            failed,
            row.counts["xfailed"],
            row.counts["not-offered"],
            row.examples,
        )
        lines.append(
            [
                row.subject,
                row.device,
                row.dtype or "any",
                *map(str, numbers),
                f"{row.seconds:.1f}",
            ]
        )
    return lines


def _has_rich() -> bool:
    return importlib.util.find_spec("rich") is not None


def plain_table(lines: list[list[str]]) -> str:
    """Return the table in plain text; the first three columns left, numbers right."""
    everything = [list(HEADINGS), *lines]
    widths = [max(len(line[k]) for line in everything) for k in range(len(HEADINGS))]

    def text(line: list[str]) -> str:
        cells = [
            cell.ljust(width) if k < 3 else cell.rjust(width)
            for k, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join([text(everything[0]), "  ".join("-" * w for w in widths), *map(text, lines)])


def print_table(results: list[Result], stream: IO[str]) -> None:
    """Print the counts of every subject, device and dtype."""
    lines = _cells(results)
    if not _has_rich():
        print(plain_table(lines), file=stream)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for k, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if k < 3 else "right", no_wrap=True)
    for line in lines:
        table.add_row(*line, style="red" if line[4] != "0" else None)
    terminal = stream.isatty()
    Console(file=stream, width=None if terminal else 110, highlight=False).print(table)


def print_failures(results: Iterable[Result], stream: IO[str]) -> None:
    """Print each failure: what is required, what happened, a program that shows it."""
    for result in results:
        if not result.bad:
            continue
        print(f"\n{result.outcome.upper()} {result.subject}: {result.id}", file=stream)
        if result.requirement:
            print(f"  required: {result.requirement}", file=stream)
        print(f"  {result.message}", file=stream)
        if result.snippet:
            print("  the smallest example found, to paste and run:", file=stream)
            for line in result.snippet.splitlines():
                print(f"      {line}".rstrip(), file=stream)


def print_report(results: list[Result], stream: IO[str]) -> None:
    """Print failures, the table and the verdict."""
    print_failures(results, stream)
    print(file=stream)
    print_table(results, stream)
    for name in idle_subjects(results):
        print(f"FAILED {name}: no check ran", file=stream)
    if not results:
        print(
            "FAILED: no check was selected (--list without --check prints the cases)", file=stream
        )
    bad = sum(r.bad for r in results)
    verdict = "passed" if succeeded(results) else "FAILED"
    print(
        f"{verdict}: {executed(results)} checks ran, {bad} failed, "
        f"{sum(r.examples for r in results)} examples",
        file=stream,
    )


@contextmanager
def progress_on(stream: IO[str]) -> Iterator[Progress | None]:
    """Yield a callback that shows progress, or None if `stream` is no terminal."""
    if not stream.isatty():
        yield None
    elif _has_rich():
        yield from _rich_progress(stream)
    else:
        yield from _plain_progress(stream)


def _rich_progress(stream: IO[str]) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns: tuple[Any, ...] = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[failed]} failed  {task.description}"),
    )
    with Progress(*columns, console=Console(file=stream), transient=True) as bar:
        task = bar.add_task("", failed=0)
        failed = 0

        def show(done: int, total: int, result: Result) -> None:
            nonlocal failed
            failed += result.bad
            bar.update(
                task,
                completed=done,
                total=total,
                failed=failed,
                description=f"{result.subject} {result.check}",
            )

        yield show


def _plain_progress(stream: IO[str]) -> Iterator[Progress]:
    def show(done: int, total: int, result: Result) -> None:
        text = f"{done}/{total} {result.subject} {result.check}"
        print(f"\r{text[:79]:79}", end="", file=stream, flush=True)

    yield show
    print(f"\r{'':79}\r", end="", file=stream, flush=True)


__all__ = ["plain_table", "print_failures", "print_report", "print_table", "progress_on"]
