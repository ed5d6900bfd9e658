"""Every way to call RReLU in every context: right, or refused where Paddle's own fails too."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "docs" / "scripts"


@pytest.fixture
def contexts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("contexts_paddle")


def _bad(rows):
    return [row for row in rows if row["verdict"] not in ("right", "refused")]


def test_a_sample_of_the_cells(contexts):
    cells = [
        ("to_static, SOT", "neutral function", "train"),
        ("static.Program", "spec.apply", "train"),
        ("double grad", "in-place function", "eval"),
    ]
    rows = contexts.rows(cells)
    assert len(rows) == 6
    assert _bad(rows) == []


@pytest.mark.slow
def test_every_cell(contexts):
    rows = contexts.rows()
    assert len(rows) == 240
    assert _bad(rows) == []
