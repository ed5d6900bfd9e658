"""Notebooks: only what changes changes, byte for byte."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from rrelu_compat.porting import port_paths, write

if TYPE_CHECKING:
    from pathlib import Path


def cell(*lines: str, kind: str = "code") -> dict[str, Any]:
    made: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": list(lines)}
    if kind == "code":
        made |= {"execution_count": 3, "outputs": [{"text": ["F.rrelu(x)"], "n": 1.50}]}
    return made


def notebook(*cells: dict[str, Any], language: str = "python") -> dict[str, Any]:
    metadata = {"kernelspec": {"language": language, "name": "k"}, "übrig": "é"}
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def ported(folder: Path, text: str, target: str = "paddle") -> tuple[str, Any]:
    file = folder / "book.ipynb"
    file.write_text(text, "utf-8", newline="")
    report = port_paths([file], target)
    write(report)
    return file.read_text("utf-8"), report


def test_a_notebook(tmp_path: Path) -> None:
    before = notebook(
        cell("# RReLU and F.rrelu(x)\n", kind="markdown"),
        cell("%matplotlib inline\n", "!pip install torch\n", "import torch.nn.functional as F"),
        cell("%%time\n", "y = F.rrelu(x)  # é\n", 'z = "ä"'),
        cell("F.relu(x)\n", "\n", "F.rrelu(x, *more)"),
        cell("x = 3\n"),
    )
    text = json.dumps(before, indent=1, ensure_ascii=False) + "\n"
    after, report = ported(tmp_path, text)
    expected = text.replace(
        '"import torch.nn.functional as F"',
        '"import torch.nn.functional as F\\n",\n    "from rrelu_compat.paddle import rrelu, torch_rrelu"',
    ).replace('"y = F.rrelu(x)  # é\\n"', '"y = rrelu(x, training=False)  # é\\n"')
    expected = expected.replace('"F.rrelu(x, *more)"', '"torch_rrelu(x, *more)"')
    assert after == expected
    uses = [(use.cell, use.line, use.name, use.status) for use in report.files[0].uses]
    assert uses == [(2, 2, "rrelu", "rewritten"), (3, 3, "rrelu", "rewritten")]
    assert "cell 2:2:7: rewritten: y = F.rrelu(x)" in str(report)
    assert report.to_dict()["files"][0]["uses"][0]["cell"] == 2


@pytest.mark.parametrize(
    "layout",
    [
        {"indent": None, "separators": (",", ":")},
        {"indent": 4},
        {"indent": 1, "ensure_ascii": True},
    ],
    ids=["compact", "wide", "escaped"],
)
def test_layouts(tmp_path: Path, layout: dict[str, Any]) -> None:
    layout = {"ensure_ascii": False, **layout}
    before = notebook(
        cell("from torch.nn import RReLU, Linear  # é\n", "layer = RReLU(0.1, 0.2, True)")
    )
    done = notebook(
        cell(
            "from torch.nn import Linear  # é\n",
            "from rrelu_compat.paddle import RReLU\n",
            "layer = RReLU(0.1, 0.2, inplace=True)",
        )
    )
    after, _ = ported(tmp_path, json.dumps(before, **layout))
    assert after == json.dumps(done, **layout)


def test_source_as_one_string(tmp_path: Path) -> None:
    before = notebook(cell())
    before["cells"][0]["source"] = "import torch\ny = torch.rrelu(x)"
    after, _ = ported(tmp_path, json.dumps(before))
    assert json.loads(after)["cells"][0]["source"] == (
        "from rrelu_compat.paddle import rrelu\ny = rrelu(x, training=False)"
    )


def test_one_line_that_becomes_two(tmp_path: Path) -> None:
    before = notebook(cell("from torch import nn, Tensor"), cell("layer = nn.RReLU()"))
    after, _ = ported(tmp_path, json.dumps(before, indent=1))
    assert json.loads(after)["cells"][0]["source"] == [
        "from torch import Tensor\n",
        "from rrelu_compat.paddle import RReLU",
    ]
    assert after.count("\n") == json.dumps(json.loads(after), indent=1).count("\n")


def test_what_is_not_python(tmp_path: Path) -> None:
    before = notebook(
        cell("%%bash\n", "grep rrelu *.py\n"),
        cell("%%writefile model.py\n", "from torch.nn import RReLU\n"),
        cell(
            "import torch\n", "%timeit torch.rrelu(x)\n", "y = torch.rrelu(x)\n", "torch.rrelu?\n"
        ),
        cell("files = !grep -l RReLU *.py\n", "for a in b:\n", "    !echo {a}\n"),
        cell("this is no Python: rrelu\n"),
        cell("a = (7\n", "% torch.rrelu(x))\n"),
    )
    after, report = ported(tmp_path, json.dumps(before, indent=1))
    uses = [(use.cell, use.line, use.name, use.status, use.kind) for use in report.files[0].uses]
    assert uses == [
        (0, 2, "rrelu", "by hand", "notebook"),
        (1, 2, "RReLU", "by hand", "notebook"),
        (2, 2, "rrelu", "by hand", "notebook"),
        (2, 3, "rrelu", "rewritten", "call"),
        (2, 4, "rrelu", "by hand", "notebook"),
        (3, 1, "RReLU", "by hand", "notebook"),
        (4, 1, "rrelu", "by hand", "notebook"),
        (5, 2, "rrelu", "rewritten", "call"),
    ]
    assert json.loads(after)["cells"][2]["source"][1] == "%timeit torch.rrelu(x)\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("rrelu", "not a notebook"),
        ('{"worksheets": ["rrelu"]}', "not a notebook"),
        ('{"cells": 3, "x": "rrelu"}', "not a notebook"),
        (json.dumps(notebook(cell("rrelu(x)"), language="R")), "not Python"),
    ],
)
def test_what_is_no_notebook(tmp_path: Path, text: str, error: str) -> None:
    after, report = ported(tmp_path, text)
    assert after == text
    assert error in report.files[0].error
    assert not report.complete


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    before = notebook(cell("import torch\n", "y = torch.rrelu(x)"), cell("torch.float32"))
    once, _ = ported(tmp_path, json.dumps(before))
    twice, report = ported(tmp_path, once)
    assert twice == once
    assert report.complete
