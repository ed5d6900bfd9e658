"""CuPy on a GPU: bits, sources, streams."""

import numpy as np
import pytest

from rrelu_compat import Generator
from rrelu_compat import numpy as on_cpu

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced", "empty"])
def test_bits_are_those_of_the_cpu(dtype, training, layout):
    import cupy

    from rrelu_compat.cupy import rrelu_, rrelu_vjp

    x = np.random.default_rng(1).normal(size=(16, 16, 7)).astype(dtype)
    view = {
        "contiguous": lambda a: a,
        "transposed": lambda a: a.transpose(2, 0, 1),
        "sliced": lambda a: a[:, ::-2, 1:],
        "empty": lambda a: a[:0],
    }[layout]
    y, vjp = rrelu_vjp(
        view(cupy.asarray(x)), -1.0, 2.0, training=training, generator=Generator(2, 7)
    )
    expected, pull = on_cpu.rrelu_vjp(
        view(x), -1.0, 2.0, training=training, generator=Generator(2, 7)
    )
    assert y.get().tobytes() == expected.tobytes()
    assert y.strides == expected.strides
    assert vjp(y).get().tobytes() == pull(expected).tobytes()
    z = view(cupy.asarray(x))
    assert rrelu_(z, training=training, generator=Generator(1)) is z
    assert (
        z.get().tobytes()
        == on_cpu.rrelu(view(x), training=training, generator=Generator(1)).tobytes()
    )


def test_the_conformance_run():
    from rrelu_compat.cli import main

    assert main(["conformance", "cupy", "--device", "cuda"]) == 0


def test_sources_and_streams():
    import cupy

    from rrelu_compat.cupy import rrelu

    x = cupy.full(1000, -1.0)

    def draw():
        cupy.random.seed(3)
        return [rrelu(x, training=True).get() for _ in range(2)]

    a, b = draw(), draw()
    assert (a[0] == b[0]).all()
    assert (a[1] == b[1]).all()
    assert not (a[0] == a[1]).all()
    generator = cupy.random.default_rng(5)
    assert (rrelu(x, training=True, generator=generator) < 0).all()
    with cupy.cuda.Stream() as stream:
        y = rrelu(x * 1, training=True, generator=Generator(1))
        stream.synchronize()
    assert (
        y.get() == on_cpu.rrelu(np.full(1000, -1.0), training=True, generator=Generator(1))
    ).all()
