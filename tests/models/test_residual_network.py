"""A small residual network on scikit-learn's digits, trained in every way a framework offers.

Each way is compared with plain eager training from the same weights and slopes: equal losses where the
arithmetic is the same, a stated tolerance where the framework itself computes otherwise.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

import rrelu_compat

ROOT = pathlib.Path(__file__).parents[2]
STEPS, BATCH, RATE = 12, 32, 0.05


@pytest.fixture(autouse=True)
def _process_stream_off():
    yield
    rrelu_compat.manual_seed(None)


def batches():
    """Return (images, labels) for each step."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    random = np.random.default_rng(0)
    rows = [random.choice(len(images), BATCH, replace=False) for _ in range(STEPS)]
    return [(images[r], labels[r]) for r in rows]


def torch_network():
    """Return the network in PyTorch, of fixed weights; block by block for checkpoints."""
    import torch
    from torch import nn

    from rrelu_compat.torch import RReLU

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)
            self.inner, self.outer = RReLU(), RReLU(inplace=True)

        def forward(self, x):
            return self.outer(x + self.second(self.inner(self.first(x))))

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), RReLU(), Block(), Block(), nn.Flatten(), nn.Linear(512, 10)
    )


def train_torch(model, forward, *, context=None, seed=1):
    """Return the losses of `STEPS` steps; `forward(model, x)` is the way."""
    import contextlib

    import torch
    from torch.nn.functional import cross_entropy

    rrelu_compat.manual_seed(seed)
    torch.manual_seed(1)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    losses = []
    for images, labels in batches():
        with context or contextlib.nullcontext():
            loss = cross_entropy(forward(model, torch.from_numpy(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def plain(model, x):
    return model(x)


def test_torch_checkpointing_gives_the_same_bits():
    from torch.utils.checkpoint import checkpoint

    eager = train_torch(torch_network(), plain)
    assert eager[-1] < eager[0]
    for reentrant in (True, False):

        def in_blocks(model, x, reentrant=reentrant):
            for block in model:
                x = checkpoint(block, x, use_reentrant=reentrant) if x.requires_grad else block(x)
            return x

        assert train_torch(torch_network(), in_blocks) == eager


@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_torch_compiled_training_follows_eager(backend):
    import torch

    eager = train_torch(torch_network(), plain)
    model = torch_network()
    compiled = torch.compile(model, backend=backend, fullgraph=True)
    losses = train_torch(model, lambda _, x: compiled(x))
    # Inductor sums in another order; the slopes are the same, or this would be off by a hundredth.
    assert losses == pytest.approx(eager, rel=1e-5)


def test_torch_autocast_follows_eager_to_the_precision_of_bfloat16():
    import torch

    eager = train_torch(torch_network(), plain)
    losses = train_torch(
        torch_network(), plain, context=torch.autocast("cpu", torch.bfloat16, cache_enabled=False)
    )
    assert losses == pytest.approx(eager, rel=3e-4)
    # Other slopes are seen at this tolerance.
    assert train_torch(torch_network(), plain, seed=2) != pytest.approx(eager, rel=3e-4)


def ddp_worker(rank, port, folder):
    """Train under DistributedDataParallel on every other sample of each batch."""
    import torch
    import torch.distributed as dist
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=2)
    model = torch.nn.parallel.DistributedDataParallel(torch_network())
    rrelu_compat.manual_seed(rank)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    losses = []
    for images, labels in batches():
        x, t = torch.from_numpy(images[rank::2].copy()), torch.from_numpy(labels[rank::2].copy())
        loss = cross_entropy(model(x), t)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    pathlib.Path(folder, f"{rank}.json").write_text(json.dumps(losses))
    dist.destroy_process_group()


def test_torch_distributed_training_equals_averaging_by_hand(tmp_path):
    import torch
    from torch.nn.functional import cross_entropy

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(port), str(tmp_path)], env=environment
        )
        for rank in range(2)
    ]
    assert [worker.wait(200) for worker in workers] == [0, 0]
    got = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]

    model = torch_network()
    generators = [rrelu_compat.Generator(rank) for rank in range(2)]
    layers = [m for m in model.modules() if isinstance(m, rrelu_compat.RReLU)]
    expected = [[], []]
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    for images, labels in batches():
        optimizer.zero_grad()
        for rank, generator in enumerate(generators):
            for layer in layers:
                layer.generator = generator
            x, t = (
                torch.from_numpy(images[rank::2].copy()),
                torch.from_numpy(labels[rank::2].copy()),
            )
            loss = cross_entropy(model(x), t)
            (loss / 2).backward()
            expected[rank].append(loss.item())
        optimizer.step()
    for rank in range(2):
        assert got[rank] == pytest.approx(expected[rank], rel=1e-5)


def paddle_network():
    """Return the network in Paddle, of fixed weights."""
    import paddle
    from paddle import nn

    from rrelu_compat.paddle import RReLU

    class Block(nn.Layer):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Conv2D(8, 8, 3, padding=1), nn.Conv2D(8, 8, 3, padding=1)
            self.inner, self.outer = RReLU(), RReLU(inplace=True)

        def forward(self, x):
            return self.outer(x + self.second(self.inner(self.first(x))))

    paddle.seed(0)
    return nn.Sequential(
        nn.Conv2D(1, 8, 3, padding=1), RReLU(), Block(), Block(), nn.Flatten(), nn.Linear(512, 10)
    )


def train_paddle(model, forward):
    """Return the losses of `STEPS` steps."""
    import paddle
    from paddle.nn.functional import cross_entropy

    rrelu_compat.manual_seed(1)
    paddle.seed(1)
    optimizer = paddle.optimizer.SGD(RATE, parameters=model.parameters())
    losses = []
    for images, labels in batches():
        loss = cross_entropy(forward(model, paddle.to_tensor(images)), paddle.to_tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("reentrant", [True, False])
def test_paddle_recomputation_gives_the_same_bits(reentrant):
    from paddle.distributed.fleet.utils import recompute

    eager = train_paddle(paddle_network(), plain)
    assert eager[-1] < eager[0]

    def in_blocks(model, x):
        for block in model:
            x = block(x) if x.stop_gradient else recompute(block, x, use_reentrant=reentrant)
        return x

    assert train_paddle(paddle_network(), in_blocks) == eager


@pytest.mark.parametrize("full_graph", [True, False])
def test_paddle_static_training_follows_the_dynamic_graph(full_graph):
    import paddle

    eager = train_paddle(paddle_network(), plain)
    model = paddle_network()
    static = paddle.jit.to_static(model, full_graph=full_graph)
    assert train_paddle(model, lambda _, x: static(x)) == pytest.approx(eager, rel=1e-5)


if __name__ == "__main__":
    ddp_worker(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
