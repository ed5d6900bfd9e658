"""Run the port over published packages that use RReLU, and write docs/porting-report.md.

Usage: python docs/scripts/porting_report.py [--check] [--wheels DIR]

Downloads the pinned wheels with pip, checks their hashes, and reads them; nothing of them is installed or
executed. ``--wheels DIR`` takes those that are there already. ``--check`` writes nothing and fails where the
result is not the committed page.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass

from rrelu_compat.porting import diff, port_paths
from rrelu_compat.porting.source.files import SUFFIXES, read_source, walk
from rrelu_compat.porting.source.mentions import IN_STRING, scan

PAGE = pathlib.Path(__file__).parents[1] / "porting-report.md"


@dataclass(frozen=True)
class Package:
    """A wheel, and what a person has to do after the run."""

    name: str
    version: str
    sha256: str
    by_hand: str

    @property
    def title(self):
        return f"{self.name} {self.version}"


PACKAGES = (
    Package(
        "nni",
        "3.0",
        "176456f8275c096655b6f178dc0589a7642afbb37ecbcce7afe6ad9949592088",
        """`mask_updater.py` asks `node.target in no_change_act_func`, where `node.target` is a function found
in a traced graph. A `functools.partial` would never be found there, so the two functions can't be
wrapped. After the port, what a traced graph of *Paddle* shows has to stand in that tuple:
`rrelu_compat.paddle.rrelu` itself. The key `'RReLU'` in `replacement.py` is compared with the name
of a layer's class, which our layer has too: nothing to do.""",
    ),
    Package(
        "coremltools",
        "9.0",
        "e9080254a4b9d286e168f3b1bc8616edd5d48ab664c17870b85e496629a00e81",
        """`graph_utils.py` has the functions as keys of a table, so identity decides; the strings beside them
are names the table gives, and stay. `_backend_config.py` lists the two functions among those whose
patterns it looks for in a graph, again by identity: put the drop-in's functions there once the
graphs are Paddle's.""",
    ),
    Package(
        "skorch",
        "1.4.0",
        "eed53db7a7d5e72df38ec518a24206ee8e87c0bffd4a0386da3261ff667690ed",
        """Two tests hand the text `'torch.nn.RReLU(0.123, upper=0.456)'` to a function that imports what it
names. Text that is evaluated is not rewritten: write `'rrelu_compat.paddle.RReLU(0.123,
upper=0.456)'`. Until then the `isinstance` beside them, which is rewritten, fails: an error that is
seen.""",
    ),
    Package(
        "darts",
        "0.48.1",
        "73be93c121ece5ae3245103780a100d04cbdd7edbd2aabdec0ffe79c1d8fde4e",
        """Three lists of names that a user may choose from, looked up by `getattr(nn, activation)`.
Nothing in the file says which module's `RReLU` that will be after the port: give the look-up a line for it,
`RReLU if activation == "RReLU" else getattr(nn, activation)`.""",
    ),
    Package(
        "mmcv-lite", "2.2.0", "a24ee8dd3df7556dfced282dbfe8c3f87df6de2d4dcaf1207e83e9a2d58455a6", ""
    ),
)

HEAD = """\
# A run over published code

What `rrelu-compat port --to paddle` does with packages from the index that were found to use RReLU.
`docs/scripts/porting_report.py` downloads them, runs the port and writes this page; the slow tests
run it again and compare. Nothing of a package is installed or executed.

"""
SEARCHED = """
A mention is `RReLU`, `rrelu`, `rrelu_` or `rrelu_with_noise` as a word, found by a regular expression
over the files. Those in comments and docstrings change nothing. The rest are the uses in the tables
below, one for one: the script stops where a mention has no use or a use no mention.

Published code rarely builds a network with RReLU; it lists the layers and functions it knows how to
treat. A class in such a list is rewritten. A function in it is not: it is looked for by identity, and
what keeps its default would be another object. Names in strings are looked up somewhere else.

In the other direction there was nothing to run over: of 20 packages for Paddle on the index, among
them PaddleNLP, PaddleDetection, PaddleClas, PaddleSeg, PaddleSpeech, PaddleOCR and PaddleSlim, none
uses RReLU.
"""


