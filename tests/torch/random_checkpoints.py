"""Random programs of nested checkpoints, and their plain runs: the gradients must be the same, bit for bit.

A program is a tree. Its leaves are layers, draws and reseeding; its branches are regions of every make that
repeats a forward. The same program with dropout in the place of RReLU tells what the region itself can't do.
"""

from __future__ import annotations

import functools
import random
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU, rrelu

WIDTH = 5
MAKES = ("plain", "hooks", "non-reentrant", "to the end", "reentrant", "selective", "other")
SOURCES = ("framework", "process", "own", "torch", "by name")


class Other(torch.autograd.Function):
    """A checkpoint as other libraries have it: sets PyTorch's generator back and runs the forward again."""

    @staticmethod
    def forward(ctx: Any, run: Any, x: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
        ctx.run, ctx.state = run, torch.get_rng_state()
        ctx.save_for_backward(x)
        with torch.no_grad():
            return run(x)

    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> tuple[Any, ...]:
        (x,) = ctx.saved_tensors
        x = x.detach().requires_grad_()
        now = torch.get_rng_state()
        torch.set_rng_state(ctx.state)
        with torch.enable_grad():
            y = ctx.run(x)
        torch.set_rng_state(now)
        torch.autograd.backward(y, g)
        return None, x.grad, None


def _policy(save: bool, *_: Any, **__: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if save else CheckpointPolicy.PREFER_RECOMPUTE


class Region(nn.Module):
    """Children that are run, and repeated, as one."""

    def __init__(self, make: str, children: list[nn.Module]) -> None:
        super().__init__()
        self.make = make
        self.body = nn.Sequential(*children)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if PLAIN[0] or self.make == "plain":
            return self.body(x)
        if self.make == "hooks":
            with torch.autograd.graph.save_on_cpu():
                return self.body(x)
        if self.make == "reentrant":
            return checkpoint(self.body, x, use_reentrant=True)
        if self.make == "to the end":
            with set_checkpoint_early_stop(False):
                return checkpoint(self.body, x, use_reentrant=False)
        if self.make == "selective":
            contexts = functools.partial(
                create_selective_checkpoint_contexts, functools.partial(_policy, False)
            )
            return checkpoint(self.body, x, use_reentrant=False, context_fn=contexts)
        if self.make == "other":
            return Other.apply(self.body, x, torch.zeros(1, requires_grad=True))
        return checkpoint(self.body, x, use_reentrant=False)


PLAIN = [False]


class Made(nn.Module):
    """A call with a generator that is made for it."""

    def __init__(self, seed: int, own: bool) -> None:
        super().__init__()
        self.seed, self.own = seed, own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        generator = Generator(self.seed) if self.own else torch.Generator().manual_seed(self.seed)
        return rrelu(x, 0.1, 0.6, True, generator=generator)


class Backward(nn.Module):
    """Goes back through a graph of its own, and scales its input by what comes out."""

    def __init__(self, region: Region) -> None:
        super().__init__()
        self.region = region

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = [p for p in self.region.parameters() if p.requires_grad]
        with torch.enable_grad():
            z = torch.ones(2, WIDTH, requires_grad=True)
            for p in weights:
                p.requires_grad_(False)  # their gradients are those of the whole program
            self.region(z * 1).square().sum().backward()
            for p in weights:
                p.requires_grad_(True)
        return x * z.grad.sum().tanh()


class Draw(nn.Module):
    """Draws from PyTorch's generator, or reseeds it."""

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        self.seed = seed

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.seed is not None:
            torch.manual_seed(self.seed)
        return x * (1 + torch.rand(1).item())


class Program:
    """One random program; `seed` names it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.generators = {
            "own": [Generator(k) for k in range(2)],
            "torch": [torch.Generator() for _ in range(2)],
        }
        self.process = False
        self.layers: list[RReLU] = []
        torch.manual_seed(seed)
        self.model = Region("plain", self._children(0, False))
        self.graphs = self.dice.choice([1, 1, 2, 3])
        self.order = self.dice.sample(range(self.graphs), self.graphs)
        self.between = [self.dice.choice(["nothing", "draw", "reseed", "train"]) for _ in range(9)]

    def _layer(self) -> nn.Module:
        source = self.dice.choice(SOURCES)
        self.process = self.process or source == "process"
        generator: Any = None
        if source in self.generators:
            generator = self.dice.choice(self.generators[source])
        elif source == "by name":
            generator = torch.default_generator
        layer = RReLU(0.05, 0.7, self.dice.random() < 0.3, generator=generator)
        layer.train(self.dice.random() < 0.8)
        self.layers.append(layer)
        return layer

    def _children(self, depth: int, foreign: bool) -> list[nn.Module]:
        # A region may be repeated, so its first operation leaves its input alone.
        children: list[nn.Module] = [nn.Linear(WIDTH, WIDTH)]
        for _ in range(self.dice.randint(1, 4)):
            kind = self.dice.random()
            if kind < 0.4:
                children.append(self._layer())
            elif kind < 0.5 and self.layers:
                children.append(self.dice.choice(self.layers))  # one layer, several times
            elif kind < 0.6:
                children.append(nn.Dropout(0.3))
            elif kind < 0.63:
                children.append(nn.LeakyReLU())
            elif kind < 0.65:
                children.append(Made(self.dice.randint(0, 9), self.dice.random() < 0.5))
            elif kind < 0.67 and depth < 3 and not foreign:
                make = self.dice.choice([make for make in MAKES if make != "other"])
                children.append(Backward(Region(make, self._children(depth + 2, False))))
            elif kind < 0.72:
                # In a Function of another make reseeding gives two calls one number.
                reseed = self.dice.random() < 0.4 and not foreign
                children.append(Draw(self.dice.randint(0, 3) if reseed else None))
            elif depth < 3:
                make = self.dice.choice(MAKES)
                inside = foreign or make == "other"
                children.append(Region(make, self._children(depth + 1, inside)))
            children.append(nn.Linear(WIDTH, WIDTH))
        return children

    def run(self, plain: bool) -> list[torch.Tensor]:
        """Return the results and gradients of one step."""
        PLAIN[0] = plain
        torch.manual_seed(self.seed + 1)
        rrelu_compat.manual_seed(3 if self.process else None)
        for k, generator in enumerate(self.generators["own"]):
            generator.reposition(k)
        for k, generator in enumerate(self.generators["torch"]):
            generator.manual_seed(k)
        self.model.zero_grad()
        between = iter(self.between)
        try:
            inputs = [torch.randn(3, WIDTH, requires_grad=True) for _ in range(self.graphs)]
            outputs = []
            for x in inputs:
                outputs.append(self.model(x * 1))
                self._meanwhile(next(between))
            for k in self.order:
                outputs[k].square().sum().backward()
                self._meanwhile(next(between))
        finally:
            rrelu_compat.manual_seed(None)
        grads = [p.grad for p in self.model.parameters() if p.grad is not None]
        return [y.detach() for y in outputs] + [x.grad for x in inputs] + grads

    def _meanwhile(self, what: str) -> None:
        if what == "draw":
            torch.rand(3)
        elif what == "reseed":
            torch.manual_seed(self.seed % 3)
        elif what == "train":
            RReLU()(torch.randn(3, requires_grad=True)).sum().backward()

    def with_dropout(self) -> None:
        """Put dropout in the place of every RReLU."""
        for module in self.model.modules():
            if isinstance(module, nn.Sequential):
                for name, child in list(module.named_children()):
                    if isinstance(child, RReLU):
                        setattr(module, name, nn.Dropout(0.4, child.inplace).train(child.training))
                    elif isinstance(child, Made):
                        setattr(module, name, nn.Dropout(0.4))


def verdict(program: Program) -> str:
    """Return "equal", or what went wrong."""
    expected = program.run(True)
    try:
        got = program.run(False)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    same = len(got) == len(expected) and all(map(torch.equal, expected, got))
    return "equal" if same else "another gradient"


def check(seeds: range) -> tuple[int, list[str]]:
    """Run programs; return how many dropout survives, and the faults of RReLU among these."""
    survived, faults = 0, []
    for seed in seeds:
        found = verdict(Program(seed))
        if found == "equal":
            survived += 1
            continue
        twin = Program(seed)
        twin.with_dropout()
        if verdict(twin) == "equal":
            survived += 1
            faults.append(f"program {seed}: {found}")
    return survived, faults
