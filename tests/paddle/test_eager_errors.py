"""What RReLU of an eager Paddle tensor refuses, and what the fifth positional takes."""

from __future__ import annotations

import math

import numpy as np
import paddle
import pytest

from rrelu_compat import BoundsError, DTypeError
from rrelu_compat.paddle import RReLU, rrelu


class TestErrors:
    x = paddle.to_tensor([-1.0, 2.0])

    @pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "complex64", "uint8"])
    @pytest.mark.parametrize("training", [True, False])
    def test_dtypes(self, dtype, training):
        x = paddle.ones([2]).astype(dtype)
        with pytest.raises(
            DTypeError, match=f"float16, bfloat16, float32 or float64, got .*{dtype}"
        ):
            rrelu(x, training=training)

    @pytest.mark.parametrize(
        ("bounds", "error"),
        [
            ((0.5, 0.1), BoundsError),
            ((math.nan, 0.1), BoundsError),
            ((0.1, math.inf), BoundsError),
            ((-1e308, 1e308), BoundsError),
            ((True, 2.0), TypeError),
            (("0.1", 0.2), TypeError),
            ((paddle.to_tensor([0.1]), 0.2), TypeError),
            (([0.1], 0.2), TypeError),
        ],
    )
    @pytest.mark.parametrize("training", [True, False])
    def test_bounds(self, bounds, error, training):
        with pytest.raises(error, match=r"lower|upper"):
            rrelu(self.x, *bounds, training)
        with pytest.raises(error, match=r"lower|upper"):
            RReLU(*bounds)

    @pytest.mark.parametrize("training", [True, False])
    def test_bounds_that_overflow_in_float32(self, training):
        for dtype in ("float16", "bfloat16", "float32"):
            with pytest.raises(BoundsError, match="float32"):
                rrelu(self.x.astype(dtype), 0.0, 1e200, training)
        rrelu(self.x.astype("float64"), 0.0, 1e200, training)

    @pytest.mark.parametrize("bounds", [(0, 1), (np.float32(0.1), np.float64(0.2)), (-1, 7.5)])
    def test_bounds_that_paddle_refuses_and_we_take(self, bounds):
        with pytest.raises((TypeError, ValueError)):
            paddle.nn.functional.rrelu(self.x, *bounds)
        rrelu(self.x, *bounds)
        RReLU(*bounds)(self.x)

    def test_sparse(self):
        sparse = paddle.to_tensor([[-1.0, 0.0], [0.0, 2.0]])
        for x in (sparse.to_sparse_coo(2), sparse.to_sparse_csr()):
            with pytest.raises(TypeError, match="sparse"):
                rrelu(x)

    def test_distributed(self):
        mesh = paddle.distributed.ProcessMesh([0], dim_names=["x"])
        x = paddle.distributed.shard_tensor(self.x, mesh, [paddle.distributed.Shard(0)])
        with pytest.raises(TypeError, match="distributed"):
            rrelu(x)
        rrelu(x._local_value())

    @pytest.mark.parametrize("x", [[-1.0], -1.0, None, np.ones(2)])
    def test_not_a_tensor(self, x):
        with pytest.raises(TypeError, match=r"x must be a paddle\.Tensor"):
            rrelu(x)

    def test_generators_of_others(self):
        for generator in (np.random.default_rng(0), 7, np.random):
            for training in (True, False):
                with pytest.raises(TypeError, match="generator="):
                    rrelu(self.x, training=training, generator=generator)
            with pytest.raises(TypeError, match="generator="):
                RReLU(generator=generator)

    def test_training(self):
        for value in ("train", None, 1, 0.5, np.bool_(True)):
            with pytest.raises(TypeError, match="training="):
                rrelu(self.x, 0.1, 0.2, value)


def test_fifth_positional_is_name_or_inplace():
    x = paddle.to_tensor([-1.0, 2.0])
    assert rrelu(x, 0.5, 0.5, True, "label") is not x
    assert rrelu(x, 0.5, 0.5, True, False) is not x
    assert rrelu(x, 0.5, 0.5, True, True) is x
    assert rrelu(paddle.to_tensor([-1.0]), training=False).item() == pytest.approx(-11 / 48)
    for arguments in ((True, True), ("a", "b"), (1.5, None)):
        with pytest.raises(TypeError, match=r"name=|inplace="):
            rrelu(x, 0.5, 0.5, True, arguments[0], inplace=arguments[1])