def download(package, folder):
    """Return the wheel of a package."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version"]
    options += ["311", "--platform", "manylinux1_x86_64", "--dest", str(folder)]
    subprocess.run([*command, *options, f"{package.name}=={package.version}"], check=True)
    return find(package, folder)


def find(package, folder):
    """Return the wheel of a package in a folder, its hash checked."""
    stem = f"{package.name.replace('-', '_')}-{package.version}-"
    (wheel,) = (one for one in folder.iterdir() if one.name.startswith(stem))
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != package.sha256:
        raise SystemExit(f"{wheel.name}: sha256 {found}, expected {package.sha256}")
    return wheel


def unpack(wheel, folder):
    """Write the sources of a wheel to a folder."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name.endswith(SUFFIXES):
                archive.extract(name, folder)


class Run:
    """The port of the sources in a folder."""

    def __init__(self, title, folder, to="paddle"):
        self.title = title
        self.report = port_paths([folder], to)
        self._folder = folder
        self.mentions = 0
        self.silent = 0  # in comments and docstrings
        for file in walk([folder]):
            self._count(file)
        uses = sum(len(file.uses) for file in self.report.files)
        assert self.mentions == self.silent + uses, self.title

    def _count(self, file):
        text = read_source(file).text
        found = len(IN_STRING.findall(text))
        if not found:
            return
        (report,) = (one for one in self.report.files if one.path == str(file))
        hits = sorted((hit.line, hit.column, hit.name) for hit in scan(text))
        uses = sorted((use.line, use.column, use.name) for use in report.uses)
        assert hits == uses, file
        self.mentions += found
        self.silent += found - len(hits)

    def relative(self, text):
        return text.replace(str(self._folder) + "/", "")

    def row(self):
        """Return the line of the table of totals."""
        counts = [self.report.count(status) for status in ("rewritten", "unchanged", "by hand")]
        errors = sum(bool(file.error) for file in self.report.files)
        cells = [self.title, self.report.looked_at, self.mentions, self.silent, *counts, errors]
        return "| " + " | ".join(map(str, cells)) + " |"

    def uses(self):
        """Yield the lines of the table of uses; reasons are numbered after it."""
        reasons = {}
        yield "| place | code | |"
        yield "|---|---|---|"
        for file in self.report.files:
            for use in file.uses:
                note = ""
                if use.why:
                    note = f" ({reasons.setdefault(use.why, len(reasons) + 1)})"
                code = re.sub(r"\s+", " ", use.text).replace("|", "\\|")
                place = f"{self.relative(file.path)}:{use.line}"
                yield f"| {place} | `{code}` | {use.status}{note} |"
        yield ""
        for why, number in reasons.items():
            yield f"({number}) {why}."
            yield ""

    def changes(self):
        """Return the diff."""
        return self.relative("".join(diff(self.report)))


def section(run, package):
    """Return the part of the page about one package."""
    lines = [f"## {run.title}", "", f"Wheel with sha256 `{package.sha256}`.", "", *run.uses()]
    if package.by_hand:
        lines += ["By hand: " + package.by_hand, ""]
    changed = run.changes()
    if changed:
        lines += ["```diff", changed.rstrip("\n"), "```", ""]
    return "\n".join(lines)


def render(runs):
    """Return the page for pairs of package and run."""
    total = collections.Counter()
    for _, run in runs:
        total["files"] += run.report.looked_at
        for status in ("rewritten", "unchanged", "by hand"):
            total[status] += run.report.count(status)
    table = [
        "| package | files | mentions | in comments | rewritten | unchanged | by hand | unreadable |",
        "|---|---|---|---|---|---|---|---|",
        *(run.row() for _, run in runs),
    ]
    said = (
        f"\nTogether {total['files']} files: {total['rewritten']} uses rewritten, {total['unchanged']} "
        f"unchanged, {total['by hand']} by hand.\n"
    )
    parts = [section(run, package) for package, run in runs]
    return HEAD + "\n".join(table) + "\n" + said + SEARCHED + "\n" + "\n".join(parts)


def main():
    """Carry out the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--wheels", type=pathlib.Path, metavar="DIR")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        runs = []
        for package in PACKAGES:
            folder = pathlib.Path(work, package.name)
            (folder / "sources").mkdir(parents=True)
            given = arguments.wheels
            wheel = find(package, given) if given else download(package, folder)
            unpack(wheel, folder / "sources")
            runs.append((package, Run(package.title, folder / "sources")))
        page = render(runs)
    if not arguments.check:
        PAGE.write_text(page, "utf-8")
    elif page != PAGE.read_text("utf-8"):
        raise SystemExit(f"{PAGE.name} is not what a run gives: write it anew")


if __name__ == "__main__":
    main()
