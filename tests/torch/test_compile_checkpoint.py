"""Compiled functions and checkpoints in one another, and compiled autograd: gradients as in eager."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU

BACKENDS = ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()
    gc.collect()  # an exception that a test caught keeps its graphs in a cycle


def assert_same(definition, a, b):
    assert all(definition.same_bits(u, v) for u, v in zip(a, b, strict=True))


@pytest.mark.parametrize("source", ["own", "process", "framework"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_checkpoint_inside_a_compiled_function(definition, backend, source):
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)
    linear = nn.Linear(6, 6)

    def segment(x):
        return layer(linear(layer(linear(x))))

    def plain(x):
        return segment(segment(x))

    def checkpointed(x):
        x = checkpoint(segment, x, use_reentrant=False)
        return checkpoint(segment, x, use_reentrant=False)

    def reset():
        torch.manual_seed(3)
        if source == "own":
            layer.generator.reposition(1)
        if source == "process":
            rrelu_compat.manual_seed(1)

    def run(function):
        reset()
        inputs = [torch.randn(4, 6, requires_grad=True) for _ in range(3)]
        reset()
        losses = [function(x).pow(2).sum() for x in inputs]
        for k in (2, 0, 1):
            losses[k].backward()
        return [x.grad for x in inputs]

    compiled = torch.compile(checkpointed, backend=backend, fullgraph=True)
    assert_same(definition, run(plain), run(compiled))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("source", ["own", "process", "framework"])
def test_compiled_function_inside_an_eager_checkpoint(definition, source, reentrant):
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)
    linear = nn.Linear(6, 6)

    def segment(x):
        return layer(linear(layer(linear(x))))

    compiled = torch.compile(segment, backend="aot_eager")

    def run(function):
        x = torch.linspace(-1, 1, 24).view(4, 6).clone().requires_grad_()
        torch.manual_seed(3)
        if source == "own":
            layer.generator.reposition(1)
        if source == "process":
            rrelu_compat.manual_seed(1)
        function(x).pow(2).sum().backward()
        return [x.grad]

    def repeated(x):
        for _ in range(2):
            x = checkpoint(compiled, x, use_reentrant=reentrant)
        return x

    assert_same(definition, run(lambda x: segment(segment(x))), run(repeated))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")
@pytest.mark.parametrize("source", ["own", "framework"])
def test_compiled_autograd(definition, source):
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)
    linear = nn.Linear(6, 6)

    def segment(x):
        return layer(linear(layer(linear(x))))

    def run(function, context):
        x = torch.linspace(-1, 1, 24).view(4, 6).clone().requires_grad_()
        torch.manual_seed(3)
        if source == "own":
            layer.generator.reposition(1)
        loss = function(x).pow(2).sum()
        with context:
            loss.backward()
        return [x.grad]

    plain = run(segment, contextlib.nullcontext())
    for compiled in (segment, torch.compile(segment, backend="aot_eager")):
        enabled = torch._dynamo.compiled_autograd._enable(torch.compile(backend="aot_eager"))
        assert_same(definition, plain, run(compiled, enabled))


@pytest.mark.filterwarnings("ignore:Dynamo does not know how to trace")
@pytest.mark.parametrize(("order", "fork"), [((0, 1), True), ((1, 0), False)])
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("source", ["own", "process", "framework"])
def test_two_graphs_from_one_random_state_under_compiled_autograd(
    definition, source, reentrant, order, fork
):
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)
    linear = nn.Linear(6, 6)

    def segment(x):
        return layer(linear(layer(linear(x))))

    def run(function, enabled):
        rrelu_compat.manual_seed(1 if source == "process" else None)
        if source == "own":
            layer.generator.reposition(1)
        torch.manual_seed(7)
        state = torch.get_rng_state()
        inputs, losses = [], []
        for _ in range(2):
            inputs.append(torch.linspace(-1, 1, 24).view(4, 6).clone().requires_grad_())
            if not fork:
                torch.set_rng_state(state)
            with torch.random.fork_rng() if fork else contextlib.nullcontext():
                losses.append(function(inputs[-1]).pow(2).sum())
        with enabled:
            for k in order:
                losses[k].backward()
        return [x.grad for x in inputs]

    plain = run(segment, contextlib.nullcontext())
    assert definition.same_bits(*plain) == (source == "framework")  # one state, one seed
    enabled = torch._dynamo.compiled_autograd._enable(torch.compile(backend="aot_eager"))
    got = run(lambda x: checkpoint(segment, x, use_reentrant=reentrant), enabled)
    assert_same(definition, plain, got)


def steps_beside_a_thread_that_draws(backend, source, steps):
    """Run compiled checkpointed steps; each must have the gradients of the eager step without."""
    layers = [
        RReLU(0.1, 0.9, generator=Generator(1) if source == "own" else None) for _ in range(3)
    ]
    linear = nn.Linear(6, 6).double()

    def whole(x, run):
        for layer in layers:
            x = run(lambda x, layer=layer: layer(linear(x)), x)
        return x

    def checkpointed(x):
        return whole(x, lambda piece, x: checkpoint(piece, x, use_reentrant=False))

    def result(function, step):
        if source == "own":
            layers[0].generator.reposition(step)
            for layer in layers[1:]:
                layer.generator = layers[0].generator
        else:
            rrelu_compat.manual_seed(step)
        linear.zero_grad()
        x = torch.linspace(-1, 1, 24, dtype=torch.float64).view(4, 6).clone().requires_grad_()
        function(x).pow(2).sum().backward()
        return [x.grad, linear.weight.grad.clone()]

    compiled = torch.compile(checkpointed, backend=backend, fullgraph=True)
    result(compiled, 0)
    stop = threading.Event()

    def draw():
        while not stop.is_set():
            torch.rand(3)

    thread = threading.Thread(target=draw)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    thread.start()
    try:
        for step in range(steps):
            expected = result(lambda x: whole(x, lambda piece, x: piece(x)), step)
            for a, b in zip(expected, result(compiled, step), strict=True):
                torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)


@pytest.mark.parametrize("source", ["own", "process"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled_steps_beside_a_thread_that_draws(backend, source):
    """A draw's place in the graph finds its call, whatever number it draws."""
    steps_beside_a_thread_that_draws(backend, source, 40)


@pytest.mark.slow
@pytest.mark.parametrize("source", ["own", "process"])
def test_many_compiled_steps_beside_a_thread_that_draws(source):
    steps_beside_a_thread_that_draws("aot_eager", source, 1000)
