"""Write ``docs/differences.md``: where the frameworks' own RReLU leaves the specification.

Everything on the page comes from runs of the suite on ``torch-native`` and ``paddle-native``.

Usage: python docs/scripts/differences.py
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rrelu_compat.conformance.finding import load_subject
from rrelu_compat.conformance.registry import all_checks
from rrelu_compat.conformance.runner import run

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rrelu_compat.conformance.profiles import Profile
    from rrelu_compat.conformance.results import Result

PAGE = Path(__file__).parents[1] / "differences.md"
NATIVES = ("torch-native", "paddle-native")
_NAMES = {"torch-native": "PyTorch", "paddle-native": "Paddle"}

_HEAD = """\
# Where the native layers differ

Each entry is a requirement of the specification that PyTorch's or Paddle's own RReLU does not meet on
the CPU, with the id of the check that found it and the smallest program that shows it. The programs
were printed by the suite; paste and run them. This page is written by
`python docs/scripts/differences.py`, from runs of the suite on
{versions}. `rrelu-compat conformance torch-native paddle-native` counts the same
failures.

rrelu_compat's own backends meet every requirement here. What they do is in [semantics](semantics.md),
every check in [the list of checks](conformance-checks.md).
"""


DIFFERS = ("failed", "xfailed")


def outcomes(
    names: Sequence[str] = NATIVES, profile: Profile | None = None
) -> dict[str, dict[str, list[Result]]]:
    """Run the suite, each subject in a process of its own; return the results of each check and subject."""
    found: dict[str, dict[str, list[Result]]] = {}
    for result in run(list(names), profile=profile, isolate=True):
        found.setdefault(result.check, {}).setdefault(result.subject, []).append(result)
    return found


def _versions() -> str:
    from importlib.metadata import version

    return f"torch {version('torch').partition('+')[0]} and paddlepaddle {version('paddlepaddle')}"


def _where(results: list[Result]) -> str:
    """Return dtypes and modes of failing cases in words."""
    dtypes = list(dict.fromkeys(r.dtype for r in results if r.dtype))
    modes = list(dict.fromkeys(r.mode for r in results if r.mode))
    places = {r.inplace for r in results}
    words = []
    if dtypes:
        words.append(", ".join(dtypes))
    if modes:
        words.append(
            " and ".join({"train": "training", "eval": "evaluation"}.get(m, m) for m in modes)
        )
    if places == {True}:
        words.append("in place")
    elif len(places) == 2:
        words.append("in place or not")
    return "; ".join(words)


def _simplest(results: list[Result]) -> Result:
    preferred = [r for r in results if r.dtype in ("", "float32")] or results
    return min(preferred, key=lambda r: len(r.snippet))


def _entries(subject: str, results: list[Result]) -> list[str]:
    """Return a paragraph and a program for each reason."""
    reasons: dict[str, list[Result]] = {}
    for result in results:
        if result.outcome in DIFFERS:
            reasons.setdefault(result.message.partition(" | ")[0], []).append(result)
    lines = []
    for reason, group in reasons.items():
        one = _simplest(group)
        where = _where(group)
        lines += [f"**{_NAMES[subject]}**{f' ({where})' if where else ''}: {reason}.", ""]
        lines += [f"> {one.message.partition(' | ')[2]}", ""]
        if one.snippet:
            lines += ["```py", one.snippet, "```", ""]
    return lines


def _cell(results: list[Result]) -> str:
    if any(r.outcome in DIFFERS for r in results):
        return "differs"
    return "as specified" if any(r.outcome == "passed" for r in results) else "not offered"


def page() -> str:
    """Run both natives and return the page."""
    found = outcomes()
    differing = [
        check
        for check in all_checks()
        if any(r.outcome in DIFFERS for rs in found.get(check.id, {}).values() for r in rs)
    ]
    lines = [
        _HEAD.format(versions=_versions()),
        "| requirement | PyTorch | Paddle | check |",
        "|---|---|---|---|",
    ]
    for check in differing:
        cells = " | ".join(_cell(found[check.id].get(subject, [])) for subject in NATIVES)
        link = f"[{check.id}](#{check.id.replace('.', '')})"
        lines.append(f"| {check.summary} | {cells} | {link} |")
    absent = [f"- {_NAMES[s]}: {', '.join(names)}" for s in NATIVES if (names := _absent(s))]
    lines += ["", "Not offered at all:", "", *absent, ""]
    for check in differing:
        lines += [f"## {check.id}", "", check.summary, ""]
        for subject in NATIVES:
            lines += _entries(subject, found[check.id].get(subject, []))
    return "\n".join(lines).rstrip() + "\n"


def _absent(subject: str) -> list[str]:
    from rrelu_compat.conformance.capabilities import CLAIMS

    # The natives never promised the slopes of this package's definition.
    ours = ("portable_slopes", "manual_seed")
    claims = load_subject(subject).capabilities
    return [
        name.replace("_", " ") for name in CLAIMS if not claims.offers(name) and name not in ours
    ]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
