"""The documentation stays in plain words: the worst words and turns stay out."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").glob("*.md"),
    *(ROOT / "docs" / "tutorial").glob("*.md"),
]
#: Pages that a script writes from the code: their words are those of the code. The changelog is history.
MADE = {
    "conformance-checks.md",
    "differences.md",
    "porting-report.md",
    "CHANGELOG.md",
    "changelog.md",
}

#: What a page must not say, and what to say instead.
WORST = {
    r"\bkit\b": 'say what it is: "an object that converts to and from NumPy"',
    r"\bdoors?\b": 'say "way", or name the commands',
    r"\bfaces?\b": 'say "public name"',
    r"\bnatives?\b": 'say "the framework\'s own layer" (it is in the glossary)',
    r"\bnatively\b": 'say "as with the framework\'s own layer"',
    r"\b(?:is|are) allowed\b": 'say "must be"',
    r"\bshim\b": 'say "drop-in"',
    r"\badapters?\b": 'say "backend" or "subject"',
    r"\bhand(?:s|ed|ing) (?:it |them )?on\b": 'say "imports", "passes" or "gives"',
    r"\bwithout a word\b": 'say "silently"',
    r"\blive and validated\b": 'say "you can set it at any time; a wrong value is refused at once"',
}


def prose(text):
    """Return a page without code, comments and the addresses of links."""
    text = re.sub(r"^( *)```.*?^\1```", "", text, flags=re.M | re.S)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.S)
    return re.sub(r"`[^`\n]*`|\]\([^)]*\)", "", text)


def found(text):
    """Return what is wrong with a page, one message for each place."""
    return [
        f'"{match[0]}": {instead}'
        for word, instead in WORST.items()
        for match in re.finditer(word, prose(text), re.I)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_worst_words_stay_out(page):
    if page.name in MADE:
        assert page.exists()
        return
    assert found(page.read_text()) == []


def test_a_bad_word_is_noticed_in_prose_and_not_in_code():
    assert found("The kit opens a door.") != []
    assert found("`kit` is a name.\n```python\nkit = 1\n```\n[x](native.md)") == []
