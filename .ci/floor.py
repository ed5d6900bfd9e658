"""Print how many tests a JUnit report says were executed; fail below the committed floor.

Usage: floor.py REPORT SET
"""

import json
import pathlib
import sys
import xml.etree.ElementTree as ET


def main(report: str, name: str) -> int:
    """Compare the report with ``floors.json``."""
    floor = json.loads(pathlib.Path(__file__).with_name("floors.json").read_text())[name]
    cases = list(ET.parse(report).getroot().iter("testcase"))
    skipped = [case for case in cases if case.find("skipped") is not None]
    executed = len(cases) - len(skipped)
    print(
        f"{name}: {executed} tests executed, {len(skipped)} skipped; at least {floor} are expected"
    )
    return 0 if executed >= floor else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
