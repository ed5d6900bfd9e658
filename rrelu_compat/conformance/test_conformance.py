"""The suite as tests; see `rrelu_compat.conformance.pytest_plugin`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rrelu_compat.conformance.pytest_plugin import profile_from
from rrelu_compat.conformance.runner import run_case, unknown_expectations
from rrelu_compat.conformance.subject import load_subject

if TYPE_CHECKING:
    from rrelu_compat.conformance.case import Case


def test_conformance(conformance_case: Case, pytestconfig: pytest.Config) -> None:
    """The requirement holds; "not offered" is a skip, an expected failure an xfail."""
    result = run_case(conformance_case, profile_from(pytestconfig))
    if result.outcome == "not-offered":
        pytest.skip(result.message)
    if result.outcome == "xfailed":
        pytest.xfail(result.message)
    if result.bad:
        parts = [result.message, f"required: {result.requirement}"]
        if result.snippet:
            parts.append("the smallest example found, to paste and run:\n\n" + result.snippet)
        pytest.fail("\n".join(parts), pytrace=False)


def test_expected_failures_exist(conformance_subject: str) -> None:
    """Every expected failure of a subject names one of its cases."""
    unknown = [result.message for result in unknown_expectations(load_subject(conformance_subject))]
    assert not unknown, "\n".join(unknown)
