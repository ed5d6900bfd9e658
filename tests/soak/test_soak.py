"""20,000 training steps with recomputation and reseeding: memory flat, no two steps with the same slopes."""

import gc
import hashlib

import pytest

import rrelu_compat
from rrelu_compat import Generator

pytestmark = pytest.mark.slow

STEPS, WARM = 20_000, 4_000
# Allocators round up and keep pages; a leak of one small object a step would be several MB.
ALLOWED_GROWTH = 2 * 2**20


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def soak(step):
    """Run `step(number)`, which returns the slopes it used as bytes, and check both promises."""
    seen, before = set(), 0
    for number in range(STEPS):
        seen.add(hashlib.blake2b(step(number), digest_size=12).digest())
        if number == WARM:
            gc.collect()
            before, known = resident_bytes(), len(seen)
    gc.collect()
    # The set of digests grows too: measured at about 100 bytes an entry with its table.
    growth = resident_bytes() - before - 160 * (len(seen) - known)
    assert len(seen) == STEPS
    figure = f"{growth / 2**20:+.2f} MiB in {STEPS - WARM} steps"
    print(f"{len(seen)} different slopes, {figure}")
    assert growth < ALLOWED_GROWTH, figure


@pytest.fixture(params=["process", "own", "framework"])
def source(request):
    """Where the slopes come from: manual_seed, a Generator of the layer, the framework."""
    if request.param == "process":
        rrelu_compat.manual_seed(1)
    yield request.param
    rrelu_compat.manual_seed(None)


@pytest.mark.parametrize("reentrant", [True, False])
def test_torch(source, reentrant):
    import torch
    from torch.utils.checkpoint import checkpoint

    from rrelu_compat.torch import RReLU

    generator = Generator(2) if source == "own" else None
    layer = RReLU(0.0, 1.0, generator=generator)
    linear = torch.nn.Linear(8, 8)
    optimizer = torch.optim.SGD(linear.parameters(), 1e-3)
    x = torch.full((2, 8), -1.0, requires_grad=True)

    def step(number):
        # Everyone's habit that breaks naive remembering: the same few seeds over and over.
        torch.manual_seed(number if source == "framework" else number % 5)
        slopes = checkpoint(layer, x, use_reentrant=reentrant)
        loss = checkpoint(lambda h: layer(linear(h)), slopes, use_reentrant=reentrant).sum()
        optimizer.zero_grad()
        x.grad = None
        loss.backward()
        optimizer.step()
        return slopes.detach().numpy().tobytes()

    soak(step)


@pytest.mark.parametrize("reentrant", [True, False])
def test_paddle(source, reentrant):
    import paddle
    from paddle.distributed.fleet.utils import recompute

    from rrelu_compat.paddle import RReLU

    generator = Generator(2) if source == "own" else None
    layer = RReLU(0.0, 1.0, generator=generator)
    linear = paddle.nn.Linear(8, 8)
    optimizer = paddle.optimizer.SGD(1e-3, parameters=linear.parameters())
    x = paddle.full([2, 8], -1.0)
    x.stop_gradient = False

    def step(number):
        paddle.seed(number if source == "framework" else number % 5)
        slopes = recompute(layer, x, use_reentrant=reentrant)
        loss = recompute(lambda h: layer(linear(h)), slopes, use_reentrant=reentrant).sum()
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        x.clear_gradient()
        return slopes.detach().numpy().tobytes()

    soak(step)
