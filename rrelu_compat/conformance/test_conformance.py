"""The suite as tests; see `rrelu_compat.conformance.pytest_plugin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rrelu_compat.conformance.expected import expectations
from rrelu_compat.conformance.finding import load_subject, reference_of
from rrelu_compat.conformance.isolating import IsolatedRun
from rrelu_compat.conformance.pytest_plugin import profile_from
from rrelu_compat.conformance.runner import Judge, unknown_expectations

if TYPE_CHECKING:
    from rrelu_compat.conformance.registry import Case


def test_conformance(conformance_case: Case, pytestconfig: pytest.Config) -> None:
    """The requirement holds; "not offered" is a skip, an expected failure an xfail."""
    case, profile = conformance_case, profile_from(pytestconfig)
    if pytestconfig.getoption("--rrelu-isolate"):
        apart = IsolatedRun(
            reference_of(case.subject), profile=profile, filters={"checks": [case.id]}
        )
        apart.open()
        result, *cause = list(apart.results())
    else:
        result, *cause = Judge(profile, expectations(case.subject), [case])(case)
    if result.outcome == "not-offered":
        pytest.skip(result.message)
    if "xfailed" in (result.outcome, *(first.outcome for first in cause)):
        pytest.xfail(result.message)
    if result.outcome != "passed":
        parts = [result.message, f"required: {result.requirement}"]
        if result.snippet:
            parts.append("the smallest example found, to paste and run:\n\n" + result.snippet)
        pytest.fail("\n".join(parts), pytrace=False)


def test_expected_failures_exist(conformance_subject: str) -> None:
    """Every expected failure of a subject names one of its cases."""
    unknown = [result.message for result in unknown_expectations(load_subject(conformance_subject))]
    assert not unknown, "\n".join(unknown)
