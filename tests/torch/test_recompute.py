"""Recomputation: gradients with checkpoints have the bits of those without, for every source of slopes."""

from __future__ import annotations

import contextlib
import copy
import itertools
import logging
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils import checkpoint as torch_checkpoint
from torch.utils.checkpoint import checkpoint, checkpoint_sequential
from torch_recomputation import Source, assert_equal, network, result

import rrelu_compat

pytestmark = pytest.mark.usefixtures("nothing_stays_remembered")


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint(source, reentrant, inplace):
    model = network(source, inplace)
    plain = result(source, model, lambda x: model(model(x)))
    repeated = result(
        source,
        model,
        lambda x: checkpoint(
            model, checkpoint(model, x, use_reentrant=reentrant), use_reentrant=reentrant
        ),
    )
    assert_equal(plain, repeated)


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("outer", [False, True])
def test_nested_checkpoints(source, outer, inner):
    model = network(source)

    def middle(x):
        return model(checkpoint(model, x, use_reentrant=inner))

    def whole(x):
        return checkpoint(middle, checkpoint(middle, x, use_reentrant=inner), use_reentrant=inner)

    plain = result(source, model, lambda x: model(model(model(model(x)))))
    repeated = result(source, model, lambda x: checkpoint(whole, x, use_reentrant=outer))
    assert_equal(plain, repeated)


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoint_sequential(source, reentrant):
    model = nn.Sequential(*(copy.deepcopy(network(source)) for _ in range(4)))
    plain = result(source, model, model)
    repeated = result(
        source, model, lambda x: checkpoint_sequential(model, 2, x, use_reentrant=reentrant)
    )
    assert_equal(plain, repeated)


@pytest.mark.parametrize("reentrant", [False, True])
def test_segments_recomputed_in_any_order(source, reentrant):
    model = network(source)

    def step(checkpointed, order):
        source.reset()
        torch.manual_seed(2)
        inputs = [torch.randn(4, 6, requires_grad=True) for _ in range(3)]
        if checkpointed:
            outputs = [checkpoint(model, x, use_reentrant=reentrant) for x in inputs]
        else:
            outputs = [model(x) for x in inputs]
        for k in order:
            outputs[k].pow(2).sum().backward()
        return [x.grad for x in inputs]

    for order in itertools.permutations(range(3)):
        assert_equal(step(False, order), step(True, order))


def test_second_backward_over_a_retained_graph(source):
    model = network(source)
    for reentrant in (False, True):

        def step(checkpointed, reentrant=reentrant):
            source.reset()
            torch.manual_seed(2)
            x = torch.randn(4, 6, requires_grad=True)
            y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
            loss = y.pow(2).sum()
            loss.backward(retain_graph=True)
            loss.backward(retain_graph=True)
            loss.backward()
            return [x.grad]

        assert_equal(step(False), step(True))


