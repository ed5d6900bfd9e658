"""Paddle on a GPU: bits, sources, recomputation."""

import numpy as np
import pytest

from rrelu_compat import Generator, manual_seed

pytestmark = pytest.mark.gpu

DTYPES = ["float16", "bfloat16", "float32", "float64"]


@pytest.fixture(autouse=True)
def paddle_sees_it():
    import paddle

    if not paddle.device.is_compiled_with_cuda() or not paddle.device.cuda.device_count():
        pytest.fail("pytest -m gpu needs a CUDA build of Paddle (paddlepaddle-gpu)", pytrace=False)
    yield
    manual_seed(None)


def run(x, place, layout, inplace=False, **keywords):
    import paddle

    from rrelu_compat.paddle import rrelu

    leaf = paddle.to_tensor(x, place=place)
    leaf.stop_gradient = False
    h = (
        leaf.transpose([2, 0, 1])
        if layout == "transposed"
        else leaf[:, ::2]
        if layout == "sliced"
        else leaf
    )
    h = h * 1 if inplace else h
    y = rrelu(h, -1.0, 2.0, generator=Generator(5, 2), inplace=inplace, **keywords)
    (g,) = paddle.grad(y, leaf, paddle.full_like(y, 0.3))
    return y.cpu().numpy(), g.cpu().numpy()


def test_the_conformance_run():
    from rrelu_compat.cli import main

    assert main(["conformance", "paddle", "--device", "gpu"]) == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "sliced"])
def test_bits_are_those_of_the_cpu(dtype, training, layout):
    import ml_dtypes
    import paddle

    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    x = np.random.default_rng(1).normal(size=(6, 8, 7)).astype(kind)
    for inplace in (False, True):
        a, b = (
            run(x, place, layout, inplace, training=training)
            for place in (paddle.CUDAPlace(0), paddle.CPUPlace())
        )
        assert all(p.tobytes() == q.tobytes() for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_recomputation(reentrant, own):
    import paddle
    from paddle.distributed.fleet.utils import recompute

    from rrelu_compat.paddle import rrelu

    def gradient(recomputed):
        paddle.seed(5)
        generator = Generator(3) if own else None
        x = paddle.linspace(-1, 1, 999).cuda()
        x.stop_gradient = False

        def segment(x):
            return rrelu(rrelu(x * 2, generator=generator) - 0.1, generator=generator)

        y = recompute(segment, x, use_reentrant=reentrant) if recomputed else segment(x)
        paddle.rand([3])
        y.square().sum().backward()
        return x.grad.numpy()

    assert (gradient(True) == gradient(False)).all()
