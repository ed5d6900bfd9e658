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
    """Return the cells that are neither right nor refused, a line each with what was said."""
    return "\n".join(
        f"{row['note']} <- {row}"
        for row in rows
        if row["verdict"] not in ("right", "refused")
        # Before Paddle 3.3; the error says so.
        and "needs paddle.static.register_op" not in row["note"]
    )


def test_a_sample_of_the_cells(contexts):
    cells = [
        ("to_static, SOT", "neutral function", "train"),
        ("static.Program", "spec.apply", "train"),
        ("double grad", "in-place function", "eval"),
    ]
    rows = contexts.rows(cells)
    assert len(rows) == 6
    assert not _bad(rows), _bad(rows)


@pytest.mark.slow
def test_every_cell(contexts):
    rows = contexts.rows()
    assert len(rows) == 240
    assert not _bad(rows), _bad(rows)
