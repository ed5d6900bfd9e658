"""Choosing the route of a call: static or eager, on the CPU or a GPU, in place or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paddle

from rrelu_compat import kernels
from rrelu_compat.backends.paddle import cuda, eager, recompute, seeds, static
from rrelu_compat.backends.paddle.evaluation import leaky_relu_is_exact
from rrelu_compat.backends.paddle.tensors import check_served, dtype_code

if TYPE_CHECKING:
    from rrelu_compat.spec import RReLUSpec

Value = paddle.pir.Value


def apply(x: Any, spec: RReLUSpec, training: bool, generator: Any = None) -> Any:
    """Return RReLU of `x`, of its shape and dtype and contiguous; `x` itself if ``spec.inplace``."""
    if generator is not None:
        seeds.check_generator(generator)
    if isinstance(x, Value):
        return static.apply(x, spec, training, generator)
    if not check_served(x):
        return cuda.apply(x, spec, training, generator)
    code = dtype_code(x)
    lower, upper = spec.slope_range(training, code != kernels.F64)
    recording = eager.records(x)
    if spec.inplace:
        eager.check_inplace(x, recording)
        key = (*seeds.draw(generator), lower, upper) if training else (0, 0, lower, upper)
        return eager.apply_(x, code, key, recording)
    if training:
        return eager.apply(x, code, (*seeds.draw(generator), lower, upper), recording)
    if not recording and leaky_relu_is_exact(code, lower):
        return paddle._C_ops.leaky_relu(x, lower)
    return eager.apply(x, code, (0, 0, lower, upper), recording)


recompute.install()
static.keep_to_static_out()
