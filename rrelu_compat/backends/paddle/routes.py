"""Choosing the route of a call: static or eager, on the CPU or a GPU, in place or not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import paddle

from rrelu_compat import kernels
from rrelu_compat.backends.paddle import cpu, cuda, nodes, recompute, seeds, static
from rrelu_compat.backends.paddle.evaluation import leaky_relu_is_exact
from rrelu_compat.backends.paddle.private import Value
from rrelu_compat.backends.paddle.tensors import check_served, dtype_code

if TYPE_CHECKING:
    from rrelu_compat.spec import RReLUSpec


def apply(x: Any, spec: RReLUSpec, training: bool, generator: Any = None) -> Any:
    """Return RReLU of `x`, of its shape and dtype and contiguous; `x` itself if ``spec.inplace``."""
    if generator is not None:
        seeds.check_generator(generator)
    if isinstance(x, Value):
        return static.apply(x, spec, training, generator)
    if check_served(x):
        return _eager(cpu, x, spec, training, generator, None)
    return _on_gpu(x, spec, training, generator)


def _on_gpu(x: Any, spec: RReLUSpec, training: bool, generator: Any) -> Any:
    default = cuda.default_generator(cuda.device_of(x))
    reason = cuda.missing(x)
    if reason is None:
        return _eager(cuda, x, spec, training, generator, default)
    if spec.inplace:
        raise RuntimeError(f"inplace=True needs the CUDA kernels: {reason}; or pass inplace=False")
    # The work is done on the host. Copies between devices are recorded: the gradient takes the same way.
    return _eager(cpu, x.cpu(), spec, training, generator, default).to(x.place)


def _eager(run: Any, x: Any, spec: RReLUSpec, training: bool, generator: Any, default: Any) -> Any:
    code = dtype_code(x)
    lower, upper = spec.slope_range(training, code != kernels.F64)
    recording = nodes.records(x)
    if spec.inplace:
        nodes.check_inplace(x, recording)
    elif not training and not recording and leaky_relu_is_exact(code, lower):
        return paddle.nn.functional.leaky_relu(x, lower)
    y = x if spec.inplace else nodes.room(x, code)
    seed = call = 0
    if training:
        what = (math.prod(x.shape), code, lower, upper) if recompute.seen else None
        seed, call = seeds.draw(generator, default, what)
    key = (seed, call, lower, upper)
    if spec.inplace:
        return nodes.apply_(run, x, code, key, recording)
    return nodes.apply(run, x, y, code, key, recording)


recompute.install()
static.keep_to_static_out()
