"""A call that fails for want of memory has taken no number; and what is said where the kernel is missing."""

import numpy as np
import pytest

from rrelu_compat import Generator
from rrelu_compat.numpy import rrelu, rrelu_vjp

# One number, seen as more elements than any machine has memory for.
HUGE = {order: np.broadcast_to(np.array(-1, f"{order}f4"), (2**46,)) for order in "<>"}
X = -np.ones(50)


#: What makes a generator of each kind; the legacy one is NumPy's own.
SOURCES = {
    "ours": lambda: Generator(5),
    "numpy": lambda: np.random.default_rng(5),
    "legacy": lambda: np.random.seed(5),
}


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("call", [rrelu, rrelu_vjp])
@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_no_number_is_taken_without_memory(order, call, make):
    expected = rrelu(X, training=True, generator=make())
    generator = make()
    for _ in range(3):
        with pytest.raises(MemoryError):
            call(HUGE[order], training=True, generator=generator)
    assert rrelu(X, training=True, generator=generator).tobytes() == expected.tobytes()


@pytest.mark.parametrize("failing", [1, 2])
def test_no_number_is_taken_where_a_later_allocation_fails(monkeypatch, failing):
    """An array of another byte order needs memory for the result and for its bytes in order."""
    swapped = X.astype(X.dtype.newbyteorder("S"))
    generator = Generator(5)
    kept, calls = {name: getattr(np, name) for name in ("empty", "empty_like")}, []

    def fail(name):
        def allocate(*arguments, **options):
            calls.append(name)
            if len(calls) == failing:
                raise MemoryError
            return kept[name](*arguments, **options)

        return allocate

    with monkeypatch.context() as patch:
        for name in kept:
            patch.setattr(np, name, fail(name))
        with pytest.raises(MemoryError):
            rrelu(swapped, training=True, generator=generator)
    expected = rrelu(swapped, training=True, generator=Generator(5))
    assert rrelu(swapped, training=True, generator=generator).tobytes() == expected.tobytes()
