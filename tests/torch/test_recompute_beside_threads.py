"""Checkpointed steps beside threads that draw, and in several threads: the gradients of the plain run."""

from __future__ import annotations

import itertools
import threading

import pytest
import torch
from random_checkpoints import PLAIN, Region
from torch import nn

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU

#: Makes whose key is order: all of PyTorch's own.
MAKES = ("non-reentrant", "to the end", "reentrant", "selective")
SOURCES = ("own", "process", "framework")


def _draw():
    torch.rand(3)


def _train():
    x = torch.randn(3, 5, requires_grad=True)
    nn.functional.dropout(x, 0.5).sum().backward()


OWN = Generator(5)


def _ours():
    RReLU(generator=OWN)(torch.randn(3, requires_grad=True)).sum().backward()


def _checkpointed():
    x = torch.randn(3, 5, requires_grad=True)
    Region("non-reentrant", [nn.Linear(5, 5), RReLU()])(x).sum().backward()


BESIDE = {"draw": _draw, "train": _train, "ours": _ours, "checkpointed": _checkpointed}


class Model:
    """A checkpointed step, and its gradients worked out from the slopes that its forward drew."""

    def __init__(self, make, source):
        self.layers = [
            RReLU(0.1, 0.9, generator=Generator(2) if source == "own" else None) for _ in range(2)
        ]
        inner = [self.layers[1], nn.Linear(5, 5)]
        self.region = Region(
            make,
            [
                nn.Linear(5, 5),
                self.layers[0],
                Region(make, [nn.Linear(5, 5), *inner]),
                self.layers[0],
            ],
        )
        self.slopes = []

    def step(self):
        """Return whether the gradients are those of the slopes that the forward used."""
        linears = [m for m in self.region.modules() if isinstance(m, nn.Linear)]
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(1)).double()
        self.region.double().zero_grad()
        seen = []
        handles = [
            layer.register_forward_hook(lambda m, a, y: seen.append((a[0].detach(), y.detach())))
            for layer in dict.fromkeys(self.layers)
        ]
        try:
            x.requires_grad_()
            y = self.region(x)
            forward = list(seen)
        finally:
            for handle in handles:
                handle.remove()
        y.sum().backward()
        # The plain network with the slopes of the forward, as multipliers.
        many = iter([torch.where(a >= 0, torch.ones_like(a), b / a) for a, b in forward])
        assert len(forward) == 3
        got = [x.grad.clone(), *(m.weight.grad.clone() for m in linears)]
        for m in linears:
            m.zero_grad()
        h = x.detach().requires_grad_()
        z = linears[0](h) * next(many)
        z = linears[2](linears[1](z) * next(many))
        (z * next(many)).sum().backward()
        expected = [h.grad, *(m.weight.grad for m in linears)]
        return all(
            torch.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(got, expected, strict=True)
        )


def steps_beside(beside, make, source, steps):
    """Return how many steps were right; whatever a step raises ends the test."""
    PLAIN[0] = False
    rrelu_compat.manual_seed(4 if source == "process" else None)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            BESIDE[beside]()

    thread = threading.Thread(target=work)
    thread.start()
    model = Model(make, source)
    try:
        return sum(model.step() for _ in range(steps))
    finally:
        stop.set()
        thread.join()
        rrelu_compat.manual_seed(None)


def steps_in_threads(make, source, threads, steps):
    """Return how many steps of several threads were right."""
    PLAIN[0] = False
    rrelu_compat.manual_seed(4 if source == "process" else None)
    right, errors = [], []

    def work():
        model = Model(make, source)
        try:
            right.extend(model.step() for _ in range(steps))
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    rrelu_compat.manual_seed(None)
    assert errors == []
    return sum(right)


CASES = list(itertools.product(BESIDE, MAKES, SOURCES))


@pytest.mark.parametrize(("beside", "make", "source"), CASES)
def test_steps_beside_a_thread(beside, make, source):
    assert steps_beside(beside, make, source, 10) == 10


@pytest.mark.parametrize("make", MAKES)
@pytest.mark.parametrize("source", SOURCES)
def test_steps_in_six_threads(make, source):
    assert steps_in_threads(make, source, 6, 5) == 30


@pytest.mark.slow
def test_twenty_thousand_steps_beside_threads():
    count = right = 0
    for beside, make, source in CASES:
        right += steps_beside(beside, make, source, 320)
        count += 320
    for make in MAKES:
        for source in SOURCES:
            right += steps_in_threads(make, source, 6, 70)
            count += 6 * 70
    assert right == count >= 20_000
