"""The table of refused recomputations is what a run of its script gives."""

import importlib
import pathlib

SCRIPTS = pathlib.Path(__file__).parents[2] / "docs" / "scripts"


def test_the_table_is_what_its_script_gives(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    refusals = importlib.import_module("refusals")
    text = refusals.PAGE.read_text()
    assert refusals.page(text) == text
