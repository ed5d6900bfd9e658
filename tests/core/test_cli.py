"""The command line."""

import subprocess
import sys

import pytest

import rrelu_compat
from rrelu_compat import cli, dispatch


def test_info_names_backends_versions_dtypes_and_kernels(capsys):
    import numpy as np
    import paddle
    import torch

    assert cli.main(["info"]) == 0
    out = capsys.readouterr().out
    for line in (
        f"rrelu-compat {rrelu_compat.__version__}",
        "CPU kernel: ",
        f"numpy {np.__version__}",
        f"torch {torch.__version__}",
        f"paddle {paddle.__version__}",
        "kernel on cpu: ",
    ):
        assert line in out
    assert out.count("dtypes:  float16, bfloat16, float32, float64") == 3


def test_info_says_why_a_backend_is_missing(capsys, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(dispatch, "get_backend", missing)
    assert cli.main(["info"]) == 0
    assert "paddle: not available: paddle is not installed: pip install" in capsys.readouterr().out


def test_python_m_runs_it_and_a_wrong_command_exits_2():
    out = subprocess.run(
        [sys.executable, "-m", "rrelu_compat", "--version"], capture_output=True, text=True
    )
    assert out.stdout.strip() == rrelu_compat.__version__
    with pytest.raises(SystemExit) as stop:
        cli.main(["no-such-command"])
    assert stop.value.code == 2
