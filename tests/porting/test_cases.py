"""Every case: the text that comes out, the report, and that a second run changes nothing."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from rrelu_compat.porting.source.mentions import scan

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME = re.compile(r"(?:RReLU|rrelu|rrelu_|rrelu_with_noise)\Z")
_WORD = re.compile(r"(?<!\w)(?:RReLU|rrelu_with_noise|rrelu_?)(?!\w)")


def by_hand(report: Any) -> str:
    return ", ".join(f"{use.name} {use.line}" for use in report.uses if use.status == "by hand")


def test_there_are_enough_cases(cases: list[Any]) -> None:
    counts = Counter((case.origin, case.target) for case in cases)
    assert counts["torch", "paddle"] >= 80
    assert counts["paddle", "torch"] >= 80
    assert len({case.name for case in cases}) == len(cases)


def test_text_and_report(case: Any, ported: Any) -> None:
    report = ported(case.source, case.target)
    assert report.error == ""
    assert report.after == case.expected
    assert by_hand(report) == case.by_hand
    assert all(use.why for use in report.uses if use.status != "rewritten")


def test_a_second_run_changes_nothing(case: Any, ported: Any) -> None:
    once = ported(case.source, case.target)
    twice = ported(once.after, case.target)
    assert twice.after == once.after
    assert not twice.count("rewritten")


@pytest.mark.parametrize("target", ["torch", "paddle", "neutral"])
def test_report_accounts_for_every_mention(case: Any, target: str, ported: Any) -> None:
    """To every target, not only the one the case is written for."""
    report = ported(case.source, target)
    reported = [
        (use.line, use.column, use.name)
        for use in report.uses
        if use.kind != "attribute" and _NAME.match(use.name)
    ]
    found = [(hit.line, hit.column, hit.name) for hit in scan(case.source)]
    assert sorted(reported) == found
    assert Counter((line, name) for line, _, name in found) == Counter(_by_ast(case.source))
    assert not [use for use in report.uses if "not understood" in use.why]
    assert ported(report.after, target).after == report.after


def _by_ast(source: str) -> Iterator[tuple[int, str]]:
    """Yield (line, name) of the mentions by Python's own parser: a second opinion on the scan."""
    tree = ast.parse(source)
    bare = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    formatted = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        names: list[str] = []
        if isinstance(node, ast.Name):
            names = [node.id]
        elif isinstance(node, ast.Attribute):
            names, line = [node.attr], node.end_lineno or 0
        elif isinstance(node, ast.alias):
            names = [*node.name.split("."), node.asname or ""]
        elif isinstance(node, ast.ImportFrom):
            names = (node.module or "").split(".")
        elif isinstance(node, (ast.keyword, ast.arg)):
            names = [node.arg or ""]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            names = node.names
        elif isinstance(node, (ast.MatchAs, ast.MatchStar)):
            names = [node.name or ""]
        elif isinstance(node, ast.MatchClass):
            names = node.kwd_attrs
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in bare:
                # As written, so that "rre" "lu" is no mention; a formatted string's part has no source.
                text = None if id(node) in formatted else ast.get_source_segment(source, node)
                text = text or node.value
                yield from ((line, word) for word in _WORD.findall(_unescaped(text)))
            continue
        yield from ((line, name) for name in names if _NAME.match(name))


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n")


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("import torch\ntorch.ops.aten.rrelu_with_noise(x, n)", "paddle", "gives the noise back"),
        ("import torch\ntorch.rrelu(x, generator=g)", "paddle", "rrelu_compat.Generator"),
        ("import paddle\npaddle._C_ops.rrelu(x, 0.1, 0.2, True)", "torch", "is_test"),
        ("import torch\ntorch.ops.aten.rrelu(*a)", "paddle", "an operator object"),
        ("import torch\nact = torch.ops.aten.rrelu", "paddle", "an operator object"),
        ("import torch.nn as nn\nclass A(nn.RReLU): ...", "neutral", "subclass the drop-in"),
        ("x = 'rrelu'", "paddle", "what looks it up can't be known"),
        ("eval('rrelu(x)')", "paddle", "program text"),
    ],
)
def test_reasons(source: str, target: str, reason: str, ported: Any) -> None:
    report = ported(source, target)
    assert report.after == source
    assert [reason in use.why for use in report.uses if use.status == "by hand"] == [True]
