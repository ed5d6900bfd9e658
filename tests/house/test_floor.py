"""CI's count: a test file that vanishes, loses tests or has no floor is noticed."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "floor.py"


@pytest.fixture
def floor():
    spec = importlib.util.spec_from_file_location("floor", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def report(tmp_path, *cases):
    path = tmp_path / "report.xml"
    rows = "".join(
        f'<testcase classname="{name}">{"<skipped/>" if skipped else ""}</testcase>'
        for name, skipped in cases
    )
    path.write_text(f"<testsuites><testsuite>{rows}</testsuite></testsuites>")
    return str(path)


def test_files_are_counted_with_their_classes_and_without_what_is_skipped(floor, tmp_path):
    path = report(
        tmp_path,
        ("tests.core.test_spec", False),
        ("tests.core.test_spec.TestSpec", False),
        ("tests.core.test_spec", True),
        ("tests.test_top", False),
    )
    assert floor.executed(path) == {"tests/core/test_spec.py": 2, "tests/test_top.py": 1}


@pytest.mark.parametrize(
    ("counts", "floors", "found"),
    [
        ({"a": 2}, {"a": 2}, 0),
        ({"a": 1}, {"a": 2}, 1),  # a test was lost
        ({}, {"a": 2}, 1),  # a file vanished
        ({"a": 2, "b": 1}, {"a": 2}, 1),  # a new file has no floor
        ({"a": 2, "b": 3}, {"*": 5}, 0),
        ({"a": 2, "b": 3}, {"*": 6}, 1),
    ],
)
def test_what_is_missing_is_said(floor, counts, floors, found):
    import collections

    assert len(floor.failures(collections.Counter(counts), floors)) == found
