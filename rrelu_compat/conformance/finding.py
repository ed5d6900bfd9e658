"""Finding a subject: by its name, by an entry point, by ``module:object``."""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from rrelu_compat.conformance.extra import MissingExtraError
from rrelu_compat.conformance.guarding import Guard, describe
from rrelu_compat.conformance.subject import SubjectError, validate

ENTRY_POINT_GROUP = "rrelu_compat.subjects"
BUILTIN = ("numpy", "torch", "paddle", "cupy", "torch-native", "paddle-native")


def load_subject(reference: str) -> Any:
    """Return the subject of a name or of ``module:object``.

    Parameters
    ----------
    reference : str
        "numpy", "torch", "paddle", "cupy", "torch-native" or "paddle-native"; a name of the entry-point group
        ``rrelu_compat.subjects``; or ``module:object``, where the object is a subject or a callable
        that makes one, and the module may lie in the working directory.

    Raises
    ------
    SubjectError
        If there is none of that name, or it can't be imported or used.

    Examples
    --------
    >>> load_subject("numpy").name
    'numpy'
    """
    with Guard() as guard:
        try:
            found = _find(reference)
            if isinstance(found, type) or not hasattr(found, "capabilities"):
                found = found()
            subject = validate(found, reference)
        except (SubjectError, MissingExtraError):
            raise
        except BaseException as error:  # foreign code may raise anything
            if guard.interrupted:
                raise
            raise SubjectError(
                f"subject {reference}: can't be loaded: {describe(error)}"
            ) from error
    _loaded.append((subject, reference))
    return subject


# Subjects need not take an attribute, nor be hashable.
_loaded: list[tuple[Any, str]] = []


def reference_of(subject: Any) -> str:
    """Return what a subject was loaded by, "" if it was not."""
    own = getattr(subject, "reference", "")
    return own or next((name for one, name in _loaded if one is subject), "")


def _find(reference: str) -> Any:
    if reference in BUILTIN:
        family, _, native = reference.partition("-")
        module = importlib.import_module(f"rrelu_compat.conformance.subjects.{family}_subject")
        return module.native_subject if native else module.subject
    if ":" in reference:
        module_name, _, attributes = reference.partition(":")
        here = str(Path.cwd())
        if here not in sys.path:
            # A console script does not put the working directory on the path; `python -m` does.
            sys.path.insert(0, here)
        found: Any = importlib.import_module(module_name)
        for attribute in attributes.split("."):
            found = getattr(found, attribute)
        return found
    points = _entry_points()
    if reference not in points:
        names = [*BUILTIN, *points]
        near = difflib.get_close_matches(reference, names, 1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise SubjectError(
            f"subject must be one of {', '.join(names)}, or module:object for your own, "
            f"got {reference}{hint}"
        )
    return points[reference].load()


def require_known(reference: str) -> None:
    """Raise a SubjectError for a name that is none."""
    if ":" not in reference and reference not in known_subjects():
        _find(reference)


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def known_subjects() -> list[str]:
    """Return the names `load_subject` knows, installed or not."""
    return [*BUILTIN, *(name for name in _entry_points() if name not in BUILTIN)]
