"""The optional packages of the suite."""

from __future__ import annotations

import importlib
from typing import Any

from rrelu_compat.errors import install_hint


class MissingExtraError(ImportError):
    """A package of the extra ``conformance`` is not installed."""


def require(module: str) -> Any:
    """Import `module`, or say how to install it.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        root = module.partition(".")[0]
        if error.name != root:
            raise
        raise MissingExtraError(
            f"the conformance suite needs {root}: {install_hint('conformance')}"
        ) from error
