"""Recomputations that cannot be made right raise; and nothing is remembered that cannot be repeated."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch_recomputation import network

from rrelu_compat import Generator, RecomputeError
from rrelu_compat.backends.torch import recompute
from rrelu_compat.torch import RReLU

pytestmark = pytest.mark.usefixtures("nothing_stays_remembered")


@pytest.mark.parametrize("reentrant", [False, True])
def test_preserve_rng_state_false_raises(source, reentrant):
    model = network(source)
    source.reset()
    x = torch.randn(4, 6, requires_grad=True)
    y = checkpoint(model, x, use_reentrant=reentrant, preserve_rng_state=False)
    with pytest.raises(RecomputeError, match="preserve_rng_state"):
        y.sum().backward()


def test_a_repetition_with_calls_of_the_same_region_in_another_order_raises(source):
    """Both numbers are known to the region, but each layer is given the other's: the node notices."""
    first, second = source.layer(), source.layer()
    states = []

    def segment(x):
        states.append(torch.get_rng_state())
        if len(states) == 2:  # the repetition: set PyTorch's generator to where the second call was
            torch.set_rng_state(after_first)
        x = first(x * 2)
        if len(states) == 2:
            torch.set_rng_state(states[0])
        return second(x * 3)

    source.reset()
    torch.empty(1, dtype=torch.int64).random_()
    after_first = torch.get_rng_state()
    source.reset()
    x = -torch.ones(8).requires_grad_()
    y = checkpoint(segment, x, use_reentrant=False)
    with pytest.raises(RecomputeError, match="would be wrong"):
        y.sum().backward()


@pytest.mark.parametrize("reentrant", [False, True])
def test_reseeding_inside_a_region_is_ambiguous_and_raises(reentrant):
    layer = RReLU(0.1, 0.9, generator=Generator(1))

    def segment(x):
        torch.manual_seed(0)
        x = layer(x * 2)
        torch.manual_seed(0)
        return layer(x * 2)

    x = -torch.ones(8).requires_grad_()
    y = checkpoint(segment, x, use_reentrant=reentrant)
    with pytest.raises(RecomputeError, match="same number"):
        y.sum().backward()


def test_a_new_training_forward_inside_a_backward_raises(source):
    layer = source.layer()
    x = torch.randn(4, requires_grad=True)
    y = x * 1
    y.register_hook(lambda g: layer(g))
    with pytest.raises(RecomputeError, match="new training forward"):
        y.sum().backward()
    layer.eval()
    y = x * 1
    y.register_hook(lambda g: layer(g))
    y.sum().backward()


# What is remembered.


@pytest.mark.parametrize("reentrant", [False, True])
def test_nothing_is_remembered_after_many_steps(source, reentrant):
    model = network(source)
    source.reset()
    for _ in range(50):
        x = torch.randn(4, 6, requires_grad=True)
        y = checkpoint(model, x, use_reentrant=reentrant)
        assert recompute.remembered() == 2
        y.sum().backward()
        del y
    assert recompute.remembered() == 0


def test_calls_that_nothing_can_repeat_are_not_remembered(source):
    model = network(source)
    x = torch.randn(4, 6, requires_grad=True)
    model(x)
    with torch.no_grad():
        model(x)
    with torch.inference_mode():
        model(x)
    assert recompute.remembered() == 0


def test_long_lived_hooks_do_not_make_the_log_grow(source):
    layer = source.layer()
    for _ in range(20):
        x = torch.randn(4, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(_identity, _identity):
            layer(layer(x).detach())
    assert recompute.remembered() == 0


def _identity(t: torch.Tensor) -> torch.Tensor:
    return t
