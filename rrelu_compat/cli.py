"""The command line: ``rrelu-compat info``, ``conformance`` and ``port``."""

from __future__ import annotations

import argparse
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rrelu-compat", description="One RReLU in NumPy, PyTorch and Paddle."
    )
    parser.add_argument("--version", action="version", version=rrelu_compat.__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    info = commands.add_parser("info", help="backends found or why not, devices, dtypes, kernels")
    info.set_defaults(run=_print_info)
    conformance.add_parser(commands)
    porting.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = _parser().parse_args(argv)
    status: int = arguments.run(arguments)
    return status


if __name__ == "__main__":
    sys.exit(main())
