"""Write ``docs/conformance-checks.md``: every check, what it requires, what it needs.

Usage: python docs/scripts/conformance_checks.py
"""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.registry import FAMILIES, RECOMPUTE, Check, all_checks

PAGE = Path(__file__).parents[1] / "conformance-checks.md"

_HEAD = """\
# The checks

{count} checks in {families} families, written by
`python docs/scripts/conformance_checks.py`. "Needs" names the capabilities
without which a check is not offered. A check runs for each device, for each dtype that is claimed
(unless "runs" says other), and as "runs" says.
"""


def _runs(check: Check) -> str:
    words = []
    if check.modes == RECOMPUTE:
        words.append("each variant")
    else:
        names = {"train": "training", "eval": "evaluation"}
        words += [names[mode] for mode in check.modes if mode]
    if check.inplace != (False,):
        words.append("in place" if check.inplace == (True,) else "in place or not")
    if check.dtypes == ("",):
        words.append("once for all dtypes")
    elif check.dtypes != DTYPES:
        words.append(" and ".join(check.dtypes))
    return ", ".join(words)


def page() -> str:
    """Return the page."""
    checks = all_checks()
    lines = [_HEAD.format(count=len(checks), families=len(FAMILIES))]
    for family in FAMILIES:
        module = import_module(f"rrelu_compat.conformance.checks.{family}")
        text = inspect.cleandoc(module.__doc__ or "").replace("`", "")
        lines += [f"## {family}", "", text.replace("rrelu_compat.conformance.checks.", ""), ""]
        lines += ["| check | requires | runs | needs |", "|---|---|---|---|"]
        for check in checks:
            if check.id.partition(".")[0] == family:
                needs = ", ".join(check.needs)
                lines.append(f"| `{check.id}` | {check.summary} | {_runs(check)} | {needs} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
