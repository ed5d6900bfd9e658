"""What a failure follows from, so that one cause is counted once.

A case that fails where its cause fails too has the outcome "follows": the run has failed already, at
the cause. Only failures are looked at; a case that holds has passed whatever its causes do.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rrelu_compat.conformance.registry import all_checks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.conformance.registry import Case

#: Cases of these checks in this mode (any if "") fail where one of the checks on the right fails.
RULES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("*", "", ("dtypes.forward", "forward.shape", "forward.dtype")),
    ("gradient.*", "", ("dtypes.gradient",)),
    ("*", "eval", ("evaluation.deterministic", "evaluation.slope")),
    ("layer.switches", "", ("evaluation.deterministic", "evaluation.slope")),
    ("bounds.*", "train", ("forward.bounds",)),
    ("layout.*", "train", ("forward.bounds",)),
    ("layer.*", "train", ("forward.bounds",)),
    ("transforms.batching", "train", ("forward.bounds",)),
    ("layout.*gradient*", "", ("gradient.equals-slope-used",)),
    ("gradient.rounded-like-forward", "train", ("gradient.equals-slope-used",)),
    ("gradient.two-graphs", "train", ("gradient.equals-slope-used",)),
    ("inplace.gradient*", "train", ("gradient.equals-slope-used",)),
    ("recompute.*", "", ("gradient.equals-slope-used", "recompute.gradient")),
    ("threads.gradients", "", ("gradient.equals-slope-used",)),
    ("shapes.large-gradient", "", ("gradient.equals-slope-used",)),
    ("gradient.finite-differences*", "", ("gradient.evaluation", "gradient.equals-slope-used")),
)
#: Their failure is a finding of its own, whatever else fails.
ALONE = ("dtypes.*", "platform.*", "errors.*")


def causes(case: Case) -> Iterator[Case]:
    """Yield the cases that make `case` fail if they fail: same subject, device and dtype."""
    check = case.check.id
    if any(fnmatchcase(check, glob) for glob in ALONE) or not case.dtype:
        return
    checks = {one.id: one for one in all_checks()}
    for glob, mode, names in RULES:
        if fnmatchcase(check, glob) and mode in ("", case.mode):
            for name in names:
                cause = checks[name]
                same = case.mode if case.mode in cause.modes else cause.modes[0]
                one = replace(case, check=cause, mode=same, inplace=False)
                # A cause has causes of its own; none is its own.
                if name != check and not _before(check, name) and not one.missing():
                    yield one


def _before(check: str, cause: str) -> bool:
    """Whether `check` is a cause of `cause` rather than the other way round."""
    order = ("dtypes.forward", "forward.shape", "forward.dtype", "evaluation.deterministic")
    return check in order and (cause not in order or order.index(check) < order.index(cause))
