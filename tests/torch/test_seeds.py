"""Where a training call takes its seed and call from, and what it draws from PyTorch."""

from __future__ import annotations

import sys
import threading

import pytest
import torch

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.backends.torch.seeds import draw_number
from rrelu_compat.torch import rrelu


def test_sources_come_in_their_order(definition):
    x = -torch.ones(50)
    own = Generator(5)
    rrelu_compat.manual_seed(6)
    assert torch.equal(
        rrelu(x, 0.1, 0.3, True, generator=own), definition.training(x, 0.1, 0.3, 5)[0]
    )
    assert torch.equal(rrelu(x, 0.1, 0.3, True), definition.training(x, 0.1, 0.3, 6, 0)[0])
    assert torch.equal(rrelu(x, 0.1, 0.3, True), definition.training(x, 0.1, 0.3, 6, 1)[0])
    rrelu_compat.manual_seed(None)
    torch.manual_seed(7)
    seed = torch.empty(1, dtype=torch.int64).random_().item()
    torch.manual_seed(7)
    assert torch.equal(rrelu(x, 0.1, 0.3, True), definition.training(x, 0.1, 0.3, seed)[0])
    assert own.call == 1


def test_framework_seeds_reproduce_a_run():
    x = -torch.ones(50)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first, second = rrelu(x, training=True), rrelu(x, training=True)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    with torch.random.fork_rng():
        assert torch.equal(rrelu(x, training=True), first)
    assert torch.equal(rrelu(x, training=True), first)
    generator = torch.Generator().manual_seed(3)
    first = rrelu(x, training=True, generator=generator)
    assert not torch.equal(first, rrelu(x, training=True, generator=generator))
    assert torch.equal(first, rrelu(x, training=True, generator=torch.Generator().manual_seed(3)))


@pytest.mark.parametrize("source", ["own", "process", "torch", "framework"])
def test_each_training_call_draws_exactly_one_number_and_evaluation_none(source):
    x = torch.randn(5, requires_grad=True)
    generator = {"own": Generator(1), "torch": torch.Generator()}.get(source)
    rrelu_compat.manual_seed(1 if source == "process" else None)
    for call in (
        lambda: rrelu(x, 0.1, 0.3, True, generator=generator),
        lambda: rrelu(x.detach(), 0.1, 0.3, True, generator=generator),
        lambda: rrelu(x * 1, 0.1, 0.3, True, True, generator=generator),
        lambda: torch.func.grad(lambda x: rrelu(x, 0.1, 0.3, True, generator=generator).sum())(x),
    ):
        torch.manual_seed(2)
        torch.empty(1, dtype=torch.int64).random_()
        after_one = torch.get_rng_state()
        torch.manual_seed(2)
        call()
        assert torch.equal(torch.get_rng_state(), after_one)
    before = torch.get_rng_state()
    own_state = generator.state_dict() if source == "own" else None
    rrelu(x, 0.1, 0.3, False, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)
    assert own_state is None or generator.state_dict() == own_state


def test_threads_never_share_a_call():
    x = -torch.ones(64)
    outputs = []

    def work(generator):
        made = [rrelu(x, 0.0, 1.0, True, generator=generator) for _ in range(50)]
        outputs.extend(y.numpy().tobytes() for y in made)

    for generator in (Generator(1), None):
        outputs.clear()
        threads = [threading.Thread(target=work, args=(generator,)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(set(outputs)) == 200


def test_threads_never_read_one_draw_of_pytorchs_generator():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    numbers = []
    try:
        work = [
            threading.Thread(target=lambda: numbers.extend(draw_number() for _ in range(5000)))
            for _ in range(4)
        ]
        for thread in work:
            thread.start()
        for thread in work:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(set(numbers)) == 20_000


def test_drawing_works_wherever_the_thread_first_draws():
    def first_under(context, x):
        result = []

        def work():
            with context:
                rrelu(x, training=True)
            result.append(rrelu(torch.randn(3), training=True))

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        return result

    assert first_under(torch.inference_mode(), torch.randn(3))
    assert first_under(torch.device("meta"), torch.randn(3, device="cpu"))
