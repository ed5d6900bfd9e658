"""Which Paddle tensors can be served, and what the kernels need to know about them."""

from __future__ import annotations

from typing import Any

import paddle

from rrelu_compat import kernels
from rrelu_compat.errors import DTypeError
from rrelu_compat.layout import overlaps_itself

#: Kernel codes by Paddle dtype.
CODES: dict[Any, int] = {getattr(paddle, name): code for name, code in kernels.DTYPES.items()}
_SINGLE = paddle.float32
DTYPE_OF_CODE = {code: dtype for dtype, code in CODES.items()}

FLAG = "FLAGS_paddle_num_threads"
# The kernels keep small work on one thread whatever they are told; reading the flag costs 4 us.
_SMALL = 1 << 15
_flag_at_import = paddle.get_flags(FLAG)[FLAG]


def thread_count(n: int) -> int:
    """Return how many threads a tensor of `n` elements may use.

    ``paddle.set_flags`` first, then the environment: ``FLAGS_paddle_num_threads``, ``OMP_NUM_THREADS``.
    """
    if n < _SMALL:
        return 1
    flag: int = paddle.get_flags(FLAG)[FLAG]
    return flag if flag != _flag_at_import else kernels.thread_count(FLAG)


def dtype_code(x: Any) -> int:
    """Return the kernels' code of the dtype of a tensor or a static value.

    Raises
    ------
    DTypeError
        If it is none of the four.
    """
    dtype = x.dtype
    if dtype is _SINGLE:  # the most common; hashing a dtype of Paddle's costs 0.4 us
        return kernels.F32
    code = CODES.get(dtype)
    if code is None:
        raise DTypeError(dtype)
    return code


def check_served(x: Any) -> bool:
    """Return whether `x` is on the CPU; else it is on a GPU.

    Raises
    ------
    TypeError
        For what is no tensor, or has no plain memory, or is somewhere else.
    """
    if not isinstance(x, paddle.Tensor):
        if isinstance(x, paddle.static.Variable):
            raise TypeError(
                "x must be a tensor or a value of the present static graph (PIR), got a variable of Paddle's "
                "old one: unset FLAGS_enable_pir_api=0"
            )
        raise TypeError(
            f"x must be a paddle.Tensor, got {type(x).__module__}.{type(x).__qualname__}"
        )
    if not x.is_dense():
        if x.is_dist():
            raise TypeError(
                "x must be a plain tensor, got a distributed one (paddle.distributed.shard_tensor): "
                "use its local part, x._local_value()"
            )
        raise TypeError(
            f"x must be dense, got a sparse Paddle tensor (dtype {x.dtype}): pass x.to_dense()"
        )
    place = x.place
    if place.is_cpu_place():
        return True
    if not place.is_gpu_place():
        raise TypeError(f"x must be on the CPU or a GPU, got a Paddle tensor on {place}")
    return False


def check_no_overlap(x: Any) -> None:
    """Raise where elements of `x` share memory, so that working in place would mix them up."""
    if x.is_contiguous():
        return
    if overlaps_itself(x.shape, x.strides):
        raise ValueError(
            f"x must not overlap itself for inplace=True, got shape {x.shape} with strides {x.strides}: "
            "pass x.clone() or inplace=False"
        )
