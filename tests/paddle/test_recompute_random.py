"""Random nests of recomputation of every make, several graphs alive: the gradients of the plain run."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from paddle.distributed.fleet.utils import recompute
from random_recomputes import check


def test_random_nests_have_the_gradients_of_the_plain_run():
    survived, faults = check(range(60))
    assert faults == []
    assert survived >= 50  # with dropout in the place of RReLU


@pytest.mark.slow
def test_many_random_nests_have_the_gradients_of_the_plain_run():
    survived, faults = check(range(1000, 6600))
    assert faults == []
    assert survived >= 5000


def test_a_reentrant_segment_inside_a_non_reentrant_one_is_wrong_without_a_random_layer():
    """Why the programs leave it out: should Paddle mend it, this fails and they can have it."""
    paddle.seed(1)
    linears = [paddle.nn.Linear(4, 4) for _ in range(3)]

    def inner(x):
        return paddle.tanh(linears[1](x))

    def gradients(nested):
        def outer(x):
            h = paddle.tanh(linears[0](x))
            h = recompute(inner, h, use_reentrant=True) if nested else inner(h)
            return paddle.tanh(linears[2](h))

        x = paddle.linspace(-1, 1, 12).reshape([3, 4])
        x.stop_gradient = False
        for linear in linears:
            linear.clear_gradients()
        y = recompute(outer, x * 1, use_reentrant=False) if nested else outer(x * 1)
        y.sum().backward()
        return x.grad.numpy()

    assert not np.array_equal(gradients(False), gradients(True))
