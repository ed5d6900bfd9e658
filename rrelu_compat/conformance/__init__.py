"""The conformance suite: what an RReLU must do, for any backend, anyone's.

Three doors: ``rrelu-compat conformance NAME``, ``pytest --pyargs rrelu_compat.conformance
--rrelu-subject NAME``, and `check_subject`. ``docs/conformance.md`` shows how to check your own.

Importing this package loads neither Hypothesis nor a framework.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rrelu_compat.conformance.capabilities import Capabilities
    from rrelu_compat.conformance.finding import load_subject
    from rrelu_compat.conformance.kit_subject import FrameworkSubject, backend_subject
    from rrelu_compat.conformance.programs import Snippets
    from rrelu_compat.conformance.results import Result, summarise
    from rrelu_compat.conformance.runner import check_subject, run
    from rrelu_compat.conformance.strided import as_strided_parts
    from rrelu_compat.conformance.subject import Subject, SubjectError

_HOME = {
    "Capabilities": "capabilities",
    "FrameworkSubject": "kit_subject",
    "Result": "results",
    "Snippets": "programs",
    "Subject": "subject",
    "SubjectError": "subject",
    "as_strided_parts": "strided",
    "backend_subject": "kit_subject",
    "check_subject": "runner",
    "load_subject": "finding",
    "run": "runner",
    "summarise": "results",
}

__all__ = [
    "Capabilities",
    "FrameworkSubject",
    "Result",
    "Snippets",
    "Subject",
    "SubjectError",
    "as_strided_parts",
    "backend_subject",
    "check_subject",
    "load_subject",
    "run",
    "summarise",
]


def __getattr__(name: str) -> Any:
    # Lazy, so that the command line can build its parser without the optional packages.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
