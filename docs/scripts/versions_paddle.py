"""The table of versions in docs/paddle.md. ``versions_paddle.py --write 3.2.2.xml ...`` puts it there.

Reads what ``.ci/nightly paddle_versions`` leaves: for each version VERSION.xml of tests/paddle, and
VERSION.json of the conformance run.
"""

from __future__ import annotations

import json
import pathlib
import re
import sys
from xml.etree import ElementTree as ET

PAGE = pathlib.Path(__file__).parents[1] / "paddle.md"
BEGIN, END = "<!-- versions: docs/scripts/versions_paddle.py -->", "<!-- end of versions -->"


def row(junit: pathlib.Path) -> str:
    """Return the row of one version."""
    version = junit.stem
    passed, failed, refused = 0, 0, set()
    for case in ET.parse(junit).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif (skipped := case.find("skipped")) is None:
            passed += 1
        elif found := re.match(r"(?:reason: )?(.*?) needs ", skipped.get("message", "")):
            refused.add(found[1].removeprefix("E "))
    counts = json.loads(junit.with_suffix(".json").read_text())["summary"]
    checks = f"{counts['passed']} of {counts['executed']}"
    return f"| {version} | {passed} | {failed} | {checks} | {'; '.join(sorted(refused)) or 'nothing'} |"


def table(files: list[pathlib.Path]) -> str:
    """Return the table."""
    head = "| Paddle | tests passed | failed | conformance checks passed | refused, and said |"
    return "\n".join([head, "|---|---|---|---|---|", *map(row, files)])


if __name__ == "__main__":
    files = [pathlib.Path(name) for name in sys.argv[1:] if name.endswith(".xml")]
    text = table(files)
    if "--write" in sys.argv:
        page = PAGE.read_text()
        PAGE.write_text(f"{page.split(BEGIN)[0]}{BEGIN}\n\n{text}\n\n{END}{page.split(END)[1]}")
    print(text)
