"""Ours first, then PaConvert: whole programs taken from PyTorch to Paddle, run there, and compared.

The stages are recorded (see record.py), because PaConvert needs an environment of its own; the slow test
records them anew. What a snippet returns is compared by name: outputs, gradients, losses, weights after
training.

- In evaluation: the original in PyTorch with its native RReLU, and the converted program in Paddle.
- In training the native slopes can't be compared with anything, so there the other side is ours.py with
  PyTorch's drop-in, which has the slopes that Paddle's drop-in has under the same seed. In evaluation that
  program and the original give the same bits, and in training both are random in the same places.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rrelu_compat.porting import port_source

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SNIPPETS = sorted(folder.parent.name for folder in HERE.glob("*/original.py"))
STAGES = {"original": "torch", "reference": "torch", "converted": "paddle", "alone": "paddle"}
# Of the largest value in each array. Paddle keeps the epsilon of a normalisation and an optimizer's
# constants in float32, also where everything else is float64.
TOLERANCE = {"float64": 1e-12, "float32": 2e-6}
LOOSER = {"batch_norm": 1e-9, "residual_block": 1e-11, "attention": 1e-11, "training_loop": 1e-7}
# What PaConvert alone makes of three originals. Wrong: it runs, and gives something else.
ALONE = {"conv_net": "right", "default_mode": "wrong", "residual_block": "raises"}
# Mentions that nobody can follow, and that are right as they stand.
BY_HAND = {"registry": 1}


def _record() -> Any:
    spec = importlib.util.spec_from_file_location("pipeline_record", HERE / "record.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


record = _record()


def floats(values: dict[str, Any]) -> dict[str, Any]:
    """Leave counts and classes out: they may come out the same with other slopes."""
    return {name: value for name, value in values.items() if value.dtype.kind == "f"}


class Run:
    """What all snippets gave at one stage."""

    def __init__(self, stage: str, out: Path) -> None:
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        command = [sys.executable, str(HERE / "execute.py"), STAGES[stage], stage, str(out)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path}, timeout=300)
        with np.load(f"{out}.npz") as arrays:
            self._arrays = dict(arrays)
        self.errors: dict[str, str] = json.loads(Path(f"{out}.json").read_text())

    def values(self, snippet: str, training: bool, seed: int = 5) -> dict[str, Any]:
        start = f"{snippet}|{training}|{seed}|"
        return {
            key.removeprefix(start): value
            for key, value in self._arrays.items()
            if key.startswith(start)
        }

    def random(self, snippet: str, training: bool) -> set[str]:
        """Return the names of what depends on the seed."""
        one, other = (floats(self.values(snippet, training, seed)) for seed in (5, 6))
        return {name for name in one if not np.array_equal(one[name], other[name])}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    """Every stage, executed."""
    folder = tmp_path_factory.mktemp("pipeline")
    return {stage: Run(stage, folder / stage) for stage in STAGES}


def same(one: dict[str, Any], other: dict[str, Any], looser: float = 0.0) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        got = other[name]
        assert got.shape == value.shape, name
        assert got.dtype == value.dtype, name
        assert np.isfinite(value).all(), name
        tolerance = max(TOLERANCE.get(str(value.dtype), 0.0), looser)
        error = np.abs(got - value).max() / np.abs(value).max()
        assert error <= tolerance, f"{name}: {error}"


def test_snippets_and_their_record() -> None:
    assert len(SNIPPETS) >= 12
    recorded = json.loads((HERE / "record.json").read_text("utf-8"))
    assert recorded["paconvert"] == record.pinned()
    assert recorded["snippets"] == len(SNIPPETS)
    assert recorded["converted"]["not supported"] == 0


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_ours_is_what_the_rewriter_makes(snippet: str) -> None:
    report = port_source((HERE / snippet / "original.py").read_text("utf-8"), "paddle")
    assert report.after == (HERE / snippet / "ours.py").read_text("utf-8")
    assert report.count("rewritten") >= 1
    assert report.count("by hand") == BY_HAND.get(snippet, 0)


def test_our_calls_are_left_alone() -> None:
    for snippet in SNIPPETS:
        converted = (HERE / snippet / "converted.py").read_text("utf-8")
        assert "rrelu_compat.paddle" in converted, snippet
        rest = converted.replace("PyTorch", "").replace("torch_rrelu", "")
        assert "torch" not in rest, snippet
        assert "paddle.nn.RReLU" not in converted, snippet
        assert "functional.rrelu" not in converted, snippet


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_evaluation(snippet: str, runs: dict[str, Run]) -> None:
    assert snippet not in runs["original"].errors
    assert runs["converted"].errors.get(snippet) is None
    original = runs["original"].values(snippet, False)
    same(original, runs["converted"].values(snippet, False), LOOSER.get(snippet, 0.0))
    assert not runs["converted"].random(snippet, False)
    reference = runs["reference"].values(snippet, False)
    for name, value in original.items():
        np.testing.assert_array_equal(reference[name], value, err_msg=name)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_training(snippet: str, runs: dict[str, Run]) -> None:
    assert runs["reference"].errors.get(snippet) is None
    for seed in (5, 6):
        reference = runs["reference"].values(snippet, True, seed)
        converted = runs["converted"].values(snippet, True, seed)
        same(reference, converted, LOOSER.get(snippet, 0.0))
    random = runs["original"].random(snippet, True)
    assert random
    assert runs["converted"].random(snippet, True) == random
    # Where no slope takes part, the native's values are the converted program's.
    original, converted = (
        floats(runs[stage].values(snippet, True)) for stage in ("original", "converted")
    )
    for name in original.keys() - random:
        same({name: original[name]}, {name: converted[name]}, LOOSER.get(snippet, 0.0))


def verdict(runs: dict[str, Run], snippet: str) -> str:
    """Return "right", "wrong" or "raises" for what PaConvert alone made."""
    if snippet in runs["alone"].errors:
        return "raises"
    try:
        same(
            runs["original"].values(snippet, False),
            runs["alone"].values(snippet, False),
            max(LOOSER.get(snippet, 0.0), 1e-5),
        )
        assert runs["alone"].random(snippet, True) == runs["original"].random(snippet, True)
    except AssertionError:
        return "wrong"
    return "right"


def test_paconvert_alone(runs: dict[str, Run]) -> None:
    """The same programs without our step: what three of them mean in Paddle."""
    assert {snippet: verdict(runs, snippet) for snippet in ALONE} == ALONE


@pytest.fixture(scope="module")
def paconvert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PaConvert's command, in an environment of its own."""
    command: Path = record.install(tmp_path_factory.mktemp("paconvert") / "venv")
    return command


@pytest.mark.slow
def test_recorded_anew(tmp_path: Path, paconvert: Path) -> None:
    """PaConvert gives again what is recorded."""
    record.record(paconvert, tmp_path)
    written = sorted(file for file in tmp_path.rglob("*") if file.is_file())
    assert len(written) == 2 * len(SNIPPETS) + len(ALONE) + 3
    for file in written:
        kept = HERE / file.relative_to(tmp_path)
        assert file.read_text("utf-8") == kept.read_text("utf-8"), kept.name


@pytest.mark.slow
def test_the_network_of_the_guide(paconvert: Path) -> None:
    """The guide's network, rewritten and converted, is what the guide shows."""
    page = (ROOT / "docs" / "porting.md").read_text("utf-8")
    files = dict(re.findall(r'(?ms)^```python title="([^"]+)"\n(.*?)^```', page))
    assert f"pip install paconvert=={record.pinned()}" in page
    ours = port_source(files["model/net.py"], "neutral").after
    assert (
        record.convert(paconvert, {"net": ours})[0]["net"].strip() == files["port/net.py"].strip()
    )
