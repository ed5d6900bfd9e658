"""Recomputations that cannot be made right raise; and nothing is remembered that cannot be repeated."""

from __future__ import annotations

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch_recomputation import network

from rrelu_compat import Generator, RecomputeError
from rrelu_compat.backends.torch import recompute
from rrelu_compat.torch import rrelu

pytestmark = pytest.mark.usefixtures("nothing_stays_remembered")


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda x, again: (x[: 4 if again else 8], 0.1, 0.9, None), "elements"),
        (lambda x, again: (x.double() if again else x, 0.1, 0.9, None), "dtype"),
        (lambda x, again: (x, 0.2 if again else 0.1, 0.9, None), "lower"),
        (lambda x, again: (x, 0.1, 0.8 if again else 0.9, None), "upper"),
        (lambda x, again: (x, 0.1, 0.9, Generator(1) if again else None), "generator"),
    ],
)
def test_a_repetition_that_makes_another_call_raises(reentrant, change, named):
    calls = []

    def segment(x):
        calls.append(1)
        x, lower, upper, generator = change(x * 1, len(calls) > 1)
        return rrelu(x, lower, upper, True, generator=generator).sum()

    x = -torch.ones(8).requires_grad_()
    y = checkpoint(segment, x, use_reentrant=reentrant)
    with pytest.raises(RecomputeError, match=named):
        y.backward()


def test_a_repetition_that_makes_more_calls_raises():
    calls = []

    def segment(x):
        calls.append(1)
        if len(calls) > 1:
            x = rrelu(x, training=True)
        return rrelu(x, training=True)

    x = -torch.ones(8).requires_grad_()
    y = checkpoint(segment, x, use_reentrant=True)
    with pytest.raises(RecomputeError, match="more RReLU calls"):
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
