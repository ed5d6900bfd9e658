"""Results, their sums, and the JSON that carries them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

OUTCOMES = ("passed", "failed", "follows", "xfailed", "xpassed", "not-offered")
#: Outcomes that make a run fail.
BAD = ("failed", "xpassed")


@dataclass(frozen=True)
class Result:
    """What became of one case.

    Attributes
    ----------
    id : str
        ``check[device-dtype-mode]``, the key of expected failures.
    check, subject, device, dtype, mode : str
        The parts; `dtype` and `mode` are "" where they mean nothing.
    inplace : bool
        Whether the case is the in-place form.
    outcome : str
        One of `OUTCOMES`.
    examples : int
        How many examples ran.
    message : str
        Why it failed, what is missing, or the reason of an expected failure; "" if it passed.
    requirement : str
        What the check demands.
    snippet : str
        A program that shows a failure; "" otherwise.
    seconds : float
        How long it took.
    """

    id: str
    check: str
    subject: str
    device: str
    dtype: str
    mode: str
    inplace: bool
    outcome: str
    examples: int
    message: str
    requirement: str = ""
    snippet: str = ""
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        """Whether this result makes a run fail."""
        return self.outcome in BAD


@dataclass
class Row:
    """The counts of one subject, device and dtype."""

    subject: str
    device: str
    dtype: str
    counts: dict[str, int]
    examples: int = 0
    seconds: float = 0.0


def rows(results: Iterable[Result]) -> list[Row]:
    """Return the counts per subject, device and dtype, in the order they first appear."""
    table: dict[tuple[str, str, str], Row] = {}
    for result in results:
        key = (result.subject, result.device, result.dtype)
        if key not in table:
            table[key] = Row(*key, counts=dict.fromkeys(OUTCOMES, 0))
        row = table[key]
        row.counts[result.outcome] += 1
        row.examples += result.examples
        row.seconds += result.seconds
    return list(table.values())


def executed(results: Iterable[Result]) -> int:
    """Return how many results come from checks that ran."""
    return sum(result.examples > 0 for result in results)


def idle_subjects(results: list[Result]) -> list[str]:
    """Return the subjects of which no check ran."""
    names = dict.fromkeys(result.subject for result in results)
    return [name for name in names if not executed(r for r in results if r.subject == name)]


def succeeded(results: list[Result]) -> bool:
    """Whether nothing failed and every subject had a check that ran."""
    return bool(results) and not idle_subjects(results) and not any(r.bad for r in results)


def summarise(results: Iterable[Result], complete: bool = True) -> dict[str, Any]:
    """Return the report as ``docs/conformance-json.md`` describes it, ready for ``json.dump``.

    Parameters
    ----------
    results : iterable of Result
        What ran.
    complete : bool
        Whether the run went to its end; False for the report of a run that goes on, or was stopped.
    """
    results = list(results)
    counts = {outcome: sum(r.outcome == outcome for r in results) for outcome in OUTCOMES}
    return {
        "summary": {
            "schema": 1,
            "complete": complete,
            "success": complete and succeeded(results),
            **counts,
            "executed": executed(results),
            "examples": sum(r.examples for r in results),
            "seconds": round(sum(r.seconds for r in results), 3),
            "rows": [
                {
                    "subject": row.subject,
                    "device": row.device,
                    "dtype": row.dtype,
                    **row.counts,
                    "examples": row.examples,
                    "seconds": round(row.seconds, 3),
                }
                for row in rows(results)
            ],
        },
        "results": [{**asdict(r), "seconds": round(r.seconds, 3)} for r in results],
    }
