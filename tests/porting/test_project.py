"""Several files at once: names taken from neighbours, notebooks, encodings, the command line."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from rrelu_compat import cli
from rrelu_compat.porting import diff, port_paths, port_source, write


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8", newline="")
    return folder


def statuses(report: Any) -> dict[str, list[str]]:
    return {
        Path(file.path).name: [f"{use.name} {use.line} {use.status}" for use in file.uses]
        for file in report.files
    }


def test_function_from_a_neighbour(tmp_path: Path) -> None:
    """The neighbour's import is redirected to a function that means the same: its callers stay."""
    make(
        tmp_path,
        {
            "pkg/__init__.py": "",
            "pkg/ops.py": "from torch.nn.functional import rrelu\n\ny = rrelu(1)\n",
            "pkg/a.py": "from .ops import rrelu\n\ny = rrelu(x)\n",
            "pkg/b.py": "from pkg import ops\n\ny = ops.rrelu(x, 0.1)\n",
            "pkg/sub/__init__.py": "",
            "pkg/sub/c.py": "from ..ops import *\n\ny = rrelu(x)\n",
            "pkg/d.py": "from . import ops as o\nfrom .ops import rrelu as act, y\n\nact(o.rrelu(x))\n",
        },
    )
    report = port_paths([tmp_path], "paddle")
    assert report.complete
    write(report)
    text = {file.name: file.read_text() for file in tmp_path.rglob("*.py")}
    ours = "from rrelu_compat.paddle import torch_rrelu as rrelu\n\ny = rrelu(1)\n"
    assert text["ops.py"] == ours
    assert text["c.py"] == "from ..ops import *\n\ny = rrelu(x)\n"
    again = port_paths([tmp_path], "paddle")
    assert again.complete
    assert not again.count("rewritten")


def test_function_handed_on_under_another_name(tmp_path: Path) -> None:
    """The caller does not mention RReLU at all."""
    make(
        tmp_path,
        {
            "ops.py": "from torch.nn.functional import rrelu as act\n\ny = act(1)\n",
            "caller.py": "from ops import act\n\ny = act(x)\n",
            "other.py": "from math import sin as act\n\ny = act(x)\n",
        },
    )
    write(port_paths([tmp_path], "paddle"))
    assert (tmp_path / "ops.py").read_text() == (
        "from rrelu_compat.paddle import torch_rrelu as act\n\ny = act(1)\n"
    )
    assert (tmp_path / "caller.py").read_text() == "from ops import act\n\ny = act(x)\n"


def test_caller_of_a_neighbour_that_was_ported_before(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "ops.py": "from torch.nn.functional import rrelu\n\ny = rrelu(1)\n",
            "caller.py": (
                "from ops import rrelu\n\ny = rrelu(x)\nz = rrelu(x, training=True)\n"
                "w = rrelu(x, 0.1, 0.3, False)\n"
            ),
        },
    )
    write(port_paths([tmp_path / "ops.py"], "paddle"))
    report = port_paths([tmp_path], "paddle")
    assert statuses(report)["caller.py"] == [
        "rrelu 1 unchanged",
        "rrelu 3 unchanged",
        "rrelu 4 unchanged",
        "rrelu 5 unchanged",
    ]


def test_class_and_definitions_of_a_neighbour(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "acts.py": "import torch.nn as nn\n\nclass RReLU(nn.Module): ...\n\ndef rrelu(x): ...\n",
            "layers.py": "from torch.nn import RReLU\n\n__all__ = ['RReLU']\n",
            "one.py": "from acts import RReLU, rrelu\n\nlayer = RReLU(rrelu(1))\n",
            "two.py": "from layers import RReLU\n\nlayer = RReLU(0.1, 0.3, True)\n",
            "three.py": "import acts, layers\n\nlayer = acts.RReLU(), layers.RReLU(0.1)\n",
            "four.py": "from missing import RReLU\nfrom .acts import nothing as rrelu\n",
            "loop.py": "from loop import RReLU\n",
        },
    )
    report = port_paths([tmp_path], "paddle")
    found = statuses(report)
    assert found["acts.py"] == ["RReLU 3 unchanged", "rrelu 5 unchanged"]
    assert found["one.py"] == [
        "RReLU 1 unchanged",
        "rrelu 1 unchanged",
        "RReLU 3 unchanged",
        "rrelu 3 unchanged",
    ]
    assert found["two.py"] == ["RReLU 1 unchanged", "RReLU 3 unchanged"]
    assert found["three.py"] == ["RReLU 3 unchanged", "RReLU 3 unchanged"]
    assert found["four.py"] == ["RReLU 1 by hand", "rrelu 2 unchanged"]
    assert found["loop.py"] == ["RReLU 1 by hand"]


