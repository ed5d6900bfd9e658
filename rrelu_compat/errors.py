"""The package's exceptions.

Each is also what PyTorch and what Paddle raise in the same situation, so that ``except`` clauses of
ported code keep working.
"""

from __future__ import annotations


def install_hint(extra: str) -> str:
    """Return what to type to install an extra of this package, from an index and in a clone."""
    return f"pip install 'rrelu-compat[{extra}]' (in a clone: pip install -c constraints.txt '.[{extra}]')"


class BoundsError(ValueError, RuntimeError):
    """Bounds that RReLU cannot use: unordered, or not finite.

    A ``ValueError`` (Paddle's answer) and a ``RuntimeError`` (PyTorch's).
    """


class DTypeError(TypeError, NotImplementedError):
    """A dtype other than float16, bfloat16, float32 and float64.

    A ``TypeError`` and a ``NotImplementedError`` (PyTorch's answer).
    """

    def __init__(self, dtype: object) -> None:
        super().__init__(f"dtype must be float16, bfloat16, float32 or float64, got {dtype}")
        self.dtype = dtype

    def __reduce__(self) -> tuple[type[DTypeError], tuple[object]]:
        return type(self), (self.dtype,)


class RecomputeError(RuntimeError):
    """A recomputed forward whose slopes cannot be known to be those of the original forward."""
