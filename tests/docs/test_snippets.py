"""Every Python snippet of README and docs is executed, and what it prints is compared.

The ```python blocks of a page run one after another in one fresh process. A ```text block right after
one is what it prints. ``<!-- new process -->`` before a block starts a fresh process. A ```console block
holds commands after ``$ ``: those of this package and of the examples are run, and must succeed.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.M | re.S
)
NEW_PROCESS = "<!-- new process -->"
MARK = "#~#~#"


def blocks(text):
    """Return (kind, code, starts a new process, the text between it and the previous block)."""
    found, end = [], 0
    for match in FENCE.finditer(text):
        between = text[end : match.start()]
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        found.append((match["kind"], code, NEW_PROCESS in between, between))
        end = match.end()
    return found


def processes(text):
    """Return lists of (code, expected output or None), one list for each process."""
    result = []
    previous = ""
    for kind, code, fresh, between in blocks(text):
        if kind == "python":
            if fresh or not result:
                result.append([])
            result[-1].append((code, None))
        elif kind == "text" and previous == "python" and not between.strip():
            result[-1][-1] = (result[-1][-1][0], code)
        previous = kind
    return result


def run(command, tmp_path, **keywords):
    # Snippets see the checkout even where the package is not installed.
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=environment, **keywords
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_snippets_run_and_print_what_the_page_says(page, tmp_path):
    for parts in processes(page.read_text()):
        code = "".join(f"{code}\nprint({MARK!r}, flush=True)\n" for code, _ in parts)
        done = run([sys.executable, "-c", code], tmp_path)
        assert done.returncode == 0, done.stderr
        printed = done.stdout.split(MARK + "\n")
        for (snippet, expected), output in zip(parts, printed, strict=False):
            if expected is not None:
                assert output == expected, f"{snippet}\nprinted:\n{output}"


def commands():
    for page in PAGES:
        for kind, code, _, _ in blocks(page.read_text()):
            if kind != "console":
                continue
            for line in code.splitlines():
                words = shlex.split(line.removeprefix("$ ")) if line.startswith("$ ") else []
                if words[:1] == ["rrelu-compat"] or words[:2] == ["python", "-m"]:
                    yield page.name, line[2:]


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_commands_of_the_pages_succeed(page, command, tmp_path):
    words = shlex.split(command)
    if words[0] == "rrelu-compat":
        words = [sys.executable, "-m", "rrelu_compat", *words[1:]]
    else:
        words[0] = sys.executable
    done = run(words, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reader_of_pages_sees_blocks_outputs_and_processes():
    page = (
        "a\n```python\nx = 1\nprint(x)\n```\n```text\n1\n```\n"
        + NEW_PROCESS
        + "\n```python\ny\n```\n"
    )
    assert processes(page) == [[("x = 1\nprint(x)\n", "1\n")], [("y\n", None)]]


def test_a_wrong_snippet_is_noticed(tmp_path):
    done = run([sys.executable, "-c", "import rrelu_compat; rrelu_compat.nothing"], tmp_path)
    assert done.returncode != 0
