"""Writing down expected failures: the ids of many cases that fail for one reason."""

from __future__ import annotations

from itertools import product


def because(
    reason: str,
    *checks: str,
    dtypes: tuple[str, ...] = ("",),
    modes: tuple[str, ...] = ("",),
    inplace: tuple[bool, ...] = (False,),
) -> dict[str, str]:
    """Return the ids of every combination on the CPU, each with the reason."""
    ids = {}
    for check, dtype, mode, place in product(checks, dtypes, modes, inplace):
        parts = ["cpu", dtype, mode, "inplace" if place else ""]
        ids[f"{check}[{'-'.join(part for part in parts if part)}]"] = reason
    return ids
