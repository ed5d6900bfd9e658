"""Projects in which RReLU is handed on in roundabout ways: run before, ported, and run again."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import rrelu_compat
from rrelu_compat.porting import port_paths, write

if TYPE_CHECKING:
    from pathlib import Path

OTHER = {"torch": "paddle", "paddle": "torch"}
BLOCK = "from FW.nn.functional import rrelu\n\ndef block(x):\n    return rrelu(x, training=True)\n"
# Each is written for a framework FW; the last file's head(x) is deterministic there.
PROJECTS = {
    "a class body that rebinds an imported function": {
        "model.py": "from FW.nn.functional import rrelu\n\nclass Net:\n    rrelu = staticmethod(rrelu)\n"
        "    def go(self, x):\n        return self.rrelu(x, OFF)\n\ndef head(x):\n    return Net().go(x)\n",
    },
    "a class body after a star import": {
        "model.py": "from FW.nn.functional import *\n\nclass Net:\n    act = rrelu\n    rrelu = None\n\n"
        "def head(x):\n    return Net.act(x, OFF)\n",
    },
    "a comprehension that binds the name outside": {
        "model.py": "from FW.nn.functional import rrelu\n\n[(rrelu := one) for one in [rrelu]]\n\n"
        "def head(x):\n    return rrelu(x, OFF)\n",
    },
    "handed on twice under other names": {
        "layers.py": "from FW.nn.functional import rrelu as act_fn\n",
        "mid.py": "from layers import act_fn as act2\n\ndef twice(x):\n    return act2(act2(x, OFF), OFF)\n",
        "model.py": "from mid import act2, twice\n\ndef head(x):\n    return act2(x, OFF), twice(x)\n",
    },
    "a star import of a package that imports its module": {
        "pkg/__init__.py": "from . import layers\n",
        "pkg/layers.py": BLOCK,
        "model.py": "from pkg import *\n\ndef head(x):\n    return layers.rrelu(x, OFF)\n",
    },
    "a module through another file": {
        "layers.py": BLOCK,
        "mid.py": "import layers\n",
        "model.py": "from mid import layers\n\ndef head(x):\n    return layers.rrelu(x, OFF)\n",
    },
    "a module as attribute of another module": {
        "layers.py": BLOCK,
        "mid.py": "import layers\n",
        "model.py": "import mid\n\ndef head(x):\n    return mid.layers.rrelu(x, OFF)\n",
    },
    "a module in a list": {
        "layers.py": BLOCK,
        "model.py": "import layers\nmods = [layers]\n\ndef head(x):\n    return mods[0].rrelu(x, OFF)\n",
    },
    "a module's __dict__": {
        "layers.py": BLOCK,
        "model.py": "import layers\n\ndef head(x):\n    return layers.__dict__['rrelu'](x, OFF)\n",
    },
    "a module as attribute of a class": {
        "layers.py": BLOCK,
        "model.py": "import layers\n\nclass Net:\n    mod = layers\n    def go(self, x):\n"
        "        return self.mod.rrelu(x, OFF)\n\ndef head(x):\n    return Net().go(x)\n",
    },
    "an attribute of an object": {
        "layers.py": BLOCK + "\nclass Acts:\n    pass\n\nacts = Acts()\nacts.rrelu = rrelu\n",
        "model.py": "from layers import acts\n\ndef head(x):\n    return acts.rrelu(x, OFF)\n",
    },
    "an import in a class body": {
        "layers.py": "class Acts:\n    from FW.nn.functional import rrelu\n    rrelu = staticmethod(rrelu)\n",
        "model.py": "from layers import Acts\n\ndef head(x):\n    return Acts.rrelu(x, OFF)\n",
    },
    "the framework's module assigned in one file": {
        "compat.py": "import FW\n\nF = FW.nn.functional\n",
        "model.py": "from compat import F\n\ndef head(x):\n    return F.rrelu(x, OFF)\n",
    },
    "the framework's module returned": {
        "compat.py": "import FW\n\ndef functional():\n    return FW.nn.functional\n",
        "model.py": "from compat import functional\n\ndef head(x):\n    return functional().rrelu(x, OFF)\n",
    },
    "a star import that __all__ narrows": {
        "layers.py": "from FW.nn.functional import rrelu\n\n__all__ = ['other']\n\ndef other(x):\n    return x\n",  # noqa: E501
        "model.py": "from FW.nn.functional import rrelu\nfrom layers import *\n\ndef head(x):\n"
        "    return other(rrelu(x, OFF))\n",
    },
    "a name that a star import would bind over there": {
        "layers.py": "import FW.nn.functional as F\n\ndef block(x):\n    return F.rrelu(x, training=True)\n",
        "model.py": "from FW.nn.functional import rrelu\nfrom layers import *\n\ndef head(x):\n"
        "    return rrelu(x, OFF)\n",
    },
    "a star import that is read before an import": {
        "model.py": "from FW.nn.functional import *\nact = rrelu\nfrom FW.nn.functional import rrelu\n\n"
        "def head(x):\n    return act(x, OFF)\n",
    },
    "a dynamic look-up": {
        "model.py": "import FW.nn.functional as F\n\nNAME = {'act': 'rre' + 'lu'}\n\ndef head(x):\n"
        "    return getattr(F, NAME['act'])(x, OFF)\n",
    },
    "identity, names and positions": {
        "model.py": "import functools, inspect\nfrom FW.nn.functional import rrelu\n\nTABLE = {rrelu: 'it'}\n\n"  # noqa: E501
        "@functools.wraps(rrelu)\ndef act(x):\n    return TABLE[rrelu], rrelu(x, 0.1, 0.2, False)\n\n"
        "def head(x):\n    return act(x), act.__name__, inspect.isfunction(rrelu)\n",
    },
    "an import of the project with side effects": {
        "layers.py": BLOCK.replace("\n\ndef", "\nfrom registry import register\n\nregister('block')\n\ndef"),
        "registry.py": "NAMES = []\nregister = NAMES.append\n",
        "model.py": "import layers\nfrom registry import NAMES\n\ndef head(x):\n"
        "    return layers.rrelu(x, OFF), NAMES\n",
    },
    "a module that another file takes from here": {
        "layers.py": "import FW.nn.functional as F\n\ndef block(x):\n    return F.rrelu(x, OFF)\n",
        "model.py": "from layers import F, block\n\ndef head(x):\n    return block(x), F.relu(x)\n",
    },
}  # fmt: skip
# What stays as it is, and is reported; everything else is complete and gives the same.
BY_HAND = {
    "a star import of a package that imports its module",
    "a module in a list",
    "an import in a class body",
    "the framework's module returned",
    "a dynamic look-up",
}


def run(folder: Path, framework: str) -> list[Any]:
    """Return what head gives, twice, where it is the same both times."""
    module = pytest.importorskip(framework)
    make = module.tensor if framework == "torch" else module.to_tensor
    x = make(-np.linspace(0.5, 2.0, 64, dtype=np.float32))
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    try:
        head = __import__("model").head
        one, two = flat(head(x)), flat(head(x))
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            if name.split(".")[0] in ("model", "layers", "mid", "pkg", "compat", "registry"):
                del sys.modules[name]
    return one if one == two else ["random"]


def flat(value: Any) -> list[Any]:
    if isinstance(value, (list, tuple)):
        return [each for one in value for each in flat(one)]
    return value.numpy().round(5).tolist() if hasattr(value, "numpy") else [value]


@pytest.mark.parametrize("target", ["other", "neutral"])
@pytest.mark.parametrize("framework", ["torch", "paddle"])
@pytest.mark.parametrize("kind", PROJECTS)
def test_means_the_same(kind: str, framework: str, target: str, tmp_path: Path) -> None:
    off = {"torch": "lower=0.1", "paddle": "training=False"}[framework]
    for name, text in PROJECTS[kind].items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("FW", framework).replace("OFF", off))
    before = run(tmp_path, framework)
    assert before != ["random"]
    runs_in = OTHER[framework]
    report = port_paths([tmp_path], runs_in if target == "other" else "neutral")
    write(report)
    for file in tmp_path.rglob("*.py"):  # what a general converter does with the other names
        text = re.sub(rf"(?<!rrelu_compat\.)\b{framework}\b(?!_)", runs_in, file.read_text())
        file.write_text(text)
    if not report.complete:
        assert kind in BY_HAND
        return
    rrelu_compat.set_default_backend(runs_in)
    try:
        after = run(tmp_path, runs_in)
    finally:
        rrelu_compat.set_default_backend(None)
    assert len(after) == len(before)
    for one, two in zip(before, after, strict=True):
        assert one == (pytest.approx(two, abs=2e-5) if isinstance(one, float) else two)
    assert kind not in BY_HAND, "complete now: take it out of the list"


def test_a_port_in_two_steps(tmp_path: Path) -> None:
    """The second run takes what the first has written for what it is."""
    (tmp_path / "layers.py").write_text(BLOCK.replace("FW", "torch"))
    model = "from layers import rrelu\n\ndef head(x):\n    return rrelu(x)\n"
    (tmp_path / "model.py").write_text(model)
    write(port_paths([tmp_path / "layers.py"], "paddle"))
    report = port_paths([tmp_path], "paddle")
    assert report.complete
    assert not report.count("rewritten")
    np.testing.assert_allclose(
        run(tmp_path, "paddle"), 11 / 48 * -np.linspace(0.5, 2, 64), atol=2e-5
    )
