"""What the Paddle features of the support table share: inputs and checks."""

from __future__ import annotations

import numpy as np
import paddle

SHAPE = [4, 3, 5, 5]
MEAN = (1 / 8 + 1 / 3) / 2


def sample(shape=SHAPE, dtype="float32", requires_grad=True):
    """Return a tensor with both signs and zeros."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x.reshape(-1)[::7] = 0
    return (
        paddle.to_tensor(x).astype(dtype).detach().clone() if not requires_grad else leaf(x, dtype)
    )


def leaf(x, dtype):
    """Return a leaf that requires a gradient."""
    tensor = paddle.to_tensor(x).astype(dtype).detach().clone()
    tensor.stop_gradient = False
    return tensor


def numbers(tensor):
    """Return a tensor as a float64 array."""
    return tensor.astype("float32").numpy().astype(np.float64)


def leaky(x):
    """Return what evaluation gives."""
    x = numbers(x)
    return np.where(x >= 0, x, MEAN * x)


def assert_is_rrelu(x, y, grad=None):
    """Check result and gradient (of the sum) of a training call: slopes in bounds, the same in both."""
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    tolerance = 2.0**-6 if x.dtype in (paddle.float16, paddle.bfloat16) else 1e-5
    x, y = numbers(x.detach()), numbers(y.detach())
    negative = x < 0
    assert (y[~negative] == x[~negative]).all()
    slopes = y[negative] / x[negative]
    assert slopes.min() >= 1 / 8 - tolerance
    assert slopes.max() <= 1 / 3 + tolerance
    assert slopes.std() > 0.01
    if grad is not None:
        grad = numbers(grad)
        assert np.allclose(grad[negative], slopes, atol=tolerance)
        assert (grad[x > 0] == 1).all()


def train(layer, x):
    """Run forward and backward and check them."""
    y = layer(x)
    y.sum().backward()
    assert_is_rrelu(x, y, x.grad)