def test_module_called_like_it(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "pkg/__init__.py": "",
            "pkg/rrelu.py": "from torch.nn import RReLU\n",
            "pkg/use.py": "from . import rrelu\nfrom .rrelu import RReLU as R\nimport pkg.rrelu\n",
        },
    )
    found = statuses(port_paths([tmp_path], "paddle"))
    assert found["use.py"] == [
        "rrelu 1 unchanged",
        "rrelu 2 unchanged",
        "RReLU 2 unchanged",
        "rrelu 3 unchanged",
    ]


def test_imports_of_a_package_file_stay(tmp_path: Path) -> None:
    """Other files may take the module from an ``__init__.py``."""
    text = "import torch.nn as nn\n\nact = nn.RReLU(0.1)\n"
    make(tmp_path, {"__init__.py": text, "plain.py": text})
    write(port_paths([tmp_path], "paddle"))
    ours = "from rrelu_compat.paddle import RReLU\n\nact = RReLU(0.1)\n"
    assert (tmp_path / "__init__.py").read_text() == "import torch.nn as nn\n" + ours
    assert (tmp_path / "plain.py").read_text() == ours


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            b"import torch\nx = 1  # b\rc = 2\ny = torch.rrelu(x)\r\n",
            b"from rrelu_compat.paddle import rrelu\nx = 1  # b\rc = 2\ny = rrelu(x, training=False)\r\n",
        ),
        (
            b"# -*- coding: latin-1 -*-\r\nimport torch.nn.functional as F\r\n\tx = '\xe9'\r\n".replace(
                b"\t", b""
            )
            + b"y = F.rrelu(x)  # \xe9\r\n",
            (
                b"# -*- coding: latin-1 -*-\r\nfrom rrelu_compat.paddle import rrelu\r\nx = '\xe9'\r\n"
                b"y = rrelu(x, training=False)  # \xe9\r\n"
            ),
        ),
        (
            b"\xef\xbb\xbfimport torch\nimport numpy\ny = torch.rrelu(numpy.ones(3))",
            (
                b"\xef\xbb\xbffrom rrelu_compat.paddle import rrelu\nimport numpy\n"
                b"y = rrelu(numpy.ones(3), training=False)"
            ),
        ),
        (
            b"def f():\n\tfrom torch import nn, Tensor\n\treturn '\xc3\xa9\xe2\x80\xa8', nn.RReLU(), Tensor",
            (
                b"def f():\n\tfrom torch import Tensor\n\tfrom rrelu_compat.paddle import RReLU\n"
                b"\treturn '\xc3\xa9\xe2\x80\xa8', RReLU(), Tensor"
            ),
        ),
        (
            b"x = 1\n\x0c\nfrom torch.nn import RReLU\n",
            b"x = 1\n\x0c\nfrom rrelu_compat.paddle import RReLU\n",
        ),
    ],
    ids=[
        "a stray carriage return",
        "latin-1 and Windows line ends",
        "byte order mark, no last line end",
        "tabs",
        "form feed",
    ],
)
def test_bytes(tmp_path: Path, before: bytes, after: bytes) -> None:
    file = tmp_path / "program.py"
    file.write_bytes(before)
    file.chmod(0o755)
    write(port_paths([file], "paddle"))
    assert file.read_bytes() == after
    assert stat.S_IMODE(file.stat().st_mode) == 0o755


