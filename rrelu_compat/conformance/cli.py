"""The command ``conformance``."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.capabilities import DTYPES
from rrelu_compat.conformance.extra import MissingExtraError
from rrelu_compat.conformance.profiles import PROFILES, profile_of
from rrelu_compat.conformance.subject import BUILTIN, SubjectError

if TYPE_CHECKING:
    from rrelu_compat.conformance.profiles import Profile

_EPILOG = f"""\
Without SUBJECT the installed backends are checked. Subjects: {", ".join(BUILTIN)}, names of the
entry-point group rrelu_compat.subjects, and module:object for your own.

exit status: 0 passed; 1 failed, or no check ran; 2 usage, or a subject that can't be loaded
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
    try:
        profile = profile_of(arguments.profile, arguments.max_examples, arguments.seed)
        return _checked(arguments, profile)
    except (SubjectError, MissingExtraError, ValueError) as error:
        print(f"rrelu-compat conformance: {error}", file=sys.stderr)
        return 2


def _checked(arguments: argparse.Namespace, profile: Profile) -> int:
    # Else Hypothesis leaves a folder of its own in the working directory.
    scratch = Path(tempfile.gettempdir()) / "rrelu-compat-hypothesis"
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(scratch))
    from rrelu_compat.conformance.results import succeeded, summarise
    from rrelu_compat.conformance.runner import run, select
    from rrelu_compat.conformance.subject import load_subject
    from rrelu_compat.conformance.table import print_report, progress_on

    subjects = [load_subject(name) for name in arguments.subjects or _installed()]
    filters = {"devices": arguments.device, "dtypes": arguments.dtype, "checks": arguments.check}
    if arguments.list:
        return _list(subjects, filters, select)
    for path in (arguments.json, arguments.html):
        if path is not None and not path.absolute().parent.is_dir():
            raise ValueError(f"{path}: there is no such directory")
    with progress_on(sys.stderr) as progress:
        results = run(subjects, **filters, profile=profile, progress=progress)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(summarise(results), indent=1), encoding="utf-8")
    if arguments.html is not None:
        from rrelu_compat.conformance.html_report import page

        arguments.html.write_text(page(results), encoding="utf-8")
    print_report(results, sys.stdout)
    return 0 if succeeded(results) else 1


def _list(subjects: list[Any], filters: dict[str, list[str]], select: Any) -> int:
    count = 0
    for subject in subjects:
        for case in select(subject, **filters):
            missing = case.missing()
            note = f"   (not offered: {missing})" if missing else ""
            print(f"{subject.name}  {case.id}{note}")
            count += 1
    return 0 if count else 1
