"""What the steps of `compare` do, and which differences it takes for the frameworks' own."""

import numpy as np
import pytest
import torch

import rrelu_compat
from rrelu_compat.porting import compare
from rrelu_compat.porting.models.comparing.known import biased_variance

ROWS = np.random.default_rng(0).normal(size=(6, 4))


def test_functional_slopes_are_fresh_at_each_step(both):
    def make(kit):
        class Net(kit.Module):
            def forward(self, x):
                return kit.rrelu(x, 0.1, 0.9, training=self.training)

        return Net()

    result = compare(*both(make), ROWS, seed=3, steps=3)
    result.assert_close()
    assert len(set(result.losses)) == 3


def test_the_steps_are_plain_training(both):
    def make(kit):
        return kit.Sequential(kit.Linear(4, 4), kit.RReLU(), kit.Linear(4, 2))

    ours, theirs = both(make)
    result = compare(ours, theirs, ROWS, seed=3, steps=4, loss=lambda y: (y * y).mean())
    result.assert_close()
    ours[1].generator = rrelu_compat.Generator(3).fold_in(0)
    descent = torch.optim.SGD(ours.parameters(), 2.0**-6)
    for expected, _ in result.losses:
        descent.zero_grad()
        loss = (ours(torch.from_numpy(ROWS)) ** 2).mean()
        loss.backward()
        descent.step()
        assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("momentum", [0.1, None, 0.5])
@pytest.mark.parametrize("calls", [1, 3])
def test_the_biased_variance_is_known_exactly(momentum, calls):
    torch.manual_seed(0)
    ours = torch.nn.BatchNorm1d(4, momentum=momentum).double()
    before, inputs = (
        ours.running_var.numpy().copy(),
        [torch.randn(5, 4).double() for _ in range(calls)],
    )
    expected = before
    for number, x in enumerate(inputs, 1):
        ours(x)
        part = 1 / number if momentum is None else momentum
        expected = (1 - part) * expected + part * x.numpy().var(0)
    found = biased_variance(before, [x.numpy() for x in inputs], momentum, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    assert not np.allclose(found, ours.running_var.numpy(), rtol=1e-3)  # PyTorch's is another one


@pytest.mark.parametrize("factor", [0.5, 0.75, 0.999, 1.001])
def test_a_variance_that_is_nearly_right_is_no_bias(factor, both):
    ours, theirs = both(lambda kit: kit.Sequential(kit.BatchNorm1d(4)))

    def scale(layer, inputs, output):
        layer._variance.set_value(layer._variance * factor)

    theirs[0].register_forward_post_hook(scale)
    first = compare(ours, theirs, ROWS, seed=3).first
    assert first is not None
    assert first.quantity == "running_var"


def test_a_variance_that_is_wrong_is_no_bias(both):
    ours, theirs = both(lambda kit: kit.Sequential(kit.BatchNorm1d(4)))

    def halve(layer, inputs, output):
        layer._variance.set_value(layer._variance * 0.5)

    theirs[0].register_forward_post_hook(halve)
    first = compare(ours, theirs, ROWS, seed=3).first
    assert first is not None
    assert first.quantity == "running_var"
