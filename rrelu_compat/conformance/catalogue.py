"""Writes ``docs/conformance-checks.md``: every check, what it requires, what it needs.

::

    python -m rrelu_compat.conformance.catalogue docs/conformance-checks.md
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.case import FAMILIES, RECOMPUTE, Check, all_checks

if TYPE_CHECKING:
    from collections.abc import Sequence

_HEAD = """\
# The checks

{count} checks in {families} families, written by
`python -m rrelu_compat.conformance.catalogue docs/conformance-checks.md`. "Needs" names the capabilities
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


def main(arguments: Sequence[str]) -> int:
    """Write the page to the file named, or print it."""
    if arguments:
        Path(arguments[0]).write_text(page(), encoding="utf-8")
    else:
        print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
