"""Scopes against Python's own symbol tables, on real modules."""

from __future__ import annotations

import re
import symtable
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

from rrelu_compat.porting.source.tree import Tree

LIBRARY = Path(sysconfig.get_paths()["stdlib"])
MODULES = ("abc", "argparse", "asyncio/events", "collections/__init__", "contextlib", "dataclasses", "enum",
           "functools", "inspect", "pickle", "subprocess", "typing", "unittest/mock", "zipfile/__init__")  # fmt: skip # noqa: E501


def theirs(source: str) -> Counter[frozenset[str]]:
    found: Counter[frozenset[str]] = Counter()
    pending = [symtable.symtable(source, "module", "exec")]
    while pending:
        table = pending.pop()
        pending += table.get_children()
        found[
            frozenset(
                one.get_name()
                for one in table.get_symbols()
                if (
                    one.is_assigned()
                    or one.is_imported()
                    or one.is_parameter()
                    or one.is_namespace()
                )
                and not one.get_name().startswith(".")
                and not (one.is_declared_global() and table.get_type() != "module")
                and not one.is_nonlocal()
            )
        ] += 1
    return found


@pytest.mark.parametrize("module", MODULES)
def test_what_each_scope_binds(module: str) -> None:
    file = LIBRARY / f"{module}.py"
    if not file.exists():
        pytest.skip("this version of Python has it elsewhere")
    source = file.read_text("utf-8")
    if re.search(r"\b__\w*[^\W_](?!\w*__)\b", source):
        source = re.sub(r"\b__(\w*[^\W_])(?!\w*__)\b", r"p__\1", source)  # no mangled names
    ours = Counter(frozenset(scope.bindings) for scope in Tree(source).scopes.all)
    assert ours == theirs(source)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a as F\nclass C:\n    F = F\n    y = F", 2),
        ("import a as F\nclass C:\n    F = 1\n    def f(self): return F", 1),
        ("import a as F\ndef f():\n    F = 1\n    return F", 1),
        ("import a as F\nx = [(F := h) for h in b]\nF", 2),
        ("import a as F\nx = [F for F in b]\nF", 1),
        ("import a as F\ndef f():\n    global F\n    F = 2\nF", 2),
        ("def g():\n    F = 1\n    def f():\n        nonlocal F\n        F = 2\n    return F", 2),
    ],
)
def test_what_a_name_may_be(source: str, expected: int) -> None:
    """The last reading of F."""
    tree = Tree(source)
    node = max(
        (one for one in tree.scopes.names["F"] if type(one.ctx).__name__ == "Load"), key=tree.start
    )
    assert len(tree.scopes.lookup(tree.scopes.of[node], "F")) == expected
