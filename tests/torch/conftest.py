"""What the PyTorch tests share: the definition, written without any kernel, and a clean random state."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

import rrelu_compat
from rrelu_compat import slopes
from rrelu_compat.backends.torch import recompute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Modules that several tests of this folder share.
sys.path.insert(0, str(Path(__file__).parent))
from torch_recomputation import SOURCES, Source

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class Definition:
    """RReLU written down once more."""

    dtypes = DTYPES

    @staticmethod
    def slopes(x: Any, lower: float, upper: float, seed: int, call: int = 0) -> torch.Tensor:
        compute = "float64" if x.dtype is torch.float64 else "float32"
        made = slopes(tuple(x.shape), lower, upper, seed=seed, call=call, dtype=compute)
        return torch.from_numpy(made)

    @staticmethod
    def scaled(x: Any, v: Any, slope: Any) -> torch.Tensor:
        """`v` where ``x >= 0``, else ``slope * v`` in the dtype of `v`."""
        x, v = x.detach(), v.detach()
        product = (v.to(slope.dtype) * slope).to(v.dtype)
        return torch.where(x >= 0, v, product)

    @classmethod
    def training(
        cls, x: Any, lower: float, upper: float, seed: int, call: int = 0
    ) -> tuple[torch.Tensor, Callable[[Any], torch.Tensor]]:
        """The output of a training call and the function from its gradient to that of the input."""
        a = cls.slopes(x, lower, upper, seed, call)
        x = x.detach().clone()
        return cls.scaled(x, x, a), lambda g: cls.scaled(x, g, a)

    @classmethod
    def evaluation(
        cls, x: Any, lower: float, upper: float
    ) -> tuple[torch.Tensor, Callable[[Any], torch.Tensor]]:
        compute = torch.float64 if x.dtype is torch.float64 else torch.float32
        m = torch.tensor((lower + upper) / 2, dtype=compute)
        x = x.detach().clone()
        return cls.scaled(x, x, m), lambda g: cls.scaled(x, g, m)

    @staticmethod
    def same_bits(a: Any, b: Any) -> bool:
        """Equal shape, dtype and bits; any NaN equals any NaN."""
        if a.shape != b.shape or a.dtype != b.dtype:
            return False
        a, b = a.detach().contiguous(), b.detach().contiguous()
        bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
        nan = a.isnan() & b.isnan()
        return bool(((a.view(bits) == b.view(bits)) | nan).all())


@pytest.fixture
def definition() -> type[Definition]:
    return Definition


@pytest.fixture(autouse=True)
def _clean_state() -> Iterator[None]:
    torch.manual_seed(0)
    yield
    rrelu_compat.manual_seed(None)
    torch.set_default_device(None)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest) -> Source:
    return Source(request.param)


@pytest.fixture
def nothing_stays_remembered() -> Iterator[None]:
    yield
    if recompute.remembered():  # an exception that a test caught may keep its frames in a cycle
        gc.collect()
    assert recompute.remembered() == 0
