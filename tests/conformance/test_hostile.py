"""Whatever a subject does costs its own cases alone; the report is written, the run is not green."""

from __future__ import annotations

import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import hostile
import pytest

from rrelu_compat.conformance import check_subject, run
from rrelu_compat.conformance.results import succeeded

ROOT, HOME = Path(__file__).parents[2], Path(__file__).parent
WHAT = {"dtypes": ["float32"], "checks": ["dtypes.forward"]}
#: A limit that a right subject keeps, also on a busy machine.
LIMIT = 1.5


def reference(name: str) -> str:
    return "hostile:named." + name.translate({ord(c): "_" for c in "-[]/"})


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    where = os.pathsep.join([str(HOME), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": where},
        capture_output=True,
        timeout=120,
        check=False,
    )


def failed_alone(results, name: str) -> None:
    assert {r.outcome for r in results if r.subject == name} == {"failed"}, results
    others = [r for r in results if r.subject != name]
    assert others
    assert {r.outcome for r in others} == {"passed"}
    assert not succeeded(results)


def test_there_are_thirty():
    assert len(hostile.HERE) >= 30


@pytest.mark.parametrize("name", hostile.HERE)
def test_in_this_process(name: str, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    environment, stdout = dict(os.environ), sys.stdout
    results = check_subject(hostile.subject(name), **WHAT, time_limit=LIMIT)
    results += check_subject("numpy", **WHAT)
    failed_alone(results, name)
    assert Path.cwd() == tmp_path
    assert dict(os.environ) == environment
    assert sys.stdout is stdout
    for result in results:
        text = result.message + result.snippet
        assert text.replace("\n", "").isprintable()
        assert len(result.message) < 1000


@pytest.mark.parametrize("name", [*hostile.APART, "exits-0", "loops"])
def test_in_a_process_of_its_own(name: str, monkeypatch):
    monkeypatch.syspath_prepend(HOME)
    limited = {**WHAT, "profile": _profile()}
    failed_alone(run([reference(name), "numpy"], **limited, isolate=True), name)


def _profile():
    from rrelu_compat.conformance.profiles import profile_of

    return profile_of(time_limit=LIMIT)


class _WellFormed(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.scripts = 0

    def handle_starttag(self, tag, attributes):
        self.scripts += tag == "script"
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def _by_command(name: str, tmp_path: Path) -> None:
    done = python(
        *("-m", "rrelu_compat", "conformance", reference(name), "numpy", "--dtype", "float32"),
        *("--check", "dtypes.forward", "--time-limit", str(LIMIT)),
        *("--json", "r.json", "--html", "r.html"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    out = done.stdout.decode()
    assert out.rstrip().rpartition("\n")[2].startswith("FAILED: ")
    assert out.replace("\n", "").isprintable()
    assert name in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["summary"]["complete"] is True
    assert report["summary"]["success"] is False
    outcomes = {(r["subject"], r["outcome"]) for r in report["results"]}
    assert outcomes == {(name, "failed"), ("numpy", "passed")}
    page = _WellFormed()
    page.feed((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.scripts == 0


def _by_pytest(name: str, tmp_path: Path) -> None:
    done = python(
        *("-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "rrelu_compat.conformance"),
        *("--rrelu-subject", reference(name), "--rrelu-subject", "numpy"),
        *("--rrelu-dtype", "float32", "--rrelu-check", "dtypes.forward"),
        *("--rrelu-time-limit", str(LIMIT), "--rrelu-isolate"),
        cwd=tmp_path,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    # The two cases of each, and a test of expected failures for each.
    assert b"2 failed, 4 passed" in done.stdout, done.stdout


FAST = ["exits-0", "aborts", "surrogate", "markup[red]x[/red]", "moves"]


@pytest.mark.parametrize("name", FAST)
def test_by_the_command(name: str, tmp_path):
    _by_command(name, tmp_path)


@pytest.mark.parametrize("name", ["skips", "segfaults"])
def test_by_pytest(name: str, tmp_path):
    _by_pytest(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*hostile.HERE, *hostile.APART])
def test_all_by_the_command(name: str, tmp_path):
    _by_command(name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*hostile.HERE, *hostile.APART])
def test_all_by_pytest(name: str, tmp_path):
    _by_pytest(name, tmp_path)
