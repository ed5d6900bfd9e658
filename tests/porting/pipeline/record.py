"""Record anew what the pipeline of the snippets in this folder gives at each stage.

    python tests/porting/pipeline/record.py            # writes ours.py, converted.py, alone.py, record.json
    python tests/porting/pipeline/record.py --into DIR # writes them there

``original.py`` is a program for PyTorch: its ``main(training)`` returns tensors by name. ``ours.py`` is what
``rrelu-compat port --to paddle`` makes of it, ``converted.py`` what PaConvert makes of ``ours.py``, and
``alone.py``, for contrast and for three of them, what PaConvert makes of the original. PaConvert
runs in an environment of its own,
made from requirements.txt; ``--paconvert FILE`` names a command that is there already.

A new snippet is a folder with an ``original.py``. Some calls PaConvert 3.3.1 does not get right, whatever
becomes of RReLU, and the snippets do without them:

- ``torch.optim.SGD`` and ``torch.log_softmax``: left as they are, behind a mark that is no Python;
- ``torch.utils.data``: becomes ``paddle.utils.data``, which does not exist;
- ``module.to(torch.float64)``: raises in Paddle (``module.double()`` works);
- ``running_mean`` and ``running_var`` of a normalisation: not renamed, so they raise;
- ``parameters()`` of a network with normalisation: in Paddle the statistics are among them.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from rrelu_compat.porting import port_source

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "requirements.txt"
SNIPPETS = sorted(folder.parent.name for folder in HERE.glob("*/original.py"))
# PaConvert without our step, for contrast: one that comes out right, one that is wrong, one that raises.
ALONE = ("conv_net", "default_mode", "residual_block")
# Functions that PaConvert writes next to what it converts, for all of a folder.
HELPERS = "paddle_utils.py"


def pinned() -> str:
    """Return the version of PaConvert."""
    found = re.search(r"(?m)^paconvert==(\S+)$", REQUIREMENTS.read_text("utf-8"))
    assert found is not None
    return found.group(1)


def install(folder: Path) -> Path:
    """Make an environment with PaConvert; return its command."""
    venv.create(folder, with_pip=True)
    bin_ = folder / ("Scripts" if sys.platform == "win32" else "bin")
    command = [bin_ / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "-r", str(REQUIREMENTS)], check=True)
    return bin_ / "paconvert"


def ours(name: str) -> str:
    """Return a snippet with its RReLUs rewritten."""
    report = port_source((HERE / name / "original.py").read_text("utf-8"), "paddle")
    assert not report.error, report.error
    return report.after


def convert(command: Path, sources: dict[str, str]) -> tuple[dict[str, str], str, dict[str, int]]:
    """Run PaConvert over sources; return what comes out, the helpers, and its own count of calls."""
    with tempfile.TemporaryDirectory() as work:
        inside, outside = Path(work, "in"), Path(work, "out")
        inside.mkdir()
        for name, source in sources.items():
            (inside / f"{name}.py").write_text(source, "utf-8")
        done = subprocess.run(
            [command, "-i", str(inside), "-o", str(outside)],
            check=True,
            capture_output=True,
            text=True,
            cwd=work,
        )
        # It writes down where it wrote its helpers.
        results = {
            name: (outside / f"{name}.py").read_text("utf-8").replace(str(outside), ".")
            for name in sources
        }
        helpers = outside / HELPERS
        text = helpers.read_text("utf-8") if helpers.exists() else ""
    said = done.stdout + done.stderr
    counts = {
        word: int(found[-1])
        for word, pattern in (
            ("converted", r"(\d+)  Pytorch APIs have been converted"),
            ("not supported", r"(\d+)  Pytorch APIs are not supported"),
        )
        if (found := re.findall(pattern, said))
    }
    return results, text, counts


def record(command: Path, into: Path) -> None:
    """Write every stage of every snippet."""
    rewritten = {name: ours(name) for name in SNIPPETS}
    originals = {name: (HERE / name / "original.py").read_text("utf-8") for name in ALONE}
    summary: dict[str, object] = {"paconvert": pinned(), "snippets": len(SNIPPETS)}
    for stage, sources in (("converted", rewritten), ("alone", originals)):
        results, helpers, summary[stage] = convert(command, sources)
        (into / stage).mkdir(parents=True, exist_ok=True)
        (into / stage / HELPERS).write_text(helpers, "utf-8")
        for name, text in results.items():
            (into / name).mkdir(parents=True, exist_ok=True)
            (into / name / f"{stage}.py").write_text(text, "utf-8")
    for name, text in rewritten.items():
        (into / name / "ours.py").write_text(text, "utf-8")
    (into / "record.json").write_text(json.dumps(summary, indent=1) + "\n", "utf-8")


def main() -> None:
    """Carry out the command."""
    parser = argparse.ArgumentParser(description="Record the pipeline's stages anew.")
    parser.add_argument("--into", type=Path, default=HERE, metavar="DIR")
    parser.add_argument("--paconvert", type=Path, metavar="FILE", help="its command")
    arguments = parser.parse_args()
    if arguments.paconvert:
        record(arguments.paconvert.absolute(), arguments.into)
        return
    work = Path(tempfile.mkdtemp())
    try:
        record(install(work / "venv"), arguments.into)
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
