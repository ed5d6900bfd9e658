"""The command line: ``rrelu-compat info``, ``conformance`` and ``port``."""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import sys
from typing import TYPE_CHECKING, Any

import rrelu_compat
from rrelu_compat import dispatch, kernels
from rrelu_compat.conformance import command as conformance
from rrelu_compat.errors import install_hint
from rrelu_compat.porting import cli as porting

if TYPE_CHECKING:
    from collections.abc import Sequence


def backend_reports() -> dict[str, dict[str, Any]]:
    """Return `Backend.info` of every backend; ``{"missing": reason}`` for those that can't be used."""
    reports: dict[str, dict[str, Any]] = {}
    for name in dispatch.known_backends():
        try:
            reports[name] = dispatch.get_backend(name).info()
        except ModuleNotFoundError:
            reports[name] = {"missing": f"{name} is not installed: {install_hint(name)}"}
        except Exception as error:  # whatever a framework's import or foreign code throws
            reports[name] = {"missing": f"{type(error).__name__}: {error}"}
    for name, reason in dispatch.broken_backends().items():
        reports[name] = {"missing": f"its entry point failed: {reason}"}
    return reports


def _print_info(arguments: argparse.Namespace) -> int:
    print(f"rrelu-compat {rrelu_compat.__version__}, Python {platform.python_version()}")
    note = "" if kernels.missing is None else f" ({kernels.missing})"
    print(f"CPU kernel: {kernels.path()}{note}")
    for name, report in backend_reports().items():
        if "missing" in report:
            print(f"{name}: not available: {report['missing']}")
            continue
        print(f"{name} {report.get('version', '')}".rstrip())
        print(f"  devices: {', '.join(report.get('devices', []))}")
        print(f"  dtypes:  {', '.join(report.get('dtypes', []))}")
        for device, kernel in report.get("kernels", {}).items():
            print(f"  kernel on {device}: {kernel}")
        tests = report.get("private names", [])
        for private, _, feature in (test for test in tests if not test[1]):
            print(f"  missing here: {private}, so this is refused: {feature}")
        if tests:
            print(
                f"  private names of the framework: {sum(t[1] for t in tests)} of {len(tests)} hold"
            )
    return 0


_EPILOG = """\
examples:
  rrelu-compat info
  rrelu-compat conformance torch paddle
  rrelu-compat port src/ --to paddle --diff

"rrelu-compat COMMAND --help" has the options of a command, and more examples.
"""


def _parser() -> tuple[argparse.ArgumentParser, list[str]]:
    """Return the parser, and the names of the commands."""
    parser = argparse.ArgumentParser(
        prog="rrelu-compat",
        description="RReLU with the same random slopes in NumPy, PyTorch and Paddle.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=rrelu_compat.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    info = commands.add_parser(
        "info",
        help="what is installed: backends, devices, dtypes, kernels",
        description="Print which backends can be used, or why not, with their devices, dtypes and kernels.",
    )
    info.set_defaults(run=_print_info)
    conformance.add_parser(commands)
    porting.add_parser(commands)
    return parser, list(commands.choices)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser, commands = _parser()
    words = sys.argv[1:] if argv is None else list(argv)
    if words and not words[0].startswith("-") and words[0] not in commands:
        near = difflib.get_close_matches(words[0], commands, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(commands)}"
        parser.error(f"no command {words[0]!r}: {hint}")
    arguments = parser.parse_args(words)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
