"""Random nests of checkpoints of every make, several graphs alive: the gradients of the plain run."""

from __future__ import annotations

import pytest
from random_checkpoints import check


def test_random_nests_have_the_gradients_of_the_plain_run():
    survived, faults = check(range(250))
    assert faults == []
    assert survived >= 200  # with dropout in the place of RReLU


@pytest.mark.slow
def test_many_random_nests_have_the_gradients_of_the_plain_run():
    survived, faults = check(range(1000, 7000))
    assert faults == []
    assert survived >= 5000
