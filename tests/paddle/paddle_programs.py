"""What the tests of static graphs share: functions, and comparisons with the dynamic graph."""

from __future__ import annotations

import contextlib

import numpy as np
import paddle
import pytest

import rrelu_compat
from rrelu_compat import RReLUSpec
from rrelu_compat.paddle import RReLU, rrelu

DTYPES = ("float16", "bfloat16", "float32", "float64")

both_ways = pytest.mark.parametrize("full_graph", [True, False])


@contextlib.contextmanager
def static_mode():
    paddle.enable_static()
    try:
        yield
    finally:
        paddle.disable_static()


def inputs(dtype="float32", shape=(3, 4), count=3):
    for seed in range(count):
        rng = np.random.default_rng(seed)
        yield paddle.to_tensor(rng.standard_normal(shape)).astype(dtype)


def bits(tensor):
    return tensor.numpy().tobytes()


def compare(function, full_graph, dtype="float32", shape=(3, 4), gradient=True):
    """Outputs, gradients and calls taken of `function`, dynamic and static, over several calls."""
    static = paddle.jit.to_static(function, full_graph=full_graph)
    outputs = set()
    for number, x in enumerate(inputs(dtype, shape)):
        results = []
        for run in (function, static):
            process = rrelu_compat.manual_seed(number)
            leaf = x.detach()
            leaf.stop_gradient = not gradient
            y = run(leaf)
            if gradient:
                paddle.autograd.backward([y], [paddle.ones_like(y)])
            results.append((bits(y), gradient and bits(leaf.grad), process.call))
        assert results[0] == results[1]
        outputs.add(results[0][0])
    assert len(outputs) == 3
    return static


act = RReLU(0.1, 0.9)

outside = RReLUSpec(0.1, 0.9)


def straight(x):
    return act(rrelu(x, -0.5, 0.5) - 1)


def neutral(x):
    return rrelu_compat.rrelu(act(x), -1, 2, training=True)


def spec_apply(x):
    return outside.apply(x, training=True) - 1


def branches(x):
    y = act(x)
    y = act(y * 2 - 1) if paddle.mean(y) > 0 else rrelu(act(y - 2))
    return act(y - 1)


def loop(x):
    k = paddle.to_tensor(0)
    y = x * 2  # Paddle 3.3 loses a value that goes into a loop and is used again after it
    while k < 3:
        y = act(y - 0.5)
        k += 1
    z = act(x)  # does not depend on the loop
    return act(y - 0.5) + z


def parallel(x):
    parts = [x * (k - 3.5) for k in range(8)]
    return sum(act(part) for part in parts)


def nested_branches(x):
    y = x
    for _ in range(2):
        if paddle.max(y) > -100:
            if paddle.min(y) > -1000:
                y = act(y - 1)
            y = act(y)
        else:
            y = act(act(y))
        y = y - 0.25
    return act(y) + act(x)
