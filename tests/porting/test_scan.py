"""The scan by names, and the text it and the rewriter work on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rrelu_compat.porting.source.edits import Edit, OverlapError, Position, Text
from rrelu_compat.porting.source.mentions import mentions, scan


def found(source: str) -> list[tuple[int, int, str, bool]]:
    return [(hit.line, hit.column, hit.name, hit.in_string) for hit in scan(source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("y = F.rrelu(x)", [(1, 6, "rrelu", False)]),
        ("y = F.rrelu_(x)", [(1, 6, "rrelu_", False)]),
        ("rrelu_with_noise(RReLU)", [(1, 0, "rrelu_with_noise", False), (1, 17, "RReLU", False)]),
        ("my_rrelu = RReLULayer = rrelus = rrelu2 = Rrelu = 1", []),
        ("x = 1  # rrelu", []),
        ('"""rrelu"""\ndef f():\n    "RReLU"\n    return 1', []),
        ('x = 1\n"rrelu"\nclass A: "rrelu"', []),
        ("x = 'RReLU'", [(1, 5, "RReLU", True)]),
        ('f = lambda: "rrelu"', [(1, 13, "rrelu", True)]),
        ('d = {"a": "rrelu"}', [(1, 11, "rrelu", True)]),
        ('x = "a\\nrrelu(x)"', [(1, 8, "rrelu", True)]),
        ('x = "nrrelu conv_rrelu_1"', []),
        ('x = "aten::rrelu torch.nn.RReLU"', [(1, 11, "rrelu", True), (1, 26, "RReLU", True)]),
        ('x = f"{F.rrelu(x)} rrelu"', [(1, 9, "rrelu", True), (1, 19, "rrelu", True)]),
        ('x = """\n\n  rrelu"""', [(3, 2, "rrelu", True)]),
        ("é = 'ü'; F.rrelu(ö)", [(1, 11, "rrelu", False)]),
        ("x = (1,\n     F.\\\n  rrelu)", [(3, 2, "rrelu", False)]),
        ("def rrelu(*, RReLU): ...", [(1, 4, "rrelu", False), (1, 13, "RReLU", False)]),
    ],
)  # fmt: skip
def test_scan(source: str, expected: list[tuple[int, int, str, bool]]) -> None:
    assert found(source) == expected
    assert found(source.replace("\n", "\r\n")) == expected


@pytest.mark.parametrize("source", ["rrelu(", "print 'rrelu'", "rrelu = '\0'", "  rrelu\n x"])
def test_scan_of_what_cannot_be_parsed(source: str) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        scan(source)


def test_mentions() -> None:
    assert mentions("# rrelu")
    assert not mentions("leaky_relu, my_rrelu")


@given(st.text(alphabet="ab\n\r\x0c\u2028é\t", max_size=40))
def test_lines_and_positions(source: str) -> None:
    text = Text(source)
    assert "".join(text.lines) == source
    for offset in range(len(source) + 1):
        assert text.offset(text.position(offset)) == offset
    assert text.apply([]) == source


@given(st.data())
def test_edits(data: st.DataObject) -> None:
    """Edits in any order give what replacing from the end gives."""
    source = data.draw(st.text(alphabet="ab\n", max_size=30))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(source)), max_size=8, unique=True)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    text = Text(source)
    edits = [Edit(text.position(low), text.position(high), "X\n") for low, high in spans]
    expected = source
    for low, high in reversed(spans):
        expected = expected[:low] + "X\n" + expected[high:]
    assert text.apply(data.draw(st.permutations(edits))) == expected


def test_overlapping_edits() -> None:
    edits = [
        Edit(Position(1, 0), Position(1, 3), "a"),
        Edit(Position(1, 2), Position(1, 4), "b"),
    ]
    with pytest.raises(OverlapError):
        Text("abcdef").apply(edits)
