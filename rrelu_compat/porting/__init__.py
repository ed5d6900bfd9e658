"""Porting between Paddle and PyTorch: rewrite the source, swap the layers, prove the port."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrelu_compat.porting.models.comparing.compare import compare
    from rrelu_compat.porting.models.comparing.result import Comparison, Divergence, Row
    from rrelu_compat.porting.models.copy_weights import copy_weights, propose_names
    from rrelu_compat.porting.models.swap import swap
    from rrelu_compat.porting.source.report import FileReport, Report, Use
    from rrelu_compat.porting.source.rewrite import port_source
    from rrelu_compat.porting.source.run import diff, port_paths, write

_HOME = {
    "Comparison": "models.comparing.result",
    "Divergence": "models.comparing.result",
    "Row": "models.comparing.result",
    "compare": "models.comparing.compare",
    "copy_weights": "models.copy_weights",
    "propose_names": "models.copy_weights",
    "swap": "models.swap",
    "FileReport": "source.report",
    "Report": "source.report",
    "Use": "source.report",
    "diff": "source.run",
    "port_paths": "source.run",
    "port_source": "source.rewrite",
    "write": "source.run",
}


def __getattr__(name: str) -> Any:
    """Load a part when it is asked for: live models need their frameworks."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME[name]}")
    return getattr(module, name)


__all__ = [
    "Comparison",
    "Divergence",
    "FileReport",
    "Report",
    "Row",
    "Use",
    "compare",
    "copy_weights",
    "diff",
    "port_paths",
    "port_source",
    "propose_names",
    "swap",
    "write",
]
