"""Inputs follow from the profile's seed and the case alone, whatever the surroundings are."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import hashlib, sys
import numpy as np
{before}
from rrelu_compat.conformance import check_subject
from rrelu_adapters.reference import Reference

class Noting(Reference):
    '''Notes every number that it is given.'''

    def note(self, *things):
        for thing in things:
            data = thing.tobytes() if isinstance(thing, np.ndarray) else repr(thing).encode()
            digest.update(data)

    def from_numpy(self, array, *, device):
        self.note(array.shape, array.strides, str(array.dtype), np.ascontiguousarray(array))
        return super().from_numpy(array, device=device)

    def vjp(self, x, lower, upper, **keywords):
        self.note(repr(lower) if not isinstance(lower, np.ndarray) else lower, repr(upper))
        return super().vjp(x, lower, upper, **keywords)

    def seed(self, n):
        self.note(n)
        super().seed(n)

digest = hashlib.sha256()
results = check_subject(Noting(), dtypes=["float32"], seed={seed}, max_examples=4,
                        checks={checks})
for result in results:
    digest.update(f"{{result.id}} {{result.outcome}} {{result.examples}}".encode())
print(len(results), digest.hexdigest())
"""
CHECKS = [
    *("forward.*", "evaluation.*", "bounds.*", "special.*", "layout.*", "gradient.*"),
    *("inplace.*", "seeding.*", "distribution.mean", "transforms.*", "recompute.*", "portable.*"),
]


def digest(folder: Path, seed: int = 0, before: str = "", checks: list[str] = CHECKS, **variables):
    code = PROGRAM.format(before=before, seed=seed, checks=checks)
    path = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    count, hexadecimal = done.stdout.split()
    assert int(count) > 0
    return hexadecimal


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> str:
    return digest(tmp_path_factory.mktemp("plain"), PYTHONHASHSEED="1")


@pytest.mark.parametrize(
    "before",
    [
        # Constants of modules around it are what newer versions of Hypothesis draw from.
        "NUMBERS = [3.14159, 2718281828, -0.577]; WORDS = ['surroundings', '\\u2713']",
        "import random; random.seed(99); np.random.seed(7)",
        "import hypothesis, decimal, statistics; np.seterr(all='raise')",
        "import os; os.environ['TZ'] = 'Asia/Tokyo'; sys.setrecursionlimit(4000)",
    ],
)
def test_other_surroundings_change_no_input(plain: str, tmp_path: Path, before: str):
    assert digest(tmp_path, before=before, PYTHONHASHSEED="2") == plain


def test_another_seed_changes_inputs(plain: str, tmp_path: Path):
    assert digest(tmp_path, seed=1) != plain


def test_hypothesis_is_not_asked(plain: str, tmp_path: Path):
    """No version of it can change an input, for it is not even imported."""
    before = "sys.modules['hypothesis'] = None"
    assert digest(tmp_path, before=before) == plain


def test_a_case_has_the_same_inputs_alone(tmp_path: Path):
    """The inputs of a case do not depend on the cases before it."""
    from rrelu_adapters.reference import Reference

    from rrelu_compat.conformance import check_subject
    from rrelu_compat.conformance.case_run import case_seed
    from rrelu_compat.conformance.profiles import PROFILES
    from rrelu_compat.conformance.registry import cases

    given: dict[bool, list[bytes]] = {True: [], False: []}
    wanted = "gradient.linear"

    class Noting(Reference):
        alone = True

        def from_numpy(self, array, *, device):
            given[self.alone].append(array.tobytes())
            return super().from_numpy(array, device=device)

    subject = Noting()
    ids = [c.id for c in cases(subject) if c.check.id == wanted and c.dtype == "float32"]
    check_subject(subject, checks=ids)
    subject.alone = False
    check_subject(subject, dtypes=["float32"], checks=["gradient.at-zero", wanted])
    whole = given[False]
    assert given[True]
    assert whole[-len(given[True]) :] == given[True]
    seeds = {case_seed(c, PROFILES["quick"]) for c in cases(subject)}
    assert len(seeds) > 0.99 * len(list(cases(subject)))
