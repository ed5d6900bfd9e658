"""Where a training call of Paddle takes its seed and call number from."""

from __future__ import annotations

from typing import Any

from rrelu_compat.backends.paddle import recompute
from rrelu_compat.backends.paddle.private import FrameworkGenerator
from rrelu_compat.backends.paddle.private import default_cpu_generator as default_generator
from rrelu_compat.generator import Generator, process_generator


def check_generator(generator: Any) -> None:
    """Raise a ``TypeError`` unless `generator` can be drawn from."""
    if generator is not None and not isinstance(generator, (Generator, FrameworkGenerator)):
        raise TypeError(
            "generator must be a rrelu_compat.Generator, a paddle.base.core.Generator or None, got "
            f"{type(generator).__module__}.{type(generator).__qualname__} generator={generator!r}"
        )


def draw(generator: Any, default: Any = None, what: recompute.What = None) -> tuple[int, int]:
    """Return the ``(seed, call)`` of one training call.

    Parameters
    ----------
    generator : rrelu_compat.Generator, paddle.base.core.Generator or None
    default : paddle.base.core.Generator, optional
        Paddle's default generator of the tensor's device; that of the CPU if not given.
    what : tuple, optional
        What the call is, to know it again when it is recomputed.
    """
    if default is None:
        default = default_generator()
    # One number whatever the source, so that the streams of other random layers don't depend on it.
    seed: int = default.random()
    if recompute.seen:
        return recompute.draw(generator, default, seed, what)
    if generator is None:
        generator = process_generator()
        if generator is None:
            return seed, 0
    if isinstance(generator, Generator):
        return generator.take()
    if generator is default:
        return seed, 0
    seed = generator.random()
    return seed, 0
