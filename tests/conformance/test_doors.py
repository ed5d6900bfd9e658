"""The three doors: command line, pytest, Python; exit statuses and reports."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from rrelu_compat.conformance import check_subject, summarise
from rrelu_compat.conformance.command import add_parser
from rrelu_compat.conformance.results import OUTCOMES
from rrelu_compat.conformance.terminal import table

ROOT = Path(__file__).parents[2]
STRANGER = Path(__file__).parent / "stranger"
FEW = ["--dtype", "float32", "--check", "evaluation.*"]


def command(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers(required=True))
    namespace = parser.parse_args(["conformance", *arguments])
    return namespace.run(namespace)


def python(*arguments: str, cwd: Path, path: tuple[Path, ...] = ()) -> subprocess.CompletedProcess:
    """Run Python in another folder, the checkout and `path` importable."""
    where = os.pathsep.join(map(str, (*path, ROOT)))
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def without(package: str, folder: Path) -> tuple[Path, ...]:
    """Return a path on which a package is not installed, for the workers too."""
    name = f"{package}.py"
    (folder / name).write_text(f"raise ModuleNotFoundError(name={package!r})")
    return (folder,)


class TestCommand:
    def test_passed_is_0_and_the_table_counts(self, capsys):
        assert command("numpy", *FEW) == 0
        out = capsys.readouterr().out
        assert "passed: 6 checks ran, 0 failed" in out
        assert "float32" in out
        assert "examples" in out

    def test_failed_is_1_and_prints_a_program(self, capsys, monkeypatch):
        subject = _torch_native()
        monkeypatch.setattr(subject, "expected_failures", {})
        arguments = ("--dtype", "float32", "--check", "gradient.at-zero", "--no-isolate")
        assert command("torch-native", *arguments) == 1
        out = capsys.readouterr().out
        assert "FAILED torch-native: gradient.at-zero\n" in out
        assert "torch-native: gradient.at-zero[cpu-float32-train]" in out
        assert "torch.autograd.grad" in out
        assert "required: At 0 and at -0.0 the gradient is 1" in out

    def test_expected_failures_pass_and_are_counted(self, capsys):
        assert command("torch-native", "--dtype", "float32", "--check", "gradient.at-zero") == 0
        assert "passed: 2 checks ran, 0 failed" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nope"], "subject must be one of numpy, torch"),
            (["no_such_module:thing"], "can't be loaded: ModuleNotFoundError"),
            (["numpy", "--device", "cuda"], "has no device 'cuda'"),
            (["torch-native", "--dtype", "bfloat16", "--device", "tpu"], "has no device 'tpu'"),
            (["numpy", "--max-examples", "0"], "max_examples=0"),
            (["numpy", "--json", "/no/such/folder/x.json"], "no such directory"),
        ],
    )
    def test_usage_and_subjects_that_fail_to_load_are_2(self, capsys, arguments, words):
        assert command(*arguments) == 2
        assert words in capsys.readouterr().err

    def test_a_framework_that_is_not_installed_is_2(self, tmp_path):
        """A named backend that is missing is an error, never a skip."""
        path = without("paddle", tmp_path)
        done = python(
            "-m", "rrelu_compat", "conformance", "numpy", "paddle", cwd=tmp_path, path=path
        )
        assert done.returncode == 2, done.stdout + done.stderr
        assert "paddle" in done.stderr

    def test_a_missing_extra_is_2_and_says_what_to_install(self, tmp_path):
        path = without("scipy", tmp_path)
        done = python("-m", "rrelu_compat", "conformance", "numpy", cwd=tmp_path, path=path)
        assert done.returncode == 2, done.stdout + done.stderr
        assert "pip install 'rrelu-compat[conformance]'" in done.stderr

    def test_a_dtype_that_is_not_offered_is_2(self, capsys, monkeypatch):
        monkeypatch.syspath_prepend(STRANGER)
        assert command("stranger_rrelu.subject:ListSubject", "--dtype", "float32") == 2
        assert "does not offer float32; it offers float64" in capsys.readouterr().err

    def test_nothing_is_left_in_the_working_directory(self, tmp_path):
        done = python("-m", "rrelu_compat", "conformance", "numpy", *FEW, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_of_the_same_name_is_not_imported(self, tmp_path):
        """Workers use the package that the command uses, not a clone in the working directory."""
        (tmp_path / "rrelu_compat").mkdir()
        (tmp_path / "rrelu_compat" / "__init__.py").write_text("raise RuntimeError('imported')")
        code = f"import sys; sys.path[0] = {str(ROOT)!r}; from rrelu_compat.cli import main; main()"
        done = python("-c", code, "conformance", "numpy", *FEW, cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    def test_no_check_is_1(self, capsys):
        assert command("numpy", "--check", "gradient.at-zer") == 2
        assert "matches no check; near it: gradient.at-zero" in capsys.readouterr().err

    def test_nothing_offered_is_1(self, capsys):
        assert command("numpy", "--check", "recompute.*") == 1
        assert "no check ran" in capsys.readouterr().out

    def test_list_runs_nothing(self, capsys):
        assert (
            command("numpy", "--list", "--check", "recompute.gradient", "--check", "forward.*") == 0
        )
        out = capsys.readouterr().out
        assert "numpy  forward.bounds[cpu-float32-train-inplace]" in out
        assert "(not offered: recompute)" in out

    def test_seed_and_examples(self, tmp_path, capsys):
        counts = []
        for seed in ("1", "1", "2"):
            file = tmp_path / f"{len(counts)}.json"
            arguments = ["--seed", seed, "--max-examples", "5", "--json", str(file)]
            assert command("numpy", *FEW, *arguments) == 0
            results = json.loads(file.read_text())["results"]
            counts.append([(r["id"], r["examples"]) for r in results])
        assert counts[0] == counts[1]
        assert {n for _, n in counts[0]} <= {1, 5, 6}


class TestReports:
    def test_json_is_the_documented_one(self, tmp_path, capsys):
        file = tmp_path / "report.json"
        assert command("numpy", *FEW, "--json", str(file)) == 0
        report = json.loads(file.read_text())
        assert set(report) == {"summary", "results"}
        wanted = {"check", "subject", "device", "dtype", "mode", "outcome", "examples", "message"}
        for result in report["results"]:
            assert wanted <= set(result)
            assert result["outcome"] in OUTCOMES
        summary = report["summary"]
        assert summary["passed"] == summary["executed"] == len(report["results"])
        assert summary["examples"] == sum(r["examples"] for r in report["results"])
        assert summary["rows"][0]["dtype"] == "float32"

    def test_every_field_of_the_json_is_documented(self):
        text = (ROOT / "docs" / "conformance-json.md").read_text(encoding="utf-8")
        report = summarise(check_subject("numpy", checks=["evaluation.deterministic"]))
        fields = {*report["summary"], *report["summary"]["rows"][0], *report["results"][0]}
        assert [field for field in sorted(fields) if f"`{field}`" not in text] == []

    def test_html_needs_nothing_else_and_escapes(self, tmp_path, capsys):
        file = tmp_path / "report.html"
        arguments = ["--dtype", "float32", "--check", "gradient.*", "--html", str(file)]
        assert command("torch-native", *arguments) == 0
        text = file.read_text(encoding="utf-8")
        assert "<html" in text
        for outside in ("http://", "src=", "<script", "<link", "@import"):
            assert outside not in text
        assert "gradient.at-zero[cpu-float32-train]" in text
        assert "x &gt;= 0" in text or "x &lt;= 0" in text

    @pytest.mark.parametrize("width", [120, 80, 60, 40])
    def test_the_table_fits_and_says_which_dtype(self, width):
        results = check_subject("numpy", checks=["evaluation.deterministic"])
        text = table(results, width)
        assert max(map(len, text.splitlines())) <= width
        for word in ("numpy", "float16", "bfloat16", "float32", "float64", "failed"):
            assert word in text


class TestPytest:
    def run(self, tmp_path: Path, *arguments: str, path: tuple[Path, ...] = ()):
        # Where the package is installed, pytest finds the plugin by itself.
        installed = {point.name for point in entry_points(group="pytest11")}
        plugin = (
            () if "rrelu_compat" in installed else ("-p", "rrelu_compat.conformance.pytest_plugin")
        )
        command = ("-m", "pytest", "-q", *plugin, "--pyargs", "rrelu_compat.conformance")
        return python(*command, *arguments, cwd=tmp_path, path=path)

    def test_cases_are_tests_and_not_offered_is_skipped(self, tmp_path):
        done = self.run(
            tmp_path,
            *("--rrelu-subject", "numpy", "--rrelu-dtype", "float32"),
            *("--rrelu-check", "evaluation.*", "--rrelu-check", "recompute.gradient"),
            f"--junitxml={tmp_path / 'junit.xml'}",
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # The cases, and the test that expected failures exist.
        assert "7 passed, 1 skipped" in done.stdout
        assert "evaluation.slope[cpu-float32-eval]" in (tmp_path / "junit.xml").read_text()

    def test_expected_failures_are_xfail(self, tmp_path):
        arguments = ("--rrelu-dtype", "float32", "--rrelu-check", "gradient.at-zero")
        done = self.run(tmp_path, "--rrelu-subject", "torch-native", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "2 xfailed" in done.stdout

    def test_failures_show_the_program(self, tmp_path):
        (tmp_path / "half.py").write_text(
            "from rrelu_adapters.wrong_forward import EvaluationLower as subject\n"
        )
        done = self.run(
            tmp_path,
            *("--rrelu-subject", "half:subject", "--rrelu-check", "evaluation.slope"),
            path=(tmp_path, Path(__file__).parent),
        )
        assert done.returncode == 1, done.stdout + done.stderr
        assert "load_subject('half:subject')" in done.stdout

    @pytest.mark.parametrize("arguments", [(), ("--rrelu-subject", "nope")])
    def test_nothing_to_check_is_an_error(self, tmp_path, arguments):
        done = self.run(tmp_path, *arguments)
        assert done.returncode not in (0, 1), done.stdout


class TestStranger:
    """An adapter in a folder of its own, that knows the documentation alone."""

    ARGUMENTS = ("--max-examples", "4")

    def module(self, tmp_path: Path, name: str, *path: Path):
        return python(
            *("-m", "rrelu_compat", "conformance", name, *self.ARGUMENTS), cwd=tmp_path, path=path
        )

    def test_by_module_and_object_from_its_folder(self):
        code = "import sys; from rrelu_compat.cli import main; sys.exit(main(sys.argv[1:]))"
        done = python(
            # -P: as a console script, which does not put the folder on the path.
            *(("-P",) if sys.version_info >= (3, 11) else ()),
            *("-c", code, "conformance", "stranger_rrelu.subject:ListSubject", *self.ARGUMENTS),
            cwd=STRANGER,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "stranger" in done.stdout

    def test_by_entry_point(self, tmp_path):
        target = tmp_path / "site"
        source = tmp_path / "source"
        import shutil

        shutil.copytree(STRANGER, source)  # the build leaves files behind
        pip = python(
            *("-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"),
            *("--no-index", "--target", str(target), str(source)),
            cwd=tmp_path,
        )
        assert pip.returncode == 0, pip.stderr
        done = self.module(tmp_path, "stranger", target)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "passed: " in done.stdout
        unknown = self.module(tmp_path, "stranger")
        assert unknown.returncode == 2
        listed = python(
            "-c",
            "from rrelu_compat.conformance.finding import known_subjects; print(known_subjects())",
            cwd=tmp_path,
            path=(target,),
        )
        assert "'stranger'" in listed.stdout


def _torch_native():
    from rrelu_compat.conformance import load_subject

    return load_subject("torch-native")
