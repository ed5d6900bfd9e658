"""One RReLU (randomized leaky ReLU) in NumPy, PyTorch and Paddle: one meaning, one stream of slopes."""

from __future__ import annotations

from rrelu_compat import preload  # noqa: F401  # watches imports
from rrelu_compat.dispatch import (
    Backend,
    available_backends,
    register_backend,
    set_default_backend,
)
from rrelu_compat.errors import BoundsError, DTypeError, RecomputeError
from rrelu_compat.foreign import paddle_rrelu, paddle_rrelu_, torch_rrelu, torch_rrelu_
from rrelu_compat.generator import Generator, manual_seed
from rrelu_compat.neutral import RReLU, rrelu
from rrelu_compat.slopes import slopes
from rrelu_compat.spec import RReLUSpec

__version__ = "0.1.0"

__all__ = [
    "Backend",
    "BoundsError",
    "DTypeError",
    "Generator",
    "RReLU",
    "RReLUSpec",
    "RecomputeError",
    "__version__",
    "available_backends",
    "manual_seed",
    "paddle_rrelu",
    "paddle_rrelu_",
    "register_backend",
    "rrelu",
    "set_default_backend",
    "slopes",
    "torch_rrelu",
    "torch_rrelu_",
]
