"""``rrelu-compat port``: rewrite sources for the other framework."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

_DESCRIPTION = """\
Rewrite every use of the other framework's RReLU to the shim, with the meaning it has now. Nothing is
executed, and nothing is written without --write. Give a whole project at once.
The exit status is 0 if nothing is left to do by hand, 1 if something is, 2 for a wrong command."""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the ``port`` command to the parsers of `rrelu-compat`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "port", help="rewrite sources from PyTorch to Paddle or back", description=_DESCRIPTION
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="file, folder or notebook")
    parser.add_argument(
        "--to",
        required=True,
        choices=("torch", "paddle", "neutral"),
        help="where the code is to run",
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--diff", action="store_true", help="print the changes as a diff")
    mode.add_argument("--write", action="store_true", help="change the files")
    parser.add_argument(
        "--json", metavar="FILE", help="write the report there, - for standard output"
    )
    parser.set_defaults(run=run)
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Carry out the command and return its exit status."""
    from rrelu_compat.porting.source import run as runner

    try:
        report = runner.port_paths(arguments.paths, arguments.to)
    except FileNotFoundError as error:
        print(f"rrelu-compat port: {error}", file=sys.stderr)
        return 2
    if arguments.json == "-":
        print(json.dumps(report.to_dict(), indent=1))
    elif arguments.diff:
        sys.stdout.writelines(runner.diff(report))
        print(report, file=sys.stderr)
    else:
        print(report)
    if arguments.json not in (None, "-"):
        Path(arguments.json).write_text(json.dumps(report.to_dict(), indent=1) + "\n", "utf-8")
    if arguments.write:
        runner.write(report)
    return 0 if report.complete else 1
