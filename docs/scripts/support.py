"""Run every feature of the support table on our layers and on the frameworks' own; write docs/support.md.

Usage: python docs/scripts/support.py [--check] [--only ours|native] [--framework torch|paddle]

``--check`` writes nothing and fails where a run disagrees with the committed page.
Each feature is a function in ``support_torch.py`` or ``support_paddle.py`` that takes the layer class and
raises where the feature does not work. Each runs in a process of its own: some native ones abort it.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pathlib
import sys
import tempfile
import traceback
import warnings

HERE = pathlib.Path(__file__).parent
PAGE = HERE.parent / "support.md"
TITLES = {"torch": "PyTorch", "paddle": "Paddle"}
TIMEOUT = 300
#: Where another result is another convention, not a fault.
CONVENTIONS = ("gradient 1 at zero", "channels-last kept", "bounds checked when given")
INTRODUCTION = """\
# Support table

What works where, in our layers and in the frameworks' own? `python docs/scripts/support.py` made this
page: it runs each feature on both layers, checks the result, and writes what happened. A test runs it again.

| entry | meaning |
|---|---|
| yes | it works |
| differs | it works by another convention |
| wrong result | it runs, and a number is wrong |
| an error's name | it raises that error |

"Checkpoint, not reentrant" is wrong in PyTorch's own layer where nothing after it in the segment saves a
tensor: where it stands last, or before Flatten, Identity, `+ 1` or `sum`. Before Linear, ReLU, Dropout or
BatchNorm it is right ([pytorch#193671](https://github.com/pytorch/pytorch/issues/193671)).
"""


def layer_class(framework, whose):
    """Return our layer or the framework's own."""
    module = f"rrelu_compat.{framework}" if whose == "ours" else f"{framework}.nn"
    return importlib.import_module(module).RReLU


def run_in_child(feature, layer):
    """Run one feature in a forked process; return "yes", or what went wrong in a few words."""
    with tempfile.TemporaryFile("w+") as report:
        child = os.fork()
        if child == 0:
            status = 1
            with contextlib.suppress(BaseException), open(os.devnull, "w") as nothing:
                os.dup2(nothing.fileno(), 1)
                os.dup2(nothing.fileno(), 2)
                warnings.simplefilter("ignore")
                # A hanging feature is one that does not work.
                __import__("signal").alarm(TIMEOUT)
                try:
                    feature(layer)
                    status = 0
                except BaseException as error:
                    report.write(
                        "wrong result"
                        if isinstance(error, AssertionError)
                        else type(error).__name__
                    )
                    if os.environ.get("SUPPORT_TRACE"):
                        report.write("\n" + traceback.format_exc())
                    report.flush()
            os._exit(status)
        _, status = os.waitpid(child, 0)
        report.seek(0)
        if os.WIFSIGNALED(status):
            return "aborts the process"
        return "yes" if status == 0 else report.read() or "fails"


def results(framework, subjects):
    """Return {feature title: {subject: outcome}}."""
    sys.path.insert(0, str(HERE))
    features = importlib.import_module(f"support_{framework}").FEATURES
    layers = {whose: layer_class(framework, whose) for whose in subjects}
    table = {}
    for title, feature in features.items():
        table[title] = {whose: run_in_child(feature, layer) for whose, layer in layers.items()}
        if title in CONVENTIONS and table[title].get("native") == "wrong result":
            table[title]["native"] = "differs"
        print(f"{framework}: {title}: {table[title]}", flush=True)
    return table


def page(tables):
    """Return docs/support.md."""
    lines = [INTRODUCTION]
    for framework, table in tables.items():
        version = importlib.import_module(framework).__version__.split("+")[0]
        lines += [
            f"## {TITLES[framework]} {version}, CPU",
            "",
            f"| feature | `rrelu_compat.{framework}` | `{framework}.nn.RReLU` |",
            "|---|---|---|",
        ]
        lines += [f"| {title} | {row['ours']} | {row['native']} |" for title, row in table.items()]
        lines.append("")
    return "\n".join(lines)


def committed(framework, whose):
    """Return {feature title: outcome} of the committed page."""
    section = PAGE.read_text().split(f"## {TITLES[framework]} ")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    column = 1 if whose == "ours" else 2
    return {row[0]: row[column] for row in rows[1:]}


def main():
    """Run and write, or run and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", choices=("ours", "native"))
    parser.add_argument("--framework", choices=tuple(TITLES))
    arguments = parser.parse_args()
    if (arguments.only or arguments.framework) and not arguments.check:
        parser.error("--only and --framework go with --check")
    frameworks = [arguments.framework] if arguments.framework else list(TITLES)
    subjects = [arguments.only] if arguments.only else ["ours", "native"]
    tables = {framework: results(framework, subjects) for framework in frameworks}
    if not arguments.check:
        PAGE.write_text(page(tables))
        return 0
    wrong = [
        f"{framework}, {whose}: {title}: {row[whose]}, the page says {shown.get(title)}"
        for framework, table in tables.items()
        for whose in subjects
        for shown in [committed(framework, whose)]
        for title, row in table.items()
        if row[whose] != shown.get(title)
    ]
    print("\n".join(wrong) or f"{sum(map(len, tables.values()))} features as the page says")
    return bool(wrong)


if __name__ == "__main__":
    raise SystemExit(main())
