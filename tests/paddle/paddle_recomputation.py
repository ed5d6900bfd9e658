"""What the tests of recomputation share: the places slopes come from, and runs with and without."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU, rrelu

SOURCES = ("own", "process", "framework", "default")

VARIANTS = (True, False)


class Source:
    """One of the places slopes come from, set to the same start every time."""

    def __init__(self, kind):
        self.kind = kind
        paddle.seed(11)
        rrelu_compat.manual_seed(5 if kind == "process" else None)
        self.generator = None
        if kind == "own":
            self.generator = Generator(7)
        elif kind == "framework":
            self.generator = paddle.base.core.Generator()
            self.generator.manual_seed(3)

    def layer(self, inplace=False):
        return RReLU(0.1, 0.9, inplace=inplace, generator=self.generator)

    def position(self):
        """What the next training call would draw."""
        return rrelu(paddle.full([3], -1.0), 0.1, 0.9, generator=self.generator).tolist()


def runner(use_recompute, reentrant):
    def run(function, *args):
        if use_recompute:
            return recompute(function, *args, use_reentrant=reentrant)
        return function(*args)

    return run


def weights(*shapes):
    rng = np.random.default_rng(1)
    return [
        paddle.to_tensor(rng.standard_normal(s).astype("float32"), stop_gradient=False)
        for s in shapes
    ]


def both(kind, reentrant, program):
    """Run `program(source, run)` without and with recomputation; the results must agree."""
    results = []
    for use_recompute in (False, True):
        source = Source(kind)
        values = program(source, runner(use_recompute, reentrant))
        values = [v.numpy() for v in values]
        results.append([*values, np.array(source.position())])
    plain, repeated = results
    assert len(plain) == len(repeated)
    for a, b in zip(plain, repeated, strict=True):
        assert np.array_equal(a, b)
    # A check that can fail: another start gives other results.
    assert np.abs(plain[0]).max() > 0
    return plain


everywhere = pytest.mark.parametrize("kind", SOURCES)

both_variants = pytest.mark.parametrize("reentrant", VARIANTS)
