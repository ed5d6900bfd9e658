"""The report over published packages: how it is made, and, in the slow set, that it is made again."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = ROOT / "docs" / "scripts"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module that writes the page."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("porting_report")


def test_every_use_is_on_the_page(script: Any, tmp_path: Path) -> None:
    source = "import torch.nn as nn\n\nact = nn.RReLU()  # RReLU\nname = 'RReLU' | 1\n"
    (tmp_path / "code.py").write_text(source, "utf-8")
    (tmp_path / "other.py").write_text("x = 1\n", "utf-8")
    package = script.Package("some", "1", "0" * 64, "The name.")
    run = script.Run(package.title, tmp_path)
    page = script.render([(package, run)])
    assert "| some 1 | 2 | 3 | 1 | 1 | 0 | 1 | 0 |" in page
    assert "| code.py:3 | `act = nn.RReLU() # RReLU` | rewritten |" in page
    assert "| code.py:4 | `name = 'RReLU' \\| 1` | by hand (1) |" in page
    assert "By hand: The name." in page
    assert "+from rrelu_compat.paddle import RReLU" in page


def test_a_mention_without_a_use_stops_it(script: Any, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "code.py").write_text("x = 'rrelu'\n", "utf-8")
    monkeypatch.setattr(script, "scan", lambda text: [])
    with pytest.raises(AssertionError):
        script.Run("some", tmp_path)


def test_another_wheel_stops_it(script: Any, tmp_path: Path) -> None:
    (tmp_path / "some_code-1-py3-none-any.whl").write_bytes(b"")
    with pytest.raises(SystemExit, match="sha256"):
        script.find(script.Package("some-code", "1", "0" * 64, ""), tmp_path)


def test_the_page_is_about_these_packages(script: Any) -> None:
    page = script.PAGE.read_text("utf-8")
    for package in script.PACKAGES:
        assert f"## {package.title}\n\nWheel with sha256 `{package.sha256}`" in page
        assert package.by_hand in page


@pytest.mark.slow
def test_the_page_is_what_a_run_gives(tmp_path: Path) -> None:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, str(SCRIPTS / "porting_report.py"), "--check"]
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
