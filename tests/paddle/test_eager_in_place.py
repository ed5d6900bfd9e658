"""In place on eager Paddle tensors: views, versions, leaves, overlaps."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from rrelu_compat import Generator
from rrelu_compat.paddle import rrelu, rrelu_


@pytest.mark.parametrize("recording", [True, False])
def test_in_place_tells_those_who_saved_the_old_value(recording):
    w = paddle.to_tensor([2.0], stop_gradient=False)
    h = paddle.to_tensor([-3.0])
    if recording:
        h = h * paddle.to_tensor([1.0], stop_gradient=False)
    loss = (h * w).sum()  # keeps h
    rrelu_(h)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_in_place_twice_in_a_row():
    x = paddle.to_tensor([-1.0, 2.0, -4.0], stop_gradient=False)
    h = x * 1.0
    assert rrelu_(rrelu_(h, -0.5, -0.5), 0.25, 0.25) is h
    # -1 becomes 0.5, which then passes.
    assert h.tolist() == [0.5, 2.0, 2.0]
    h.sum().backward()
    assert x.grad.tolist() == [-0.5, 1.0, -0.5]


def test_in_place_writes_through_a_view():
    base = paddle.to_tensor([[-1.0, 2.0, -3.0], [4.0, -5.0, 6.0]])
    view = base[:, ::2]
    assert not view.is_contiguous()
    pointer = view.data_ptr()
    assert rrelu_(view, 0.5, 0.5) is view
    assert view.data_ptr() == pointer
    assert base.tolist() == [[-0.5, 2.0, -1.5], [4.0, -5.0, 6.0]]


def test_in_place_on_a_recorded_view(define):
    x = paddle.to_tensor([[-1.0, 2.0, -3.0], [4.0, -5.0, 6.0]], stop_gradient=False)
    view = paddle.assign(x).t()
    rrelu_(view, 0.5, 0.5)
    assert view.tolist() == [[-0.5, 4.0], [2.0, -2.5], [-1.5, 6.0]]
    view.sum().backward()
    assert x.grad.tolist() == [[0.5, 1.0, 0.5], [1.0, 0.5, 1.0]]


def test_in_place_refuses_a_leaf_before_anything_happens():
    x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
    generator, default = Generator(1), paddle.base.core.default_cpu_generator()
    following = paddle.seed(3).random()
    paddle.seed(3)
    with pytest.raises(ValueError, match="leaf that requires a gradient"):
        rrelu_(x, generator=generator)
    assert x.tolist() == [-1.0, 2.0]
    assert x.inplace_version == 0
    assert generator.call == 0
    assert default.random() == following
    with paddle.no_grad():
        assert rrelu_(x, 0.5, 0.5) is x
    assert x.tolist() == [-0.5, 2.0]


@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ([3, 2], [0, 1]),
        ([3, 3], [1, 1]),
        ([2, 3], [3, 2]),  # interleaved, yet apart: 0 2 4 and 3 5 7
        ([2, 3], [4, 2]),  # 0 2 4 and 4 6 8
        ([1, 3], [0, 2]),
        ([2, 3], [1, 2]),
    ],
)
def test_in_place_refuses_what_overlaps_itself(shape, stride):
    x = paddle.as_strided(paddle.arange(-8, 8, dtype="float32"), shape, stride)
    elements = {
        sum(i * s for i, s in zip(index, stride, strict=True)) for index in np.ndindex(*shape)
    }
    overlaps = len(elements) < math.prod(shape)
    if overlaps:
        with pytest.raises(ValueError, match="overlap itself"):
            rrelu_(x)
    else:
        rrelu_(x)
    rrelu(x)
