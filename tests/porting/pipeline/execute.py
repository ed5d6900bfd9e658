"""Execute one stage of the snippets in a process that imports one framework only.

    python execute.py torch|paddle STAGE OUT

Writes what ``main`` returns, by snippet, mode, seed and name, to OUT.npz, and what it raises to OUT.json.
The stage "reference" is ours.py with PyTorch's drop-in in the place of Paddle's.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from pathlib import Path

import numpy as np

import rrelu_compat

HERE = Path(__file__).parent
SEEDS = (5, 6)


def source(folder: Path, stage: str) -> str:
    """Return the text of a stage."""
    if stage != "reference":
        return (folder / f"{stage}.py").read_text("utf-8")
    text = (folder / "ours.py").read_text("utf-8")
    assert "rrelu_compat.paddle" in text
    return text.replace("rrelu_compat.paddle", "rrelu_compat.torch").replace("torch_rrelu", "rrelu")


def main() -> None:
    """Carry out the command."""
    framework, stage, out = sys.argv[1:]
    other = {"torch": "paddle", "paddle": "torch"}[framework]
    module = importlib.import_module(framework)
    seed_native = module.manual_seed if framework == "torch" else module.seed
    sys.path.insert(0, str(HERE / stage))  # PaConvert's helpers
    warnings.simplefilter("ignore")
    results, errors = {}, {}
    for folder in sorted(
        original.parent
        for original in HERE.glob(f"*/{'ours' if stage == 'reference' else stage}.py")
    ):
        try:
            names = {"__name__": folder.name}
            exec(compile(source(folder, stage), f"{folder.name}/{stage}.py", "exec"), names)
            for training in (False, True):
                for seed in SEEDS:
                    rrelu_compat.manual_seed(seed)
                    seed_native(seed)
                    for name, value in names["main"](training).items():
                        key = f"{folder.name}|{training}|{seed}|{name}"
                        results[key] = np.array(value.detach().numpy())
        except Exception as error:
            errors[folder.name] = f"{type(error).__name__}: {error}"
    assert other not in sys.modules
    np.savez(f"{out}.npz", **results)
    Path(f"{out}.json").write_text(json.dumps(errors))


if __name__ == "__main__":
    main()
