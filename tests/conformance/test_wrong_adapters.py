"""Every wrong adapter is killed by the check named for it, and its right twin passes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest
from rrelu_adapters import killers, kinds, wrong_forward, wrong_gradient, wrong_slopes, wrong_state
from rrelu_adapters.reference import Reference, instance
from rrelu_adapters.right import RIGHT as RIGHT_KINDS

from rrelu_compat.conformance import check_subject
from rrelu_compat.conformance.profiles import PROFILES
from rrelu_compat.conformance.registry import all_checks
from rrelu_compat.conformance.results import succeeded
from rrelu_compat.conformance.runner import run_case, select

if TYPE_CHECKING:
    from rrelu_adapters.pairs import Pair

    from rrelu_compat.conformance.registry import Check

PAIRS = [
    *wrong_slopes.PAIRS,
    *wrong_forward.PAIRS,
    *wrong_gradient.PAIRS,
    *wrong_state.PAIRS,
    *kinds.PAIRS,
    *killers.PAIRS,
]
RIGHT = list(dict.fromkeys([Reference, *(pair.right for pair in PAIRS)]))


def failures(kind: type[Reference], *checks: str, **keywords) -> list[str]:
    return [
        f"{r.id}: {r.message}"
        for r in check_subject(instance(kind), checks=checks, **keywords)
        if r.bad
    ]


def killed(kind: type[Reference], check: str) -> str:
    """Return the first failure of a check, "" if it holds."""
    for case in select(instance(kind), checks=[check]):
        result = run_case(case, PROFILES["quick"])
        if result.bad:
            return result.message
    return ""


def test_there_are_enough_of_them():
    assert len({pair.wrong for pair in PAIRS}) == len(PAIRS) >= 30


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.wrong.__name__)
def test_killed_by_the_named_check(pair: Pair):
    message = killed(pair.wrong, pair.killer)
    assert message, f"{pair.killer} did not kill {pair.wrong.__name__}"
    # Killed for what it does, not for a mistake in the adapter's own code.
    assert not message.startswith(("TypeError", "AttributeError", "IndexError", "NameError"))


@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.__name__)
def test_right_adapters_pass(right: type[Reference]):
    results = check_subject(instance(right), dtypes=["float32"], max_examples=3)
    results += check_subject(instance(right), checks=["errors.*"])  # most have no dtype
    assert [f"{r.id}: {r.message}" for r in results if r.bad] == []
    assert succeeded(results)


@pytest.mark.slow
@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.__name__)
def test_right_adapters_pass_everything(right: type[Reference]):
    assert failures(right) == []


def test_every_check_has_its_killer():
    """No check can be emptied unnoticed: each is named by a wrong adapter, and sees it (above)."""
    ids = {one.id for one in all_checks()}
    named = {pair.killer for pair in PAIRS}
    assert named == ids


@pytest.mark.parametrize("check", all_checks(), ids=lambda check: check.id)
def test_an_emptied_check_is_noticed(check: Check):
    """With an empty body its wrong adapters live, so that `test_killed_by_the_named_check` fails."""
    pair = next(pair for pair in PAIRS if pair.killer == check.id)
    empty = dataclasses.replace(check, body=lambda t: None)
    profile = dataclasses.replace(PROFILES["quick"], max_examples=1)
    for case in select(instance(pair.wrong), checks=[check.id]):
        result = run_case(dataclasses.replace(case, check=empty), profile)
        assert not result.bad, result.message


def right_failures(kind: type[Reference], seed: int) -> list[str]:
    results = check_subject(instance(kind), seed=seed)
    assert succeeded(results) or any(r.bad for r in results)
    return [f"seed {seed} {r.id}: {r.message}" for r in results if r.bad]


@pytest.mark.slow
@pytest.mark.parametrize("kind", RIGHT_KINDS, ids=lambda kind: kind.name)
def test_legal_differences_pass_with_50_seeds(kind: type[Reference]):
    assert [line for seed in range(50) for line in right_failures(kind, seed)] == []
