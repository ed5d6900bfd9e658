"""Print how many tests a JUnit report says were executed; fail where a file executed less than its floor.

Usage: floor.py REPORT SET [--write]

``floors.json`` holds the floor of each test file, for each set; the entry ``"*"`` is a floor for
all files together. With --write the floors are set to what the report executed.
"""

import collections
import json
import pathlib
import sys
import xml.etree.ElementTree as ET

FLOORS = pathlib.Path(__file__).with_name("floors.json")


def executed(report: str) -> collections.Counter:
    """Return how many tests of each file were executed."""
    counts: collections.Counter = collections.Counter()
    for case in ET.parse(report).getroot().iter("testcase"):
        parts = case.get("classname", "").split(".")
        # Classes of tests come after the file's name.
        names = [k for k, part in enumerate(parts) if part.startswith("test_")]
        path = "/".join(parts[: names[0] + 1] if names else parts) + ".py"
        counts[path] += case.find("skipped") is None
    return counts


def failures(counts: collections.Counter, floors: dict[str, int]) -> list[str]:
    """Return what is below its floor, and files that have none."""
    if set(floors) == {"*"}:
        total = sum(counts.values())
        return [] if total >= floors["*"] else [f"{total} of {floors['*']} tests executed"]
    below = [
        f"{path}: {counts[path]} executed, at least {floor} are expected"
        for path, floor in floors.items()
        if counts[path] < floor
    ]
    return below + [
        f"{path} has no floor: run {__file__} with --write"
        for path in counts.keys() - floors.keys()
    ]


def main(report: str, name: str, *options: str) -> int:
    """Compare a report with the floors of a set, or write them."""
    floors = json.loads(FLOORS.read_text())
    counts = executed(report)
    if "--write" in options:
        floors[name] = {path: counts[path] for path in sorted(counts)}
        FLOORS.write_text(json.dumps(floors, indent=1) + "\n")
    found = failures(counts, floors[name])
    print(f"{name}: {sum(counts.values())} tests of {len(counts)} files executed")
    for line in found:
        print(f"  {line}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
