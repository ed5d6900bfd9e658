"""RReLU in static graphs: ``to_static``, ``paddle.static.Program``, and what is saved from them.

In training two Python operations stand in the program: one draws ``(seed, call)``, one makes the multipliers
(1 or the slope) of every element; Paddle's own ``multiply`` applies them, and differentiates. Executors run
independent branches in any order, so every draw takes the one before it as an input: the numbers come in
the order of the program, as they do in the dynamic graph.

In evaluation there are Paddle's operations alone, so the program can be saved and exported.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import warnings
import weakref
from typing import Any

import numpy as np
import paddle

from rrelu_compat import kernels, neutral
from rrelu_compat.backends.paddle import nodes, private, recompute, seeds
from rrelu_compat.backends.paddle.evaluation import leaky_relu_is_exact
from rrelu_compat.backends.paddle.export import purpose
from rrelu_compat.backends.paddle.tensors import dtype_code
from rrelu_compat.fork import lock
from rrelu_compat.spec import RReLUSpec

_DRAW = "rrelu_compat_draw"


class _Source:
    """A generator as a constant of operations, which are told apart by its hash.

    The operations alone keep it: a program may live longer than its layer, and needs the generator.
    """

    __slots__ = ("__weakref__", "_number", "generator")

    def __init__(self, generator: Any) -> None:
        self.generator = generator
        # Never used again, unlike an address: Paddle would take the operation that had it before.
        self._number = next(_numbers)

    def __hash__(self) -> int:
        return self._number


_numbers = itertools.count()
_lock = lock()
_of_default = _Source(None)
# By the address of a generator, which lives as long as its source.
_sources: weakref.WeakValueDictionary[int, _Source] = weakref.WeakValueDictionary()


def _source(generator: Any) -> _Source:
    """Return the source of a generator: the same one as long as an operation has it."""
    if generator is None:
        return _of_default
    with _lock:
        source = _sources.get(id(generator))
        if source is None:
            source = _sources[id(generator)] = _Source(generator)
    return source


def _is_test(flag: Any) -> bool:
    return bool(flag.item() == 1)


def _draw_meta(previous: Any, flag: Any, source: _Source) -> Any:
    return paddle.static.MetaTensor(shape=[2], dtype=paddle.int64)


def _draw(previous: Any, flag: Any, source: _Source) -> Any:
    """Draw the seed and call number of one training call when the program runs."""
    key = (0, 0)
    if not _is_test(flag):
        with recompute.in_thread_of_the_executor():
            key = seeds.draw(source.generator)
    return paddle.to_tensor(np.array(key, dtype=np.uint64).view(np.int64))


def _multipliers_meta(x: Any, key: Any, flag: Any, lower: str, upper: str) -> Any:
    double = x.dtype == paddle.float64
    return paddle.static.MetaTensor(
        shape=x.shape, dtype=paddle.float64 if double else paddle.float32
    )


def _multipliers(x: Any, key: Any, flag: Any, lower: str, upper: str) -> Any:
    """Return 1 where ``x >= 0``, else the slope, in the compute dtype."""
    # Bounds come as hexadecimal strings: -1.0 and -2.0 have the same hash, which names the operation.
    low, high = float.fromhex(lower), float.fromhex(upper)
    if _is_test(flag):
        low = high = (low + high) / 2
    seed, call = (int(word) for word in key.numpy().view(np.uint64))
    return nodes.multipliers(x, dtype_code(x), (seed, call, low, high))


@functools.cache
def _operations() -> tuple[Any, Any]:
    """Return the operations of programs; Paddle before 3.3 can't have any.

    Raises
    ------
    RuntimeError
        If this Paddle takes no operations made of Python functions.
    """
    register = private.lookup("paddle.static:register_op", "RReLU in training in a static graph")
    draw = register(
        name=_DRAW,
        input_names=["previous", "flag"],
        output_names=["key"],
        infer_meta=_draw_meta,
    )(_draw)
    multipliers = register(
        name="rrelu_compat_multipliers",
        input_names=["x", "key", "flag"],
        output_names=["multipliers"],
        infer_meta=_multipliers_meta,
    )(_multipliers)
    return draw, multipliers


def _draws(op: Any) -> bool:
    """Whether an operation of a program draws, itself or in its blocks."""
    if _DRAW in op.name():
        return True
    return any(_draws(inner) for block in op.blocks() for inner in block.ops)


def _previous_draw(x: Any) -> Any:
    """Return a value that is there only after the draws before this point of the program; else `x`.

    Only values of this block and those around it: one of a finished branch would abort the process.
    """
    block = paddle.pir.get_current_insertion_point().block()
    before: Any = None  # the operation whose block we come from
    while block is not None:
        ops = list(block.ops)
        if before is not None:
            ops = ops[: next(k for k, op in enumerate(ops) if op.id() == before.id())]
        for op in reversed(ops):
            if op.num_results() and _draws(op):
                return op.result(0)
        before = block.parent_op
        if before is None or before.name() == "builtin.module":
            return x
        block = before.get_parent_block()
    return x


def _fixed(x: Any) -> Any:
    x.stop_gradient = True
    return x


def _scale(x: Any, code: int, multipliers: Any) -> Any:
    if code in (kernels.F16, kernels.BF16):
        # The half types have no arithmetic on the CPU.
        return (x.astype("float32") * multipliers).astype(x.dtype)
    return x * multipliers


def _test_flag() -> Any:
    """Return a value that is 0, and 1 once a clone of the program is switched to its test form.

    Python operations have no attribute that the switch could set, but dropout has; with ``p=1`` it draws
    nothing. The switch does not reach into branches and loops, so it stands before the outermost of them.
    """
    block = paddle.pir.get_current_insertion_point().block()
    inner, outermost = block, None
    while (before := block.parent_op) is not None and before.name() != "builtin.module":
        outermost, block = before, before.get_parent_block()
    if outermost is not None:
        paddle.pir.set_insertion_point(outermost)
    flag = paddle.nn.functional.dropout(paddle.full([1], 1.0, "float32"), 1.0)
    if outermost is not None:
        paddle.pir.set_insertion_point_to_block_end(inner)
    return flag


def _train(x: Any, code: int, lower: float, upper: float, generator: Any) -> Any:
    draw, make = _operations()
    flag = _test_flag()
    key = _fixed(draw(_previous_draw(x), flag, _source(generator)))
    made = make(x, key, flag, lower.hex(), upper.hex())
    return _scale(x, code, _fixed(made))


def _evaluate(x: Any, code: int, slope: float) -> Any:
    what = purpose()
    if what == "onnx" and code == kernels.F32:
        # Paddle2ONNX writes a wrong slope for every leaky_relu of Paddle 3.3.
        return paddle.nn.functional.prelu(x, paddle.full([1], slope, "float32"))
    exact = leaky_relu_is_exact(code, slope)
    if exact and what != "onnx" and (what == "save" or x.stop_gradient):
        return private.C_ops.leaky_relu(x, slope)
    # Its gradient is wrong at NaN; and these have gradients of any order.
    compute = "float64" if code == kernels.F64 else "float32"
    wide = x.astype(compute)
    one, constant = (paddle.full([], value, compute) for value in (1.0, slope))
    passes = wide >= paddle.full([], 0.0, compute)
    return _scale(x, code, _fixed(paddle.where(passes, one, constant)))


def keep_to_static_out() -> None:
    """Make ``to_static`` take our functions whole: rewriting them breaks them."""
    # By source (full_graph=True).
    paddle.jit.ignore_module([sys.modules["rrelu_compat"]])
    # By bytecode (full_graph=False): where a function is called in a traced frame ...
    for function in (neutral.rrelu, RReLUSpec.apply):
        private.take_whole(function)
    # ... and where its own frame would be traced, after a break of the graph.
    try:
        skipped = private.lookup("paddle.jit.sot.opcode_translator:skip_files", "to_static")
    except RuntimeError:
        return  # private.USES says what is lost: such a frame fails, it does not go wrong
    skipped.skip_file_names.add(os.path.dirname(neutral.__file__) + os.sep)
    skipped.setup_skip_files()


def apply(x: Any, spec: RReLUSpec, training: bool, generator: Any) -> Any:
    """Append RReLU of the value `x` to the program that is being built."""
    code = dtype_code(x)
    if spec.inplace:
        warnings.warn(
            "in a static graph inplace=True works out of place, as Paddle's own in-place functions "
            "do: use the result, not the input",
            UserWarning,
            stacklevel=4,
        )
    lower, upper = spec.slope_range(training, code != kernels.F64)
    if training and purpose() == "run":
        return _train(x, code, lower, upper, generator)
    return _evaluate(x, code, spec.eval_slope)
