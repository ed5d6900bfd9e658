"""The table of versions in docs/versions.md: a framework's tests and conformance run on each of its versions.

Usage: python docs/scripts/versions.py FOLDER [NAME ...] [--write]

NAME is a file of ``.ci/versions``, such as torch-2.11.0; without one, all of them run. Each lists the
packages that are put before those of the environment ``FOLDER/dev``, which must have the package's `dev`
extra and, for PyTorch, the libraries of a CUDA build: ``.ci/nightly versions`` makes one. With --write the
rows go into ``docs/data/versions.json`` and the table into the page.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

ROOT = pathlib.Path(__file__).parents[2]
DATA = ROOT / "docs" / "data" / "versions.json"
PAGE = ROOT / "docs" / "versions.md"
BEGIN, END = "<!-- versions: docs/scripts/versions.py -->", "<!-- end of versions -->"
REFUSED = """
import importlib, sys
private = importlib.import_module(f"rrelu_compat.backends.{sys.argv[1]}.private")
print("; ".join(sorted({feature for _, holds, feature in private.self_tests() if not holds})))
"""


def run_row(name: str, folder: pathlib.Path) -> dict[str, object]:
    """Run the tests and the conformance suite on one version; return the row of the table."""
    framework = name.partition("-")[0]
    python = folder / "dev" / "bin" / "python"
    target = folder / name
    if not target.exists():
        listed = ROOT / ".ci" / "versions" / f"{name}.txt"
        install = [
            python,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            target,
            "-r",
            listed,
        ]
        subprocess.run([str(word) for word in install], check=True)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{target}"}

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [str(word) for word in (python, *words)]
        return subprocess.run(command, cwd=ROOT, env=environment, text=True, capture_output=True)

    found = run("-c", f"import {framework}; print({framework}.__version__)").stdout.strip()
    if not found.startswith(name.partition("-")[2]):
        raise SystemExit(f"{name}: version {found!r} is imported instead")
    report = folder / f"{name}.xml"
    quiet = ("-q", "--show-capture=no", "--tb=short", "-p", "no:cacheprovider")
    tests = run("-m", "pytest", f"tests/{framework}", *quiet, f"--junitxml={report}")
    (folder / f"{name}.log").write_text(tests.stdout + tests.stderr)
    suite = ET.parse(report).getroot()[0]
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    conformance = folder / f"{name}.json"
    run("-m", "rrelu_compat", "conformance", framework, "--json", conformance)
    cases = json.loads(conformance.read_text())["summary"]
    return {
        "version": found,
        "passed": int(suite.get("tests", 0)) - failed - int(suite.get("skipped", 0)),
        "failed": failed,
        "conformance": cases["passed"],
        "conformance failed": cases["failed"],
        "refused": run("-c", REFUSED, framework).stdout.strip(),
    }


def page(rows: dict[str, dict[str, object]], text: str) -> str:
    """Return the page's text with the table of these rows."""
    lines = [
        "| version | tests passed | failed | conformance cases passed | failed | refused |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in sorted(rows.items()):
        lines.append(
            f"| {name.partition('-')[0]} {row['version']} | {row['passed']} | {row['failed']} | "
            f"{row['conformance']} | {row['conformance failed']} | {row['refused'] or 'nothing'} |"
        )
    body = "\n".join([BEGIN, "", *lines, "", END])
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: body, text, flags=re.S)


def main() -> int:
    """Run what the command line asks for; the exit status is 1 if a test failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    names = arguments.names or sorted(p.stem for p in (ROOT / ".ci" / "versions").glob("*.txt"))
    rows = json.loads(DATA.read_text()) if DATA.exists() else {}
    for name in names:
        rows[name] = run_row(name, arguments.folder.resolve())
        print(name, rows[name], flush=True)
        if arguments.write:
            DATA.write_text(json.dumps(rows, indent=1) + "\n")
            PAGE.write_text(page(rows, PAGE.read_text()))
    return int(any(rows[name]["failed"] or rows[name]["conformance failed"] for name in names))


if __name__ == "__main__":
    sys.exit(main())
