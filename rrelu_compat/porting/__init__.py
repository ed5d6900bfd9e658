"""Porting between Paddle and PyTorch: rewrite the source, report every use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrelu_compat.porting.report import FileReport, Report, Use
    from rrelu_compat.porting.rewrite import port_source
    from rrelu_compat.porting.run import diff, port_paths, write

_HOME = {
    "FileReport": "report",
    "Report": "report",
    "Use": "report",
    "diff": "run",
    "port_paths": "run",
    "port_source": "rewrite",
    "write": "run",
}


def __getattr__(name: str) -> Any:
    """Load a part when it is asked for: all parts but the report need LibCST."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "libcst":
            raise
        raise ModuleNotFoundError(
            f"{name} needs LibCST: pip install 'rrelu-compat[porting]'", name="libcst"
        ) from error
    return getattr(module, name)


__all__ = ["FileReport", "Report", "Use", "diff", "port_paths", "port_source", "write"]
