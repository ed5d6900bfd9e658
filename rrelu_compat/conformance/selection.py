"""Which cases of a subject a run is about."""

from __future__ import annotations

import difflib
import fnmatch
from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.registry import Case, all_checks, cases
from rrelu_compat.conformance.subject import SubjectError

if TYPE_CHECKING:
    from collections.abc import Sequence


def select(
    subject: Any,
    *,
    devices: Sequence[str] = (),
    dtypes: Sequence[str] = (),
    checks: Sequence[str] = (),
) -> list[Case]:
    """Return the cases of a subject that the filters leave.

    Parameters
    ----------
    devices, dtypes : sequence of str
        Only these; empty means all the subject offers, and the report says which it does not.
    checks : sequence of str
        Patterns (``gradient.*``) of check ids, or case ids.

    Raises
    ------
    SubjectError
        If the subject does not offer a device or dtype that was asked for.
    ValueError
        If there is no check that a pattern matches.
    """
    claims = subject.capabilities
    for device in devices:
        if device not in claims.devices:
            raise SubjectError(
                f"subject {subject.name}: has no device {device!r}; it offers "
                f"{', '.join(claims.devices)}"
            )
    for dtype in dtypes:
        offered = (*claims.dtypes, *claims.partial_dtypes)
        if dtype not in offered:
            raise SubjectError(
                f"subject {subject.name}: does not offer {dtype}; it offers {', '.join(offered)}"
            )
    known_checks(checks)

    def wanted(case: Case) -> bool:
        if devices and case.device not in devices:
            return False
        if dtypes and case.dtype not in dtypes:
            return False
        return not checks or any(
            fnmatch.fnmatchcase(case.check.id, glob) or case.id == glob for glob in checks
        )

    return [case for case in cases(subject) if wanted(case)]


def known_checks(patterns: Sequence[str]) -> None:
    """Raise a ValueError for a pattern that matches no check."""
    names = [check.id for check in all_checks()]
    for pattern in patterns:
        name = pattern.partition("[")[0] if pattern.endswith("]") else pattern
        if not fnmatch.filter(names, name):
            near = difflib.get_close_matches(name, names, 3)
            hint = f"; near it: {', '.join(near)}" if near else ""
            raise ValueError(f"{pattern!r} matches no check{hint}")
