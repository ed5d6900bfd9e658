"""What the PyTorch features of the support table share: inputs and checks."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
SHAPE = (4, 3, 5, 5)


def sample(shape=SHAPE, dtype=torch.float32, requires_grad=True):
    """Return a tensor with both signs and zeros."""
    torch.manual_seed(0)
    x = torch.randn(shape).to(dtype)
    x.view(-1)[::7] = 0
    return x.requires_grad_(requires_grad)


def assert_is_rrelu(x, y, grad=None, lower=1 / 8, upper=1 / 3):
    """Check result and gradient (of the sum) of a training call: slopes in bounds, the same in both."""
    x, y = x.detach(), y.detach()
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    negative = x < 0
    assert torch.equal(y[~negative], x[~negative])
    tolerance = 2.0**-6 if x.dtype in (torch.float16, torch.bfloat16) else 1e-5
    slopes = y[negative].double() / x[negative].double()
    assert slopes.min() >= lower - tolerance
    assert slopes.max() <= upper + tolerance
    assert slopes.std() > 0.01
    if grad is not None:
        assert torch.allclose(grad[negative].double(), slopes, atol=tolerance)
        assert (grad[x > 0] == 1).all()


def train(layer, x):
    """Run forward and backward and check them."""
    y = layer(x)
    y.sum().backward()
    assert_is_rrelu(x, y, x.grad)


def seed_all():
    """Set every source of slopes back."""
    import rrelu_compat

    rrelu_compat.manual_seed(3)
    torch.manual_seed(3)
