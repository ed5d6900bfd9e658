"""A clone without symbolic links (Git for Windows' default) builds a whole wheel, and the wheel works."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import numpy, paddle, torch, rrelu_compat
print(rrelu_compat.__file__)
x = numpy.linspace(-1, 1, 64, dtype="float32")
for same in (numpy.array, torch.from_numpy, paddle.to_tensor):
    y = rrelu_compat.rrelu(same(x), training=True, generator=rrelu_compat.Generator(7))
    print(numpy.asarray(y).tobytes().hex())
"""


def run(command, folder, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder, capture_output=True, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clone")
    run(["git", "clone", "-q", "-c", "core.symlinks=false", ROOT, folder / "tree"], folder)
    return folder / "tree"


def test_the_link_is_lost_and_the_package_is_not(clone):
    assert not (clone / "backends").is_symlink()
    assert (clone / "backends").read_text() == "rrelu_compat/backends"
    assert (clone / "rrelu_compat" / "backends" / "torch" / "backend.py").is_file()


def test_a_whole_wheel_is_built_and_works(clone, tmp_path):
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q"]
    run([*pip, "--no-deps", "--no-build-isolation", "-w", tmp_path, "."], clone)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    ours = set(run(["git", "ls-files", "rrelu_compat/*.py"], clone).split())
    assert len(ours) > 100
    assert ours - inside == set()
    empty = tmp_path / "empty"
    empty.mkdir()
    program = [sys.executable, "-c", PROGRAM]
    where, *bits = run(program, empty, PYTHONPATH=str(tmp_path / "installed")).split("\n")[:4]
    assert Path(where).is_relative_to(tmp_path)
    assert len(set(bits)) == 1
    assert bits[0]
