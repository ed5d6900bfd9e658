"""What the processes of test_distributed run: ``python workers.py NAME RANK WORLD PORT FILE``."""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import RReLU, rrelu


def mesh_shapes(world: int) -> list[tuple[int, ...]]:
    return [(world,)] if world == 2 else [(2, 2)]


def dtensor(rank: int, world: int) -> dict[str, Any]:
    """Sharded any way, forward and backward have the bits of the whole tensor."""
    from torch.distributed.tensor import Replicate, Shard, distribute_tensor, init_device_mesh

    mesh = init_device_mesh("cpu", mesh_shapes(world)[0])
    torch.manual_seed(0)
    results = {}
    for shape in ((5, 4, 3), (1, 6), (0, 3)):
        x, g = torch.randn(shape), torch.randn(shape)
        places = [*(Shard(d) for d in range(len(shape))), Replicate()]
        for placement in itertools.product(places, repeat=mesh.ndim):
            for source, inplace, training in (
                ("own", False, True),
                ("process", True, True),
                ("own", False, False),
            ):
                rrelu_compat.manual_seed(3 if source == "process" else None)
                generator = Generator(3) if source == "own" else None
                whole = x.clone().requires_grad_()
                y = rrelu(whole, -0.2, 0.6, training, generator=Generator(3))
                y.backward(g)
                part = distribute_tensor(x, mesh, placement).requires_grad_()
                hidden = part * 1 if inplace else part
                out = rrelu(hidden, -0.2, 0.6, training, inplace, generator=generator)
                out.backward(distribute_tensor(g, mesh, placement))
                results[f"{shape} {placement} {source} {inplace} {training}"] = (
                    torch.equal(out.full_tensor(), y)
                    and torch.equal(part.grad.full_tensor(), whole.grad)
                    and tuple(out.placements) == tuple(placement)
                    and (out is hidden) == inplace
                )
    return results


def dtensor_more(rank: int, world: int) -> dict[str, Any]:
    """Seeds of the framework, partial sums, checkpoints, other placements, compile."""
    from torch.distributed.tensor import (
        DTensor,
        Partial,
        Replicate,
        Shard,
        distribute_tensor,
        init_device_mesh,
    )

    mesh = init_device_mesh("cpu", (world,))
    torch.manual_seed(0)
    x = torch.randn(6, 4)
    reference = rrelu(x, 0.1, 0.6, True, generator=Generator(3))
    results = {}

    torch.manual_seed(rank)
    state = torch.empty(1, dtype=torch.int64).random_() and torch.get_rng_state()
    torch.manual_seed(rank)
    for source, generator in (("default", None), ("torch", torch.Generator().manual_seed(rank))):
        y = rrelu(distribute_tensor(x, mesh, [Replicate()]), 0.1, 0.6, True, generator=generator)
        copies = [torch.empty_like(x) for _ in range(world)]
        dist.all_gather(copies, y.to_local())
        results[f"ranks agree on a seed of the {source} generator"] = torch.equal(*copies)
        if source == "default":
            results["one number is drawn on each rank"] = torch.equal(torch.get_rng_state(), state)

    # Not two halves: RReLU of x/2 twice is RReLU of x.
    part = DTensor.from_local(2 * x if rank == 0 else -x, mesh, [Partial()])
    y = rrelu(part, 0.1, 0.6, True, generator=Generator(3))
    results["partial sums are added first"] = torch.equal(y.full_tensor(), reference)

    g = torch.linspace(-1, 1, 24).view(6, 4)
    whole, pullback = torch.func.vjp(lambda x: rrelu(x, 0.1, 0.6, True, generator=Generator(3)), x)
    for dim in range(2):
        y, pull = torch.func.vjp(
            lambda x: rrelu(x, 0.1, 0.6, True, generator=Generator(3)),
            distribute_tensor(x, mesh, [Shard(dim)]),
        )
        (part,) = pull(distribute_tensor(g, mesh, [Shard(dim)]))
        results[f"torch.func.vjp, dimension {dim}"] = torch.equal(y.full_tensor(), whole) and (
            torch.equal(part.full_tensor(), pullback(g)[0])
        )
    refused = {
        "under torch.vmap": lambda: torch.vmap(layer, randomness="same")(
            distribute_tensor(x, mesh, [Shard(0)])
        ),
        "partial sums under a transform": lambda: torch.func.vjp(
            layer, DTensor.from_local(x, mesh, [Partial()])
        ),
    }
    layer = RReLU(0.1, 0.6, generator=Generator(3))
    for message, call in refused.items():
        try:
            call()
            results[f"{message} raises"] = False
        except TypeError as error:
            results[f"{message} raises"] = message in str(error)

    evaluated = torch.compile(RReLU(0.1, 0.6).eval(), backend="aot_eager", fullgraph=True)
    leaf = distribute_tensor(x, mesh, [Shard(1)]).requires_grad_()
    y = evaluated(leaf)
    y.backward(distribute_tensor(g, mesh, [Shard(1)]))
    whole = x.clone().requires_grad_()
    rrelu(whole, 0.1, 0.6).backward(g)
    results["compiled evaluation"] = torch.equal(y.full_tensor(), rrelu(x, 0.1, 0.6)) and (
        torch.equal(leaf.grad.full_tensor(), whole.grad)
    )

    rrelu_compat.manual_seed(None)
    layer = RReLU(0.1, 0.6)
    for use_reentrant in (True, False):
        gradients = []
        for run in (lambda x: layer(layer(x * 2)), None):
            torch.manual_seed(5)
            leaf = distribute_tensor(-x.abs(), mesh, [Shard(0)]).requires_grad_()
            if run is None:
                y = checkpoint(lambda x: layer(layer(x * 2)), leaf, use_reentrant=use_reentrant)
            else:
                y = run(leaf)
            y.sum().backward()
            gradients.append(leaf.grad.full_tensor())
        results[f"checkpoint {use_reentrant}"] = torch.equal(*gradients)

    compiled = torch.compile(rrelu, backend="aot_eager", fullgraph=True)
    leaf = distribute_tensor(x, mesh, [Shard(1)]).requires_grad_()
    y = compiled(leaf, 0.1, 0.6, True, generator=Generator(3))
    y.sum().backward()
    whole = x.clone().requires_grad_()
    rrelu(whole, 0.1, 0.6, True, generator=Generator(3)).sum().backward()
    results["compiled"] = torch.equal(y.full_tensor(), reference) and torch.equal(
        leaf.grad.full_tensor(), whole.grad
    )
    try:
        compiled(leaf, 0.1, 0.6, True)
        results["compiled with no shared seed raises"] = False
    except Exception as error:
        results["compiled with no shared seed raises"] = "all ranks share" in str(error)
    return results


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, 16), RReLU(0.1, 0.6), nn.Linear(16, 16), RReLU(0.1, 0.6), nn.Linear(16, 1)
    )


