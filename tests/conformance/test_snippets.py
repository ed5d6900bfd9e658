"""The programs that failures print run by themselves, and show what the message says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rrelu_compat import generator as process
from rrelu_compat.conformance import Capabilities, check_subject
from rrelu_compat.conformance.draws import LAYOUTS, lay_out
from rrelu_compat.conformance.finding import load_subject
from rrelu_compat.conformance.profiles import PROFILES
from rrelu_compat.conformance.programs import render
from rrelu_compat.conformance.registry import Case, all_checks
from rrelu_compat.conformance.runner import case_seed
from rrelu_compat.conformance.trial import Trial

ANY = next(check for check in all_checks() if check.id == "forward.shape")
SUBJECTS = ["numpy", "torch", "paddle", "torch-native", "paddle-native"]


def run_program(text: str, **names) -> dict:
    space = dict(names)
    exec(compile(text, "snippet", "exec"), space)
    return space


@pytest.mark.parametrize("name", SUBJECTS)
def test_every_check_that_runs_once_makes_a_program_that_runs(name: str, capsys):
    """The steps of passing checks are programs too; they run without an error."""
    subject = load_subject(name)
    ran = 0
    for check in all_checks():
        # Threads are not printed; errors are the point of the others.
        if not check.once or check.id.startswith(("threads.", "errors.", "inplace.overlapping")):
            continue
        mode = check.modes[0]
        case = Case(check, subject, "cpu", "float32", mode, check.inplace[-1])
        if case.missing() or case.id in subject.expected_failures or mode == "recompute":
            continue
        if "float32" not in check.dtypes:
            continue
        trial = Trial(case, case_seed(case, PROFILES["quick"]))
        # As `run_case` does; the program of portable.manual-seed leaves it on.
        process.set_process_generator(False)
        check.body(trial)
        run_program(render(trial.steps, subject, "cpu"))
        ran += 1
    assert ran > 20


@pytest.mark.parametrize("name", ["torch-native", "paddle-native"])
def test_programs_of_failures_show_the_failure(name: str, capsys):
    """Run in this process, a failing gradient at NaN prints the gradient of the message."""
    results = check_subject(name, checks=["gradient.nan-input"], dtypes=["float32"])
    (failing, *_) = [r for r in results if r.outcome == "xfailed"]
    assert "rrelu_compat" not in failing.snippet
    run_program(failing.snippet)
    assert "gx = " in capsys.readouterr().out


@pytest.mark.parametrize("name", ["torch-native", "paddle-native"])
def test_programs_need_nothing_but_the_framework(name: str, tmp_path):
    (failing, *_) = [
        r
        for r in check_subject(name, checks=["bounds.double-precision", "gradient.at-zero"])
        if r.outcome == "xfailed"
    ]
    script = tmp_path / "shown.py"
    script.write_text(failing.snippet, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=tmp_path,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "y = " in done.stdout


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "flipped"])
@pytest.mark.parametrize("name", ["torch-native", "paddle-native"])
def test_layouts_are_printed(name: str, layout: str):
    """A tensor of any layout is rebuilt by the program with its values and strides."""
    import numpy as np

    subject = load_subject(name)
    case = Case(ANY, subject, "cpu", "float32", "eval", False)
    trial = Trial(case, 0)
    x = lay_out(np.arange(24, dtype=np.float32).reshape(2, 3, 4) - 9, layout)
    y = trial.numpy(trial.apply(trial.tensor(x), 0.25, 0.5))
    space = run_program(render(trial.steps, subject, "cpu"))
    assert np.array_equal(subject.to_numpy(space["x"]), x)
    assert np.array_equal(subject.to_numpy(space["y"]), y)
    if layout != "contiguous":
        assert tuple(subject.strides(space["x"])) == tuple(s // 4 for s in x.strides)


def test_many_equal_values_are_printed_short_and_zeros_keep_their_signs():
    import numpy as np

    subject = load_subject("numpy")
    case = Case(ANY, subject, "cpu", "float32", "eval", False)
    signs = np.zeros(9, np.float32)
    signs[4] = -0.0
    for x in (np.full((8, 8), -1.0, np.float32), np.full(9, np.nan, np.float32), signs):
        trial = Trial(case, 0)
        trial.apply(trial.tensor(x), 0.25, 0.5)
        program = render(trial.steps, subject, "cpu")
        assert ("np.full(" in program) == (x is not signs), program
        made = subject.to_numpy(run_program(program)["x"])
        assert made.dtype == x.dtype
        assert np.array_equal(made.view(np.uint32), x.view(np.uint32))


def test_the_program_of_a_subject_that_makes_no_tensor_shows_the_call(monkeypatch):
    subject = load_subject("numpy")

    def refuse(array, *, device):
        raise TypeError("no tensors today")

    monkeypatch.setattr(subject, "from_numpy", refuse, raising=False)
    (result, *_) = check_subject(subject, checks=["dtypes.forward"], dtypes=["float32"])
    assert result.outcome == "failed"
    assert "no tensors today" in result.message
    assert "x = np.array(" in result.snippet


@pytest.mark.parametrize("field", ["dtypes", "partial_dtypes", "devices", "recompute"])
def test_a_claim_that_is_a_string_and_not_a_tuple_is_refused(field: str):
    with pytest.raises(ValueError, match=rf"{field} must be a tuple, got {field}='float32'"):
        Capabilities(**{field: "float32"})
