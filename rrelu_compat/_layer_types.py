"""What type checkers take ``rrelu_compat.RReLU(..., backend=...)`` for; never imported at run time.

Each is a drop-in layer. Only the constructor is loose: a checker that follows ``RReLU.__new__`` to one
of these also reads its ``__init__`` with the arguments of the neutral class, `backend` among them.
"""

from __future__ import annotations

from typing import Any

import rrelu_compat.paddle
import rrelu_compat.torch
from rrelu_compat.neutral import PlainRReLU


class TorchLayer(rrelu_compat.torch.RReLU):
    """A ``rrelu_compat.torch.RReLU``."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None: ...


class PaddleLayer(rrelu_compat.paddle.RReLU):
    """A ``rrelu_compat.paddle.RReLU``."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None: ...


class PlainLayer(PlainRReLU):
    """A ``rrelu_compat.numpy.RReLU``."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None: ...


class AnyLayer(TorchLayer, PaddleLayer):  # type: ignore[misc]  # each has its own __deepcopy__
    """What ``RReLU(...)`` builds where only the running program knows which: fit for either framework."""
