"""Random programs of nested recomputation in Paddle, and their plain runs: the same gradients, bit for bit.

The same program with dropout in the place of RReLU tells what the segment itself can't do. Left out is one
nest that Paddle gets wrong without a random layer: any segment inside one of ``use_reentrant=False``.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import paddle
from paddle.distributed.fleet.utils import recompute
from paddle.incubate.distributed.fleet import recompute_sequential

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU

WIDTH = 5
MAKES = ("plain", "reentrant", "non-reentrant", "sequential")
SOURCES = ("default", "process", "own", "framework")


class Region(paddle.nn.Layer):
    """Layers that are run, and repeated, as one."""

    def __init__(self, make: str, children: list[Any], plain: list[bool]) -> None:
        super().__init__()
        self.make, self.plain = make, plain
        self.body = paddle.nn.Sequential(*children)

    def forward(self, x: Any) -> Any:
        if self.plain[0] or self.make == "plain":
            return self.body(x)
        if self.make == "sequential":
            layers = list(
                self.body
            )  # of a Sequential Paddle would run a layer that stands there twice once
            return recompute_sequential({"segments": 1}, layers, x)
        return recompute(self.body, x, use_reentrant=self.make == "reentrant")


class Draw(paddle.nn.Layer):
    """Draws from Paddle's default generator."""

    def forward(self, x: Any) -> Any:
        return x * (1 + paddle.rand([1]))


class Program:
    """One random program; `seed` names it."""

    def __init__(self, seed: int, dropout: bool = False) -> None:
        self.dice = random.Random(seed)
        self.seed, self.dropout, self.plain = seed, dropout, [True]
        self.own = [Generator(k) for k in range(2)]
        self.framework = [paddle.base.core.Generator() for _ in range(2)]
        self.process = False
        self.layers: list[Any] = []
        paddle.seed(seed)
        self.model = Region("plain", self._children(0, False), self.plain)
        self.graphs = self.dice.choice([1, 1, 2, 3])
        self.order = self.dice.sample(range(self.graphs), self.graphs)
        self.between = [self.dice.choice(["nothing", "draw", "reseed", "train"]) for _ in range(9)]

    def _layer(self) -> Any:
        source = self.dice.choice(SOURCES)
        self.process = self.process or source == "process"
        generators = {"own": self.own, "framework": self.framework}
        generator = self.dice.choice(generators[source]) if source in generators else None
        inplace, training = self.dice.random() < 0.3, self.dice.random() < 0.8
        layer: Any = RReLU(0.05, 0.7, inplace=inplace, generator=generator)
        if self.dropout:
            layer = paddle.nn.Dropout(0.4)
        if not training:
            layer.eval()
        self.layers.append(layer)
        return layer

    def _children(self, depth: int, hooked: bool) -> list[Any]:
        children: list[Any] = [paddle.nn.Linear(WIDTH, WIDTH)]
        for _ in range(self.dice.randint(1, 4)):
            kind = self.dice.random()
            if kind < 0.45:
                children.append(self._layer())
            elif kind < 0.55 and self.layers:
                children.append(self.dice.choice(self.layers))  # one layer, several times
            elif kind < 0.65:
                children.append(paddle.nn.Dropout(0.3))
            elif kind < 0.72:
                children.append(Draw())
            elif depth < 3:
                make = "plain" if hooked else self.dice.choice(MAKES)
                inside = self._children(depth + 1, hooked or make == "non-reentrant")
                children.append(Region(make, inside, self.plain))
            children.append(paddle.nn.Linear(WIDTH, WIDTH))
        return children

    def run(self, plain: bool) -> list[Any]:
        """Return the results and gradients of one step."""
        self.plain[0] = plain
        paddle.seed(self.seed + 1)
        rrelu_compat.manual_seed(3 if self.process else None)
        for k, generator in enumerate(self.own):
            generator.reposition(k)
        for k, generator in enumerate(self.framework):
            generator.manual_seed(k)
        self.model.clear_gradients()
        between = iter(self.between)
        try:
            inputs = [paddle.randn([3, WIDTH]) for _ in range(self.graphs)]
            outputs = []
            for x in inputs:
                x.stop_gradient = False
                outputs.append(self.model(x * 1))
                self._meanwhile(next(between))
            for k in self.order:
                outputs[k].square().sum().backward()
                self._meanwhile(next(between))
        finally:
            rrelu_compat.manual_seed(None)
        grads = [p.grad for p in self.model.parameters()]
        values = [*outputs, *(x.grad for x in inputs), *grads]
        return [None if v is None else v.numpy() for v in values]

    def _meanwhile(self, what: str) -> None:
        if what == "draw":
            paddle.rand([3])
        elif what == "reseed":
            paddle.seed(self.seed % 3)
            if self.process:
                rrelu_compat.manual_seed(self.seed % 3)
        elif what == "train":
            x = paddle.randn([3])
            x.stop_gradient = False
            for generator in (None, *self.own, *self.framework):
                RReLU(generator=generator)(x).sum().backward()


def verdict(seed: int, dropout: bool = False) -> str:
    """Return "equal", or what went wrong."""
    program = Program(seed, dropout)
    expected = program.run(True)
    try:
        got = program.run(False)
    except Exception as error:
        paddle.set_grad_enabled(True)  # an error in a backward leaves it off
        return f"{type(error).__name__}: {error}"
    same = all(
        (a is b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in zip(expected, got, strict=True)
    )
    return "equal" if same else "another gradient"


def check(seeds: range) -> tuple[int, list[str]]:
    """Run programs; return how many dropout survives, and the faults of RReLU among these."""
    survived, faults = 0, []
    for seed in seeds:
        found = verdict(seed)
        if found == "equal":
            survived += 1
        elif verdict(seed, dropout=True) == "equal":
            survived += 1
            faults.append(f"program {seed}: {found}")
    return survived, faults
