"""The example programs run, learn, and print what README and the docs show."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]


def run(name, *arguments):
    """Return what an example prints."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(ROOT / "examples" / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def numbers(text):
    return [float(number) for number in re.findall(r"\d+\.\d+", text)]


def test_quickstart_learns_the_same_in_both_frameworks_as_readme_shows():
    shown = re.search(r"```text\n(torch .*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    printed = run("quickstart.py")
    first, second = printed.splitlines()
    assert first.split()[1:] == second.split()[1:]  # every digit of the loss, and the accuracy
    # Other processors round matrix products in another order.
    assert numbers(printed) == pytest.approx(numbers(shown), rel=0.01)


def differences(printed):
    """Return the last "largest difference so far" of each comparison, by title."""
    parts = printed.strip().split("\n\n")
    return {
        part.splitlines()[0]: float(part.splitlines()[-5 if "itself" in part else -2].split()[-1])
        for part in parts
        if "step" in part
    }


def test_losses_of_the_two_frameworks_agree_for_the_first_steps(tmp_path):
    printed = run("digits.py", "--steps", 40, "--plot", tmp_path / "plot.png")
    assert printed.endswith("All losses agree as claimed.\n")
    assert (tmp_path / "plot.png").stat().st_size > 10_000
    found = differences(printed)
    assert len(found) == 6
    for title, difference in found.items():
        if "own RReLU" in title:
            assert difference > 1e-3
        elif "float64" in title:
            assert difference < 1e-12
        else:
            assert difference < 1e-3


@pytest.mark.slow
def test_losses_of_the_two_frameworks_agree_over_all_steps():
    assert run("digits.py").endswith("All losses agree as claimed.\n")
