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


def test_info_says_that_the_kernel_is_missing(capsys, monkeypatch):
    monkeypatch.setattr(cli.kernels, "missing", "it was not built")
    assert cli.main(["info"]) == 0
    assert "(it was not built)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [(), ("info",), ("conformance",), ("port",)])
@pytest.mark.parametrize("columns", ["40", "80"])
def test_help_fits_the_terminal_and_has_examples(command, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    if command != ("info",):
        assert "example" in out.lower()
    assert columns == "40" or max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("confromance", "did you mean conformance?"),
        ("prot", "did you mean port?"),
        ("xyz", "there are info, conformance, port"),
    ],
)
def test_an_unknown_command_suggests_the_nearest(typed, hint, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main([typed])
    assert stop.value.code == 2
    assert f"no command '{typed}': {hint}" in capsys.readouterr().err


def test_a_reader_that_closes_the_pipe_hears_no_traceback():
    program = "import sys; from rrelu_compat.cli import main; sys.exit(main(['info']))"
    done = subprocess.run(
        f"{sys.executable} -W ignore -c \"{program}\" | head -n 1",
        shell=True, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("rrelu-compat ")
    assert "Traceback" not in done.stderr


def test_python_m_runs_it_and_a_wrong_command_exits_2():
    out = subprocess.run(
        [sys.executable, "-m", "rrelu_compat", "--version"], capture_output=True, text=True
    )
    assert out.stdout.strip() == rrelu_compat.__version__
    with pytest.raises(SystemExit) as stop:
        cli.main(["no-such-command"])
    assert stop.value.code == 2
