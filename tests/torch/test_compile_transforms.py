"""Transforms of torch.func inside compiled functions: the slopes of eager."""

from __future__ import annotations

import pytest
import torch
from torch_compilation import BACKENDS, counted, step

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU, rrelu


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_transforms_inside_a_compiled_function(definition):
    generator = Generator(1)

    def f(x):
        return rrelu(x, 0.1, 0.6, True, generator=generator)

    x = torch.randn(4, 5)
    a = definition.training(x, 0.1, 0.6, 1)[1](torch.ones(4, 5))
    row = definition.training(x[0], 0.1, 0.6, 1)[1](torch.ones(5))
    cases = {
        "vmap": (lambda x: torch.vmap(f, randomness="different")(x), x, a * x),
        "grad": (torch.func.grad(lambda x: f(x).sum()), x, a),
        "vmap of grad": (
            torch.vmap(torch.func.grad(lambda x: f(x).sum()), randomness="different"),
            x,
            a,
        ),
        "jacrev": (torch.func.jacrev(f), x[0], torch.diag(row)),
        "jacfwd": (torch.func.jacfwd(f), x[0], torch.diag(row)),
        "hessian": (torch.func.hessian(lambda x: (f(x) ** 2).sum() / 2), x[0], torch.diag(row**2)),
        "jvp": (lambda x: torch.func.jvp(f, (x,), (x,))[1], x[0], row * x[0]),
        "vjp": (lambda x: torch.func.vjp(f, x)[1](x)[0], x[0], row * x[0]),
    }
    for name, (function, argument, expected) in cases.items():
        torch._dynamo.reset()
        generator.reposition(1)
        compiled, _ = counted(function)
        assert torch.equal(compiled(argument), expected), name
        assert generator.call == 1


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("source", ["own", "process", "framework"])
@pytest.mark.parametrize("randomness", ["different", "same"])
def test_compiled_vmap_is_eagers(definition, source, randomness, backend):
    """Several draws that do not depend on one another, in order; one number of PyTorch for each."""
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)

    def branches(x):
        parts = [layer(x * (k - 1.5)) for k in range(4)]
        return layer(parts[3] - parts[1]) + parts[0] * parts[2]

    def run(function, seed):
        rrelu_compat.manual_seed(seed if source == "process" else None)
        torch.manual_seed(seed)
        if source == "own":
            layer.generator.reposition(seed)
        found = [*step(function, x), *step(function, x)]
        stream = layer.generator or rrelu_compat.generator.process_generator()
        return found, torch.get_rng_state(), stream and stream.call

    eager = torch.vmap(branches, randomness=randomness)
    compiled, counter = counted(eager, backend)
    x = torch.randn(6, 5)
    for seed in range(2):
        expected, got = run(eager, seed), run(compiled, seed)
        for u, v in zip(expected[0], got[0], strict=True):
            assert torch.allclose(u, v, rtol=1e-5, atol=1e-6)
        assert not torch.allclose(got[0][0], got[0][2])
        assert torch.equal(expected[1], got[1])
        assert got[2] == (None if source == "framework" else 10)
    assert counter.frame_count == 1


def test_compiled_vmap_with_randomness_error_raises():
    for generator in (None, Generator(1)):
        torch._dynamo.reset()
        compiled, _ = counted(
            torch.vmap(lambda x, g=generator: rrelu(x, training=True, generator=g))
        )
        with pytest.raises(Exception, match="randomness"):
            compiled(-torch.ones(3, 4))