def batch(step: int, rank: int) -> torch.Tensor:
    return torch.randn(4, 8, generator=torch.Generator().manual_seed(100 * step + rank))


def averaged_by_hand(world: int) -> list[torch.Tensor]:
    """Three steps of data-parallel training in one process: the gradients of all ranks, averaged."""
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    streams = [Generator(7 + rank) for rank in range(world)]
    for step in range(3):
        gradients = []
        for rank in range(world):
            for module in model:
                if isinstance(module, RReLU):
                    module.generator = streams[rank]
            optimizer.zero_grad()
            model(batch(step, rank)).pow(2).mean().backward()
            gradients.append([p.grad.clone() for p in model.parameters()])
        for parameter, *parts in zip(model.parameters(), *gradients, strict=True):
            parameter.grad = sum(part / world for part in parts)
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def trained(model: nn.Module, forward: Any, rank: int, full: Any = lambda p: p) -> list[Any]:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    rrelu_compat.manual_seed(7 + rank)
    for step in range(3):
        optimizer.zero_grad()
        forward(batch(step, rank)).pow(2).mean().backward()
        optimizer.step()
    rrelu_compat.manual_seed(None)
    return [full(p.detach()) for p in model.parameters()]


def same(a: list[torch.Tensor], b: list[torch.Tensor]) -> bool:
    return all(torch.equal(u, v) for u, v in zip(a, b, strict=True))


def data_parallel(rank: int, world: int) -> dict[str, Any]:
    """DDP and FSDP2, plain and with checkpoints, equal averaging by hand."""
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    expected = averaged_by_hand(world)
    results = {}

    def ddp(**options: Any) -> nn.Module:
        return DistributedDataParallel(network(), **options)

    model = ddp()
    results["DDP"] = same(trained(model, model, rank), expected)
    model = ddp(static_graph=True, gradient_as_bucket_view=True)
    results["DDP static graph"] = same(trained(model, model, rank), expected)
    for reentrant in (True, False):

        class Checkpointed(nn.Module):
            def __init__(self, reentrant: bool = reentrant) -> None:
                super().__init__()
                self.inner, self.reentrant = network(), reentrant

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                x = x.requires_grad_()
                return checkpoint(self.inner, x, use_reentrant=self.reentrant)

        model = DistributedDataParallel(Checkpointed())
        results[f"DDP checkpoint {reentrant}"] = same(trained(model, model, rank), expected)
    model = ddp()
    compiled = torch.compile(model, backend="aot_eager")
    results["DDP compiled"] = same(trained(model, compiled, rank), expected)

    def sharded(segments: bool) -> tuple[nn.Module, Any]:
        model = network()
        for module in model:
            if isinstance(module, nn.Linear):
                fully_shard(module)
        fully_shard(model)
        return model, ((lambda x: checkpoint(model, x, use_reentrant=False)) if segments else model)

    for segments in (False, True):
        model, forward = sharded(segments)
        got = trained(model, forward, rank, lambda p: p.full_tensor())
        results[f"FSDP2 checkpoint {segments}"] = same(got, expected)
    from torch.distributed.fsdp import MixedPrecisionPolicy

    model = fully_shard(network(), mp_policy=MixedPrecisionPolicy(param_dtype=torch.bfloat16))
    got = trained(model, model, rank, lambda p: p.full_tensor())
    results["FSDP2 in bfloat16"] = all(
        p.dtype is torch.float32 and torch.allclose(p, q, atol=5e-3)
        for p, q in zip(got, expected, strict=True)
    )
    return results


def main() -> None:
    name, rank, world, port, file = sys.argv[1:]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, RANK=rank, WORLD_SIZE=world)
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    try:
        torch.save(globals()[name](int(rank), int(world)), file)
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