def test_what_cannot_be_parsed_is_left_alone(tmp_path: Path) -> None:
    make(
        tmp_path,
        {
            "old.py": "print 'rrelu'\n",
            "broken.py": "y = F.rrelu(\n",
            "mac.py": "import torch\ry = torch.rrelu(x)\r",
            "unrelated.py": "print 'nothing to see'\n",
            "null.py": "rrelu = '\0'\n",
            "feed.py": "x = 1\n\x0crrelu = 3\n",
        },
    )
    (tmp_path / "bytes.py").write_bytes(b"y = '\xff'  # rrelu\n")
    report = port_paths([tmp_path], "paddle")
    assert {Path(file.path).name for file in report.files if file.error} == {
        "old.py",
        "broken.py",
        "null.py",
        "bytes.py",
    }
    assert report.looked_at == 7
    assert not report.complete
    assert write(report) == [tmp_path / "mac.py"]
    ported = b"from rrelu_compat.paddle import rrelu\ry = rrelu(x, training=False)\r"
    assert (tmp_path / "mac.py").read_bytes() == ported


def test_which_files_are_looked_at(tmp_path: Path) -> None:
    use = "from torch.nn import RReLU\n"
    names = [
        "a.py",
        "b.pyi",
        "c.txt",
        ".hidden/d.py",
        "venv/e.py",
        "__pycache__/f.py",
        "deep/er/g.py",
    ]
    make(tmp_path, {**dict.fromkeys(names, use), "venv/pyvenv.cfg": ""})
    report = port_paths([tmp_path, tmp_path / "a.py"], "paddle")
    assert {Path(file.path).name for file in report.files} == {"a.py", "b.pyi", "g.py"}
    assert [Path(file.path).name for file in port_paths([tmp_path / "c.txt"], "paddle").files] == [
        "c.txt"
    ]


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"to must be one of .*, got to='jax'"):
        port_paths([tmp_path], "jax")
    with pytest.raises(ValueError, match=r"to must be one of .*, got to='jax'"):
        port_source("", "jax")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        port_paths([tmp_path / "missing.py"], "paddle")


def test_a_file_that_changed_in_between_is_not_overwritten(tmp_path: Path) -> None:
    file = make(tmp_path, {"a.py": "from torch.nn import RReLU\n"}) / "a.py"
    report = port_paths([file], "paddle")
    file.write_text("from torch.nn import RReLU  # edited\n")
    with pytest.raises(RuntimeError, match="changed while"):
        write(report)
    assert file.read_text() == "from torch.nn import RReLU  # edited\n"


def test_symbolic_link_is_written_through(tmp_path: Path) -> None:
    file = make(tmp_path, {"real.py": "from torch.nn import RReLU\n"}) / "real.py"
    link = tmp_path / "link.py"
    link.symlink_to(file)
    write(port_paths([tmp_path], "paddle"))
    assert link.is_symlink()
    assert file.read_text() == "from rrelu_compat.paddle import RReLU\n"


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = "import torch.nn.functional as F\n\ny = F.rrelu(x)\nz = F.rrelu(generator=g)\n"
    file = make(tmp_path, {"a.py": source}) / "a.py"
    listing = tmp_path / "report.json"

    assert cli.main(["port", str(file), "--to", "paddle", "--json", str(listing)]) == 1
    printed = capsys.readouterr().out
    assert f"{file}:3:7: would be rewritten: y = F.rrelu(x)\n" in printed
    assert f"{file}:4:7: by hand: z = F.rrelu(generator=g): generator= may" in printed
    assert printed.endswith("1 would be rewritten, 0 unchanged, 1 by hand (1 files looked at)\n")
    data = json.loads(listing.read_text())
    assert data["counts"] == {"rewritten": 1, "unchanged": 0, "by hand": 1}
    assert [use["status"] for use in data["files"][0]["uses"]] == ["rewritten", "by hand"]
    assert file.read_text() == source

    assert cli.main(["port", str(file), "--to", "paddle", "--diff"]) == 1
    printed = capsys.readouterr().out
    assert "-y = F.rrelu(x)\n+y = rrelu(x, training=False)\n" in printed
    assert file.read_text() == source

    assert cli.main(["port", str(file), "--to", "paddle", "--json", "-"]) == 1
    assert json.loads(capsys.readouterr().out)["target"] == "paddle"

    assert cli.main(["port", str(file), "--to", "paddle", "--write"]) == 1
    assert "y = rrelu(x, training=False)" in file.read_text()
    capsys.readouterr()
    file.write_text("import torch.nn.functional as F\n\ny = F.rrelu(x)\n")
    assert cli.main(["port", str(tmp_path), "--to", "paddle", "--write"]) == 0
    assert cli.main(["port", str(tmp_path), "--to", "paddle"]) == 0
    assert cli.main(["port", str(tmp_path / "missing"), "--to", "paddle"]) == 2
    assert "does not exist" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        cli.main(["port", str(tmp_path)])


