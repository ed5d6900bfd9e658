"""The benchmark programs run; what they measure is not tested here."""

import json
import os
import pathlib
import runpy
import subprocess
import sys

import pytest
import torch

ROOT = pathlib.Path(__file__).parents[2]


def test_cpu_quick(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(ROOT / "benchmarks" / "cpu.py"), "--quick"]
    command += ["--framework", "numpy", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    cells = json.loads((tmp_path / "cpu.json").read_text())["cells"]
    assert {cell["framework"] for cell in cells} == {"numpy"}
    assert all("ours" in cell["candidates"] for cell in cells)
    assert (tmp_path / "cpu.txt").read_text() in done.stdout
    assert (tmp_path / "cpu.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("lent", [True, False])
def test_threads(lent):
    from rrelu_compat.backends.torch import openmp

    program = runpy.run_path(str(ROOT / "benchmarks" / "threads.py"))
    before = torch.get_num_threads()
    try:
        assert program["microseconds"](torch.randn(1000), 2, lent) > 0
    finally:
        torch.set_num_threads(before)
        openmp.lend()
