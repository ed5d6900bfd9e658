"""A user's program, for mypy --strict and pyright: what is right passes, what is wrong is noticed.

A comment that silences an error which does not occur is an error itself, in both checkers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import paddle
import torch
from typing_extensions import assert_type

import rrelu_compat
import rrelu_compat.numpy
import rrelu_compat.paddle
import rrelu_compat.torch
from rrelu_compat import RReLU, rrelu

Array = npt.NDArray[np.float64]
x: Array = np.ones(3)

# The function returns what it is given.
assert_type(rrelu(torch.ones(3), training=True), torch.Tensor)
assert_type(rrelu(paddle.ones([3]), training=True), paddle.Tensor)
assert_type(rrelu(x, training=True, generator=rrelu_compat.Generator(7)), Array)
rrelu(x, 0.1, 0.2, True, training=True)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
rrelu("x", training="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
rrelu(x)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]

# The neutral layer is its framework's, and ours.
torch_layer: torch.nn.RReLU = RReLU(backend="torch")
ours: rrelu_compat.torch.RReLU = RReLU(0.1, 0.3, True, backend="torch")
paddle_layer: paddle.nn.RReLU = RReLU(backend="paddle")
paddle_ours: rrelu_compat.paddle.RReLU = RReLU(0.1, 0.3, "name", backend="paddle")
plain: rrelu_compat.numpy.RReLU = RReLU(backend="numpy")
model = torch.nn.Sequential(torch.nn.Linear(2, 2), RReLU(backend="torch"))
either = RReLU(0.1, 0.3)
as_torch: torch.nn.RReLU = either
as_paddle: paddle.nn.RReLU = either
torch.nn.Sequential(torch.nn.Linear(2, 2), RReLU())
assert_type(either.spec, rrelu_compat.RReLUSpec)
not_a_tensor: int = either  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
assert_type(ours.lower, float)
assert_type(ours.spec, rrelu_compat.RReLUSpec)
assert_type(plain.eval().training, bool)
RReLU("0.1", backend="torch")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
RReLU(bakend="torch")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
wrong: torch.nn.RReLU = RReLU(backend="paddle")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# The drop-ins are layers of their framework, with its own order of arguments.
drop_in: torch.nn.RReLU = rrelu_compat.torch.RReLU(0.1, 0.3, True)
assert_type(rrelu_compat.torch.RReLU(), rrelu_compat.torch.RReLU)
assert_type(rrelu_compat.torch.rrelu(torch.ones(3)), torch.Tensor)
assert_type(rrelu_compat.torch.rrelu_(torch.ones(3), 0.1, 0.3, True), torch.Tensor)
paddle_drop_in: paddle.nn.Layer = rrelu_compat.paddle.RReLU(0.1, 0.3, "name")
assert_type(rrelu_compat.paddle.RReLU(), rrelu_compat.paddle.RReLU)
assert_type(rrelu_compat.paddle.rrelu(paddle.ones([3])), paddle.Tensor)
rrelu_compat.torch.RReLU("0.1")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


class Mine(rrelu_compat.torch.RReLU):
    """Subclasses have a constructor of their own."""

    def __init__(self, steepness: int) -> None:
        super().__init__(0.1 * steepness, 0.3 * steepness)


assert_type(Mine(2), Mine)


def describe(layer: RReLU) -> str:
    """Take a layer of any backend."""
    return repr(layer)


describe(rrelu_compat.torch.RReLU())
describe(rrelu_compat.paddle.RReLU())
describe(rrelu_compat.numpy.RReLU())
describe(torch.nn.RReLU())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

y, vjp = rrelu_compat.numpy.rrelu_vjp(x, training=True)
gradient: npt.NDArray[Any] = vjp(y)
slopes: npt.NDArray[Any] = rrelu_compat.slopes((2, 3), seed=7)
