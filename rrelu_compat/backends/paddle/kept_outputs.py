"""Which of Paddle's operations keep their output for backward: nothing can be written into it in place.

Paddle notices such a write in backward alone, and names neither the layer nor a cure. The names were found,
and are held, by tests/paddle/test_in_place_after_layers.py, which runs every layer.
"""

from __future__ import annotations

from typing import Any

_KEEPERS = {
    "Amax", "Amin", "Cholesky", "Cumprod", "Dist", "Divide", "Elu", "Erfinv", "Exp", "Expm1",
    "GroupNorm", "GumbelSoftmax", "Hardsigmoid", "I0e", "I1", "I1e", "Inverse", "Lerp", "LogSoftmax",
    "Logcumsumexp", "Logsumexp", "LpPool2d", "Max", "Maxout", "Median", "Min", "Nanmedian", "PNorm",
    "Pool2d", "Pool3d", "Prod", "Reciprocal", "Relu", "Relu6", "Rnn", "Rsqrt", "Selu", "Sigmoid", "Silu",
    "Softmax", "Sqrt", "Tanh",
}  # fmt: skip
# Their output shares its version, and mostly its memory, with their input.
_VIEWS = {
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Diagonal",
    "ViewShape",
    "Reshape",
    "Flatten",
}


def _operation(node: Any) -> str:
    name: str = node.name()
    return name.removesuffix("Final").removesuffix("GradNode")


def keeper(x: Any) -> str | None:
    """Return the operation that keeps the memory of `x`, its output, for backward; None if none does."""
    node, before = x.grad_fn, ""
    while node is not None:
        operation = _operation(node)
        if operation in _KEEPERS:
            return operation
        # Two reshapes are RReLU, whose output is memory of its own.
        if operation not in _VIEWS or operation == before == "Reshape":
            return None
        following = node.next_functions
        node, before = (following[0] if following else None), operation
    return None
