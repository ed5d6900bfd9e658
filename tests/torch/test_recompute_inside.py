"""Regions that do more: backward passes inside, generators of their own, hooks that call layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint, set_checkpoint_early_stop

from rrelu_compat import Generator, RecomputeError
from rrelu_compat.torch import rrelu

pytestmark = pytest.mark.usefixtures("nothing_stays_remembered")
both = pytest.mark.parametrize("reentrant", [False, True])
W = torch.linspace(-1, 1, 36).view(6, 6).clone().requires_grad_()


def agree(program):
    """Run ``program(x, run)`` with and without checkpoints: the gradients of `x` are the same."""
    results = []
    for repeat in (False, True):

        def run(function, x, reentrant, repeat=repeat):
            return checkpoint(function, x, use_reentrant=reentrant) if repeat else function(x)

        torch.manual_seed(3)
        x = torch.linspace(-2, 2, 24).view(4, 6).clone().requires_grad_()
        with set_checkpoint_early_stop(False):
            y = program(x, run)
        y.square().sum().backward()
        results.append(x.grad)
        W.grad = None
    assert torch.equal(*results)


@both
@pytest.mark.parametrize(
    "make",
    [
        lambda: Generator(8),
        lambda: torch.Generator().manual_seed(4),
        lambda: torch.default_generator,
    ],
)
def test_a_generator_that_the_region_makes(make, reentrant):
    def region(x):
        generator = make()
        for _ in range(2):
            x = rrelu(F.linear(x, W), 0.1, 0.9, True, generator=generator)
        return F.dropout(F.linear(x, W), 0.5)

    agree(lambda x, run: run(region, x, reentrant))


@both
@pytest.mark.parametrize("other", [Generator(9), torch.Generator(), None])
def test_another_generator_than_in_the_forward_is_refused(other, reentrant):
    given = [Generator(1)]
    x = -torch.ones(8).requires_grad_()
    y = checkpoint(
        lambda x: rrelu(x * 2, training=True, generator=given[0]), x, use_reentrant=reentrant
    )
    given[0] = other
    with pytest.raises(RecomputeError, match="generator"):
        y.sum().backward()


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_a_backward_inside_a_region(outer, inner):
    generator = Generator(5)

    def act(x):
        return rrelu(x, 0.1, 0.9, True, generator=generator)

    def program(x, run):
        def region(h):
            h = act(F.linear(h, W))
            with torch.enable_grad():
                z = torch.ones(2, 6, requires_grad=True)
                run(lambda z: act(F.linear(act(z), W)), z * 1, inner).sum().backward()
            h = act(F.linear(h * z.grad.sum(), W))
            return act(F.linear(h, W))

        generator.reposition(5)
        return run(region, x, outer)

    agree(program)


@both
def test_a_graph_from_outside_is_gone_back_through_inside(reentrant):
    """The repetitions in that backward are no calls of the region."""
    generator = Generator(5)

    def act(x):
        return rrelu(x, 0.1, 0.9, True, generator=generator)

    def program(x, run):
        generator.reposition(5)
        z = torch.ones(2, 6, requires_grad=True)
        y = run(lambda z: act(F.linear(act(z), W)), z * 1, reentrant).sum()

        def region(h):
            h = act(F.linear(h, W))
            y.backward(retain_graph=True)
            return act(F.linear(act(F.linear(h, W)), W))

        return run(region, x, False)

    agree(program)


@both
def test_a_hook_that_calls_a_layer_while_a_repeated_region_is_gone_back_through(reentrant):
    generator = Generator(5)
    hooked = []

    def region(x):
        x = rrelu(F.linear(x, W), training=True, generator=generator)
        if hooked:
            x.register_hook(lambda g: rrelu(g, training=True, generator=generator))
        return rrelu(F.linear(x, W), training=True, generator=generator)

    x = torch.ones(4, 6, requires_grad=True)
    y = checkpoint(region, x, use_reentrant=reentrant)
    if not reentrant:
        y.register_hook(lambda g: rrelu(g, training=True, generator=generator))
    hooked.append(True)
    with pytest.raises(RecomputeError, match="new training forward"):
        y.sum().backward()


def test_saved_tensors_are_read_outside_a_backward_from_under_hooks_of_the_users():
    generator = Generator(5)

    def region(x):
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
            x = rrelu(F.linear(x, W), 0.1, 0.9, True, generator=generator)
        return x.exp()

    x = torch.ones(4, 6, requires_grad=True)
    y = checkpoint(region, x, use_reentrant=False)
    assert torch.equal(y.grad_fn._saved_result, y)
    assert generator.call == 1


def test_training_and_evaluation_are_not_exchanged_between_forward_and_backward():
    for first in (False, True):
        training = [first]
        x = -torch.ones(8).requires_grad_()
        y = checkpoint(
            lambda x, training=training: rrelu(x * 2, training=training[0]).exp(),
            x,
            use_reentrant=False,
        )
        training[0] = not first
        with pytest.raises(RecomputeError):
            y.sum().backward()
