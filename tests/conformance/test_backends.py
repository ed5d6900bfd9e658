"""The package's own backends meet the whole specification, with no expected failure."""

from __future__ import annotations

import pytest

from rrelu_compat.conformance import check_subject
from rrelu_compat.conformance.results import succeeded

BACKENDS = ["numpy", "torch", "paddle"]


def _bad(results) -> list[str]:
    return [f"{r.outcome} {r.id}: {r.message}" for r in results if r.bad or r.outcome == "xfailed"]


@pytest.mark.parametrize("name", BACKENDS)
def test_backend_passes(name: str):
    results = check_subject(name, max_examples=3)
    assert _bad(results) == []
    assert succeeded(results)
    assert sum(r.examples > 0 for r in results) > 800
    # Every dtype ran, not only the usual one.
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        assert sum(r.examples > 0 for r in results if r.dtype == dtype) > 200


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", BACKENDS)
def test_quick_profile_raises_no_false_alarm(name: str, seed: int):
    assert _bad(check_subject(name, seed=seed)) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_statistical_checks_raise_no_false_alarm(name: str):
    for seed in range(200):
        results = check_subject(
            name, checks=["distribution.*", "independence.*", "random.*", "shapes.large"], seed=seed
        )
        assert _bad(results) == [], f"seed {seed}"


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_ci_profile(name: str):
    assert _bad(check_subject(name, profile="ci")) == []
