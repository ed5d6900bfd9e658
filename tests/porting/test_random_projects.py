"""Random projects, run before and after: whatever changes is in the report."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "random_projects", Path(__file__).with_name("random_projects.py")
)
assert _SPEC is not None
assert _SPEC.loader is not None
random_projects = importlib.util.module_from_spec(_SPEC)
sys.modules["random_projects"] = random_projects
_SPEC.loader.exec_module(random_projects)

WAYS = [("torch", "paddle"), ("paddle", "torch"), ("torch", "neutral"), ("paddle", "neutral")]


def check(source: str, target: str, seeds: range, folder: Path) -> None:
    counts: Counter[str] = Counter()
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        found, _, shown = random_projects.verdict(seed, source, target, place)
        assert found != "silent", shown
        counts[found] += 1
    assert counts["same"] > 0.7 * len(seeds), counts


@pytest.mark.parametrize(("source", "target"), WAYS)
def test_no_silent_difference(source: str, target: str, tmp_path: Path) -> None:
    check(source, target, range(60), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), WAYS)
def test_no_silent_difference_in_many(source: str, target: str, tmp_path: Path) -> None:
    check(source, target, range(2000), tmp_path)
