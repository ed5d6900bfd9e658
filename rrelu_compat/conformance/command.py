"""The command ``conformance``."""

from __future__ import annotations

import argparse
import os
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.extra import MissingExtraError
from rrelu_compat.conformance.finding import BUILTIN
from rrelu_compat.conformance.guarding import clean
from rrelu_compat.conformance.profiles import PROFILES, profile_of
from rrelu_compat.conformance.results import Result
from rrelu_compat.conformance.subject import SubjectError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.conformance.profiles import Profile

_EPILOG = f"""\
SUBJECT is one of {", ".join(BUILTIN)},
a name of the entry-point group rrelu_compat.subjects, or module:object for
your own. Without it, the installed backends are checked.

examples:
  rrelu-compat conformance torch --dtype float32
  rrelu-compat conformance mine:Subject --check 'gradient.*' --json report.json
  rrelu-compat conformance mine:Subject --expected-failures known.txt

exit status: 0 passed; 1 failed, or no check ran; 2 wrong usage, or a subject
that can't be loaded; 130 stopped by Ctrl-C, what was done is reported
"""


def add_parser(subparsers: Any) -> None:
    """Add the command to a program's subparsers; its ``run`` takes the namespace, returns the status."""
    parser = subparsers.add_parser(
        "conformance",
        help="check RReLUs against the specification",
        description="Check RReLUs against the specification.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("subjects", nargs="*", metavar="SUBJECT", help="what to check")
    add("--device", action="append", default=[], help="only this device (may be repeated)")
    add("--dtype", action="append", default=[], choices=DTYPES, help="only this dtype")
    add("--check", action="append", default=[], metavar="GLOB", help="only these, as 'gradient.*'")
    add(
        "--profile", default="quick", choices=list(PROFILES), help="how much to do (default: quick)"
    )
    add("--max-examples", type=int, metavar="N", help="examples per case, instead of the profile's")
    add("--seed", type=int, metavar="N", help="seed of examples and streams (default: 0)")
    add(
        "--time-limit", type=float, metavar="S", help="seconds for a case, instead of the profile's"
    )
    add("--maxfail", type=int, metavar="N", help="stop after N failures")
    add(
        "--expected-failures",
        type=Path,
        metavar="FILE",
        help="cases that must fail, one id on a line, # before the reason",
    )
    add(
        "--isolate",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="run each subject in a process of its own (default), which may abort or hang",
    )
    add("--list", action="store_true", help="list the cases and run none")
    add("--json", type=Path, metavar="FILE", help="write the results as JSON")
    add("--html", type=Path, metavar="FILE", help="write the results as one HTML page")
    parser.set_defaults(run=_run)


def _installed() -> list[str]:
    from rrelu_compat.dispatch import BUILTIN as BACKENDS
    from rrelu_compat.frameworks import is_installed

    # CuPy may be installed where there is no GPU: it is checked when it is named.
    return [name for name in BACKENDS if name in BUILTIN and name != "cupy" and is_installed(name)]


def _run(arguments: argparse.Namespace) -> int:
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        profile = profile_of(
            arguments.profile, arguments.max_examples, arguments.seed, arguments.time_limit
        )
        status = _checked(arguments, profile)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # as of `| head`
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 1
    except (SubjectError, MissingExtraError, ValueError) as error:
        print(f"rrelu-compat conformance: {error}", file=sys.stderr)
        return 2


def _checked(arguments: argparse.Namespace, profile: Profile) -> int:
    from rrelu_compat.conformance.expected import read_expected
    from rrelu_compat.conformance.finding import load_subject, require_known
    from rrelu_compat.conformance.isolating import IsolatedRun
    from rrelu_compat.conformance.report_files import ReportFiles
    from rrelu_compat.conformance.results import succeeded
    from rrelu_compat.conformance.runner import run_here
    from rrelu_compat.conformance.selection import known_checks, select
    from rrelu_compat.conformance.terminal import Progress, print_report

    names = arguments.subjects or _installed()
    filters = {"devices": arguments.device, "dtypes": arguments.dtype, "checks": arguments.check}
    known_checks(arguments.check)
    for name in names:
        require_known(name)
    if arguments.list:
        return _list([load_subject(name) for name in names], filters, select)
    more = read_expected(arguments.expected_failures) if arguments.expected_failures else {}
    runs: list[tuple[int, Iterator[Result]]] = []
    broken: list[Result] = []
    for name in names:
        try:
            if arguments.isolate:
                apart = IsolatedRun(name, profile=profile, filters=filters, expected=more)
                apart.open()
                runs.append((apart.count, iter(apart)))
            else:
                runs.append(run_here(load_subject(name), filters, profile, more))
        except (SubjectError, MissingExtraError) as error:
            print(f"rrelu-compat conformance: {error}", file=sys.stderr)
            text = clean(name)
            broken.append(
                Result("load", "load", text, "", "", "", False, "failed", 0, clean(str(error)))
            )
    if not runs:
        return 2
    files = ReportFiles(arguments.json, arguments.html)
    results, status = list(broken), 2 if broken else 0
    progress = Progress(sys.stderr, sum(count for count, _ in runs))
    complete = True
    try:
        for result in chain.from_iterable(stream for _, stream in runs):
            results.append(result)
            progress(result)
            files.grow(results)
            if arguments.maxfail and sum(r.bad for r in results) >= arguments.maxfail:
                complete = False
                break
    except KeyboardInterrupt:
        status, complete = 130, False
    progress.close()
    files.write(results, complete=complete)
    print_report(results, sys.stdout, complete)
    return status or (0 if complete and succeeded(results) else 1)


def _list(subjects: list[Any], filters: dict[str, list[str]], select: Any) -> int:
    count = 0
    for subject in subjects:
        for case in select(subject, **filters):
            missing = case.missing()
            note = f"   (not offered: {missing})" if missing else ""
            print(f"{subject.name}  {case.id}{note}")
            count += 1
    return 0 if count else 1
