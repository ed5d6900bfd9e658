"""One HTML page that needs nothing else: counts, failures with programs, every result."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from rrelu_compat.conformance.results import OUTCOMES, Result, rows, succeeded, summarise

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 68rem; padding: 0 1rem;
       color: #1b1f24; background: #fff; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #d8dee4; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
table.all td, table.all th { text-align: left; vertical-align: top; }
pre { background: #f3f5f7; padding: .7rem; overflow-x: auto; }
.passed { color: #1a7f37; } .failed, .xpassed { color: #b3261e; font-weight: 600; }
.xfailed { color: #8a6100; } .not-offered { color: #59636e; }
details { margin: .5rem 0; }
@media (prefers-color-scheme: dark) {
  body { color: #e6edf3; background: #0d1117; } pre { background: #161b22; }
  th, td { border-color: #30363d; } .passed { color: #3fb950; } .failed, .xpassed { color: #ff7b72; }
  .xfailed { color: #d29922; } .not-offered { color: #9198a1; }
}
"""


def _row(cells: Sequence[object], tag: str = "td") -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(str(c))}</{tag}>" for c in cells) + "</tr>"


def _counts(results: list[Result]) -> str:
    head = ["subject", "device", "dtype", *OUTCOMES, "examples", "seconds"]
    lines = [
        _row(
            [
                row.subject,
                row.device,
                row.dtype or "any",
                *(row.counts[outcome] for outcome in OUTCOMES),
                row.examples,
                f"{row.seconds:.1f}",
            ]
        )
        for row in rows(results)
    ]
    return f"<table>{_row(head, 'th')}{''.join(lines)}</table>"


def _detail(result: Result) -> str:
    snippet = f"<pre>{escape(result.snippet)}</pre>" if result.snippet else ""
    return (
        f'<details{" open" if result.bad else ""}><summary><span class="{result.outcome}">'
        f"{result.outcome}</span> {escape(result.subject)}: <code>{escape(result.id)}</code></summary>"
        f"<p>{escape(result.requirement)}</p><p>{escape(result.message)}</p>{snippet}</details>"
    )


def _every(results: list[Result]) -> str:
    lines = [
        f"<tr><td>{escape(r.subject)}</td><td><code>{escape(r.id)}</code></td>"
        f'<td class="{r.outcome}">{r.outcome}</td><td>{r.examples}</td>'
        f"<td>{escape(r.message if not r.snippet else '')}</td></tr>"
        for r in results
    ]
    head = _row(["subject", "case", "outcome", "examples", "message"], "th")
    return f'<table class="all">{head}{"".join(lines)}</table>'


def page(results: list[Result], complete: bool = True) -> str:
    """Return the report as one HTML page."""
    summary = summarise(results)["summary"]
    verdict = (
        "passed" if complete and succeeded(results) else "failed" if complete else "not complete"
    )
    shown = [r for r in results if r.bad] + [r for r in results if r.outcome == "xfailed"]
    details = "".join(map(_detail, shown)) or "<p>None.</p>"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>RReLU conformance</title>
<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>
<h1>RReLU conformance: <span class="{verdict.replace(" ", "-")}">{verdict}</span></h1>
<p>{summary["executed"]} checks ran on {summary["examples"]} examples in {summary["seconds"]:.1f} s.</p>
{_counts(results)}
<h2>Failures, and failures the subject expects</h2>
{details}
<h2>Every result</h2>
<details><summary>{len(results)} results</summary>{_every(results)}</details>
</body></html>
"""