def test_double_backward(source):
    model = network(source)

    def step(checkpointed):
        source.reset()
        torch.manual_seed(2)
        x = torch.randn(4, 6, requires_grad=True)
        y = checkpoint(model, x, use_reentrant=False) if checkpointed else model(x)
        (g,) = torch.autograd.grad(y.pow(2).sum(), x, create_graph=True)
        (g**2).sum().backward()
        return [x.grad]

    assert_equal(step(False), step(True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_the_same_torch_seed_in_every_step_gives_fresh_calls_and_right_gradients(reentrant):
    """The nonce trick taken alone fails here: it would freeze the slopes."""
    model = network(Source("process"))
    outputs: dict[bool, list[Any]] = {}
    for checkpointed in (False, True):
        rrelu_compat.manual_seed(5)
        kept = outputs.setdefault(checkpointed, [])
        for _ in range(4):
            torch.manual_seed(0)
            x = torch.ones(4, 6, requires_grad=True)
            y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
            y.pow(2).sum().backward()
            kept += [y.detach(), x.grad]
    assert_equal(outputs[False], outputs[True])
    assert len({t.numpy().tobytes() for t in outputs[True]}) == 8


@pytest.mark.parametrize("reentrant", [False, True])
def test_two_live_graphs_made_from_one_torch_state(source, reentrant):
    """The region that is recomputed tells which of two calls with one number is meant."""
    model = network(source)

    def step(checkpointed, order):
        source.reset()
        inputs, losses = [], []
        for _ in range(3):
            torch.manual_seed(7)
            x = torch.linspace(-1, 1, 24).view(4, 6).clone().requires_grad_()
            y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
            inputs.append(x)
            losses.append(y.pow(2).sum())
        for k in order:
            losses[k].backward()
        return [x.grad for x in inputs]

    for order in ((0, 1, 2), (2, 0, 1)):
        assert_equal(step(False, order), step(True, order))


@pytest.mark.parametrize("reentrant", [False, True])
def test_losses_kept_in_a_list_do_no_harm(source, reentrant):
    model = network(source)

    def step(checkpointed):
        source.reset()
        kept, gradients = [], []
        for _ in range(4):
            torch.manual_seed(7)
            x = torch.linspace(-1, 1, 24).view(4, 6).clone().requires_grad_()
            y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
            loss = y.pow(2).sum()
            kept.append(loss)
            loss.backward()
            gradients.append(x.grad)
        return gradients

    assert_equal(step(False), step(True))


@pytest.mark.parametrize("reentrant", [False, True])
def test_training_calls_and_reseeding_between_forward_and_backward(source, reentrant):
    model = network(source)

    def step(checkpointed):
        source.reset()
        torch.manual_seed(2)
        x = torch.randn(4, 6, requires_grad=True)
        y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
        with torch.no_grad():
            torch.manual_seed(2)
            model(x)
        rrelu_compat.manual_seed(77)
        y.pow(2).sum().backward()
        return [x.grad]

    assert_equal(step(False), step(True))


def test_after_an_aborted_step(source):
    model = network(source)

    def step(checkpointed, reentrant=False):
        source.reset()

        def aborted(x):
            model(x)
            raise KeyError("stop")

        for _ in range(2):
            torch.manual_seed(7)
            x = torch.randn(4, 6, requires_grad=True)
            with contextlib.suppress(KeyError):
                if checkpointed:
                    checkpoint(aborted, x, use_reentrant=reentrant)
                else:
                    aborted(x)
        torch.manual_seed(7)
        x = torch.randn(4, 6, requires_grad=True)
        y = checkpoint(model, x, use_reentrant=reentrant) if checkpointed else model(x)
        y.pow(2).sum().backward()
        return [x.grad]

    for reentrant in (False, True):
        assert_equal(step(False), step(True, reentrant))


def test_first_layer_whose_input_needs_no_gradient(source):
    """No node of ours is recorded; the region keeps the call."""
    model = nn.Sequential(source.layer(), network(source))
    plain = result(source, model, lambda x: model(x.detach() + 0 * x))

    def run(x):
        hidden = x.detach() + 0 * x.detach()
        return checkpoint(model, hidden, use_reentrant=False) + 0 * x

    again = result(source, model, run)
    assert_equal(plain[2:], again[2:])


def test_early_stop_off(source):
    model = network(source)
    plain = result(source, model, model)
    with torch_checkpoint.set_checkpoint_early_stop(False):
        assert_equal(
            plain, result(source, model, lambda x: checkpoint(model, x, use_reentrant=False))
        )


def test_debug_mode_of_checkpoint(monkeypatch):
    # Its log records do not fit pytest's log capture.
    monkeypatch.setattr(logging.getLogger("LoggingTensor"), "propagate", False)
    source = Source("process")
    layer = source.layer()
    model = nn.Sequential(nn.Linear(6, 6), layer, layer)
    again = result(source, model, lambda x: checkpoint(model, x, use_reentrant=False, debug=True))
    assert_equal(result(source, model, model), again)


@pytest.mark.parametrize("save_ours", [False, True])
def test_selective_checkpointing(source, save_ours):
    model = network(source)

    def policy(_, op, *args, **kwargs):
        ours = op.namespace.startswith("rrelu_compat")
        saved = ours if save_ours else op is torch.ops.aten.addmm.default
        policies = torch_checkpoint.CheckpointPolicy
        return policies.MUST_SAVE if saved else policies.PREFER_RECOMPUTE

    def run(x):
        return checkpoint(
            model,
            x,
            use_reentrant=False,
            context_fn=lambda: torch_checkpoint.create_selective_checkpoint_contexts(policy),
        )

    assert_equal(result(source, model, model), result(source, model, run))


def test_saved_tensors_read_outside_a_backward(source):
    source.reset()
    layer = source.layer()
    x = torch.randn(8, requires_grad=True)
    y = checkpoint(lambda x: layer(x).exp(), x, use_reentrant=False)
    assert torch.equal(y.grad_fn._saved_result, y)
    y.sum().backward()


def test_a_custom_function_that_recomputes(source):
    """Reentrant checkpointing of another make."""
    layer = source.layer()

    class Recomputing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.state = torch.get_rng_state()
            ctx.save_for_backward(x)
            return layer(x * 2)

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            with torch.random.fork_rng(), torch.enable_grad():
                torch.set_rng_state(ctx.state)
                x = x.detach().requires_grad_()
                y = layer(x * 2)
            return torch.autograd.grad(y, x, g)

    def step(f):
        source.reset()
        x = torch.linspace(-2, 2, 16).requires_grad_()
        z = torch.linspace(-2, 1, 16).requires_grad_()
        (f(x) * f(z)).sum().backward()
        return [x.grad, z.grad]

    assert_equal(step(lambda x: layer(x * 2)), step(Recomputing.apply))
