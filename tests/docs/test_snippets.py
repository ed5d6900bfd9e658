"""Every snippet and command of README and docs is executed, and what it prints is compared.

The ```python blocks of a page run one after another in one fresh process. A ```text block right after
one is what it prints. ``<!-- new process -->`` before a block starts a fresh process. A ```console block
holds commands after ``$ ``: those of this package and of Python are run, and must succeed.

A page with ```python title="FILE" blocks is a walk: each such block is written to that file, and the
commands run in the same folder, in the order of the page. ``<!-- exit 1 -->`` before a console block
says how its last command ends; a ```text block right after it shows lines of the output, ``...``
standing for any number of lines.
"""

import os
import pathlib
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEW_PROCESS = "<!-- new process -->"
FENCE = re.compile(
    r"^(?P<indent> *)```(?P<kind>\w*)(?P<options>[^\n]*)\n(?P<code>.*?)^(?P=indent)```", re.M | re.S
)
MARK = "#~#~#"


@dataclass(frozen=True)
class Block:
    """A block of code; `title`: the file it is; `between`: the text before it, from the last block on."""

    kind: str
    code: str
    title: str | None
    between: str

    @property
    def exit_status(self):
        """The status that the last command of a console block ends with."""
        found = re.search(r"<!-- exit (\d+) -->", self.between)
        return int(found[1]) if found else 0

    @property
    def commands(self):
        """The commands of a console block."""
        lines = self.code.splitlines() if self.kind == "console" else []
        return [line[2:] for line in lines if line.startswith("$ ")]


def blocks(text):
    """Return the blocks of a page in order."""
    found, end = [], 0
    for match in FENCE.finditer(text):
        indent = len(match["indent"])
        code = "".join(line[indent:] for line in match["code"].splitlines(keepends=True))
        title = re.search(r'title="([^"]+)"', match["options"])
        between = text[end : match.start()]
        found.append(Block(match["kind"], code, title[1] if title else None, between))
        end = match.end()
    return found


def is_walk(text):
    """Whether a page has files to write: its blocks are steps in one folder, one after another."""
    return any(block.title for block in blocks(text))


def run(command, folder):
    """Run a command in a folder; the checkout is found even where the package is not installed."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {
        **os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore", "COLUMNS": "120",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)


def runnable(words):
    """Return the words of a command as run here, or None: installing is not for these tests."""
    if words[:3] == ["python", "-m", "venv"]:
        return None
    if words[:1] == ["rrelu-compat"]:
        return [sys.executable, "-m", "rrelu_compat", *words[1:]]
    if words[:1] == ["python"] and (words[1:2] == ["-m"] or words[1].endswith(".py")):
        return [sys.executable, *words[1:]]
    return None


def is_shown(shown, output):
    """Whether the lines shown are in the output in this order and without gaps.

    A line ``...`` stands for any lines, ``...`` inside a line for any text.
    """
    lines = [line.rstrip() for line in output.splitlines()]
    position = 0
    for part in filter(str.strip, re.split(r"^\.\.\.$", shown, flags=re.M)):
        patterns = [
            re.escape(line.rstrip()).replace(r"\.\.\.", ".*")
            for line in part.strip("\n").split("\n")
        ]
        for start in range(position, len(lines) - len(patterns) + 1):
            if all(map(re.fullmatch, patterns, lines[start : start + len(patterns)])):
                position = start + len(patterns)
                break
        else:
            return False
    return True


def name(page):
    return str(page.relative_to(ROOT))


def processes(text):
    """Return lists of (code, expected output or None), one list for each process."""
    result = []
    previous = None
    for block in blocks(text):
        if block.kind == "python" and not block.title:
            if NEW_PROCESS in block.between or not result:
                result.append([])
            result[-1].append((block.code, None))
        elif block.kind == "text" and previous and not block.between.strip():
            result[-1][-1] = (result[-1][-1][0], block.code)
        previous = block.kind == "python" and not block.title
    return result


@pytest.mark.parametrize("page", PAGES, ids=name)
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
        text = page.read_text()
        if is_walk(text):
            continue
        for block in blocks(text):
            for command in block.commands:
                words = shlex.split(command)
                # Scripts of the checkout have tests of their own.
                if runnable(words) and not words[1:2][0].endswith(".py"):
                    yield page.name, command


@pytest.mark.parametrize(("page", "command"), sorted(set(commands())))
def test_commands_of_the_pages_succeed(page, command, tmp_path):
    done = run(runnable(shlex.split(command)), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def walk(text, folder):
    """Do what a page says, in a folder; return how many commands were run."""
    output, count, command = None, 0, None
    for block in blocks(text):
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.code)
        elif block.kind == "text" and output is not None and not block.between.strip():
            assert is_shown(block.code, output), f"{command}\nprinted:\n{output}"
        output = None
        for command in block.commands:
            words = runnable(shlex.split(command))
            if words is None:
                continue
            done = run(words, folder)
            output = done.stdout + done.stderr
            count += 1
            status = block.exit_status if command == block.commands[-1] else 0
            assert done.returncode == status, f"{command}\nprinted:\n{output}"
    return count


@pytest.mark.parametrize("page", [p for p in PAGES if is_walk(p.read_text())], ids=name)
def test_the_walk_through_a_page_succeeds(page, tmp_path):
    assert walk(page.read_text(), tmp_path) > 0


def test_the_reader_of_pages_sees_blocks_outputs_and_processes():
    page = (
        "a\n```python\nx = 1\nprint(x)\n```\n```text\n1\n```\n"
        + NEW_PROCESS
        + '\n```python\ny\n```\n```python title="f.py"\nz\n```\n'
    )
    assert processes(page) == [[("x = 1\nprint(x)\n", "1\n")], [("y\n", None)]]


FILE = '```python title="f.py"\nprint("a b")\nprint("c d")\nraise SystemExit(3)\n```\n'


@pytest.mark.parametrize(
    ("page", "right"),
    [
        ("<!-- exit 3 -->\n```console\n$ python f.py\n```\n```text\na b\nc d\n```\n", True),
        ("<!-- exit 3 -->\n```console\n$ python f.py\n```\n```text\n...\nc d\n```\n", True),
        ("<!-- exit 3 -->\n```console\n$ python f.py\n```\n```text\nc d\na b\n```\n", False),
        ("<!-- exit 3 -->\n```console\n$ python f.py\n```\n```text\na b\n...\ne f\n```\n", False),
        ("```console\n$ python f.py\n```\n", False),
    ],
)
def test_a_walk_notices_a_wrong_status_and_a_wrong_output(page, right, tmp_path):
    if right:
        assert walk(FILE + page, tmp_path) == 1
    else:
        with pytest.raises(AssertionError):
            walk(FILE + page, tmp_path)


def test_a_wrong_snippet_is_noticed(tmp_path):
    done = run([sys.executable, "-c", "import rrelu_compat; rrelu_compat.nothing"], tmp_path)
    assert done.returncode != 0
