"""The tables of refused recomputations are what runs of their scripts give."""

import importlib
import pathlib

import pytest

SCRIPTS = pathlib.Path(__file__).parents[2] / "docs" / "scripts"


@pytest.mark.parametrize("script", ["refusals", "refusals_paddle"])
def test_the_table_is_what_its_script_gives(script, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    refusals = importlib.import_module(script)
    text = refusals.PAGE.read_text()
    assert refusals.page(text) == text
