"""The support table is what its script finds, and has no gap on our side."""

import importlib
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = ROOT / "docs" / "scripts"


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_every_feature_is_on_the_page_and_works_with_our_layer(framework, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    support = importlib.import_module("support")
    features = importlib.import_module(f"support_{framework}").FEATURES
    assert support.committed(framework, "ours") == dict.fromkeys(features, "yes")
    assert list(support.committed(framework, "native")) == list(features)


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_the_page_is_what_a_run_finds(framework, tmp_path):
    command = [sys.executable, str(SCRIPTS / "support.py"), "--check", "--framework", framework]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout
