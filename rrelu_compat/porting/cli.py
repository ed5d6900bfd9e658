"""``rrelu-compat port``: rewrite sources for the other framework."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

_DESCRIPTION = """\
Rewrite every use of the other framework's RReLU, with the meaning that it has
now. Your code is not executed, and no file changes without --write. Give a
whole project at once."""
_EPILOG = """\
examples:
  rrelu-compat port src/ --to paddle          # report only
  rrelu-compat port src/ --to paddle --diff   # show the changes
  rrelu-compat port src/ --to paddle --write  # make them

exit status: 0 nothing is left to do by hand; 1 something is; 2 wrong usage
"""


def add_parser(subparsers: Any) -> argparse.ArgumentParser:
    """Add the ``port`` command to the parsers of `rrelu-compat`."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        "port",
        help="rewrite sources from PyTorch to Paddle or back",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
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
    try:
        return _run(arguments)
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("rrelu-compat port: interrupted, nothing was written", file=sys.stderr)
        return 130
    except (OSError, RuntimeError, ValueError) as error:
        print(f"rrelu-compat port: {error}", file=sys.stderr)
        return 2


def _run(arguments: argparse.Namespace) -> int:
    from rrelu_compat.porting.source import run as runner

    if arguments.json == "-" and arguments.diff:
        raise ValueError("--json - and --diff both go to standard output: give --json a file")
    if arguments.json not in (None, "-") and Path(arguments.json).suffix in (
        ".py",
        ".pyi",
        ".ipynb",
    ):
        raise ValueError(f"--json {arguments.json} would overwrite a source: give it another name")
    report = runner.port_paths(arguments.paths, arguments.to)
    if not report.looked_at:
        raise ValueError(f"no Python file at or below {', '.join(arguments.paths)}")
    if arguments.write:
        runner.write(report)
    text = report.to_text(written=arguments.write)
    if arguments.json not in (None, "-"):
        Path(arguments.json).write_text(json.dumps(report.to_dict(), indent=1) + "\n", "utf-8")
    if arguments.json == "-":
        _print(json.dumps(report.to_dict(), indent=1) + "\n", sys.stdout)
    elif arguments.diff:
        _print("".join(runner.diff(report)), sys.stdout)
        _print(text + "\n", sys.stderr)
    else:
        _print(text + "\n", sys.stdout)
    return 0 if report.complete else 1


def _print(text: str, stream: TextIO) -> None:
    """Print what the stream's encoding can take, and escapes for the rest."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