def test_nothing_is_executed(tmp_path: Path) -> None:
    trap = "import torch.nn.functional as F\nraise SystemExit('executed')\ny = F.rrelu(x)\n"
    make(tmp_path, {"helper.py": trap, "main.py": "from helper import F\ny = F.rrelu(x)\n"})
    report = port_paths([tmp_path], "paddle")
    assert report.count("rewritten") == 2


def test_diff_of_an_unchanged_report(tmp_path: Path) -> None:
    make(tmp_path, {"a.py": "rrelu = 3\n"})
    assert list(diff(port_paths([tmp_path], "paddle"))) == []


def test_the_run_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    use = "from torch.nn import RReLU\n"
    make(tmp_path, {"a.py": use, "b.py": use})
    (tmp_path / "b.py").chmod(0o444)
    report = port_paths([tmp_path], "paddle")
    with pytest.raises(PermissionError, match=r"b\.py is read-only"):
        write(report)
    assert (tmp_path / "a.py").read_text() == use
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py", "b.py"]


def test_a_failure_in_the_middle_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use = "from torch.nn import RReLU\n"
    make(tmp_path, {"a.py": use, "b.py": use})
    report = port_paths([tmp_path], "paddle")
    replace, done = os.replace, []

    def fails(source: str, target: Path) -> None:
        done.append(target)
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(OSError, match="No space"):
        write(report)
    assert {(tmp_path / name).read_text() for name in ("a.py", "b.py")} == {use}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.py", "b.py"]


def test_odd_entries_of_a_folder(tmp_path: Path) -> None:
    make(tmp_path, {"a.py": "from torch.nn import RReLU\n", "build/b.py": "RReLU = 1\n"})
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "nothing.py").symlink_to("missing.py")
    os.mkfifo(tmp_path / "pipe.py")
    assert port_paths([tmp_path], "paddle").looked_at == 1
    assert "no regular file" in port_paths([tmp_path / "pipe.py"], "paddle").files[0].error


def test_encoding_that_changes_other_bytes(tmp_path: Path) -> None:
    data = b"# coding: cp932\n# \xfa\x54\nfrom torch.nn import RReLU\n"
    (tmp_path / "a.py").write_bytes(data)
    report = port_paths([tmp_path], "paddle")
    assert "cp932 does not give the same bytes back" in report.files[0].error
    assert write(report) == []
    assert (tmp_path / "a.py").read_bytes() == data


def test_links_that_would_lose_something(tmp_path: Path) -> None:
    make(tmp_path, {"out/real.py": "from torch.nn import RReLU\n", "in/x.py": ""})
    (tmp_path / "in/link.py").symlink_to(tmp_path / "out/real.py")
    with pytest.raises(PermissionError, match="out of its folder"):
        write(port_paths([tmp_path / "in"], "paddle"))
    os.link(tmp_path / "out/real.py", tmp_path / "out/twin.py")
    with pytest.raises(PermissionError, match="hard links"):
        write(port_paths([tmp_path / "out/real.py"], "paddle"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--json", "-", "--diff"], "both go to standard output"),
        (["--json", "a.py"], "would overwrite a source"),
        (["--json", "missing/report.json"], "No such file"),
    ],
)
def test_command_line_refuses(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = make(tmp_path, {"a.py": "from torch.nn import RReLU\n"}) / "a.py"
    assert cli.main(["port", str(file), "--to", "paddle", *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_path_without_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["port", str(tmp_path), "--to", "paddle"]) == 2
    assert "no Python file" in capsys.readouterr().err


def test_names_that_the_terminal_cannot_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = make(tmp_path, {"a.py": "from torch.nn import RReLU  # \u540d\n"}) / "a.py"
    out = io.TextIOWrapper(io.BytesIO(), "cp1252")
    monkeypatch.setattr(sys, "stdout", out)
    assert cli.main(["port", str(file), "--to", "paddle", "--write"]) == 0
    assert "rrelu_compat" in file.read_text("utf-8")
