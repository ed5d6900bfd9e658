"""The PyTorch features of the support table: each takes the layer class and raises where it fails."""

from __future__ import annotations

import copy
import io
import os
import socket

import support_torch_graphs as graphs
import torch
from support_torch_checks import assert_is_rrelu, sample, seed_all, train
from torch import nn


def half(dtype):
    def feature(layer):
        train(layer(), sample(dtype=dtype))

    return feature


def gradient_at_zero(layer):
    x = torch.zeros(3, requires_grad=True)
    layer()(x).sum().backward()
    assert (x.grad == 1).all()


def channels_last(layer):
    x = sample(requires_grad=False).to(memory_format=torch.channels_last)
    assert layer()(x).is_contiguous(memory_format=torch.channels_last)


def in_place_negative_evaluation(layer):
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    layer(-0.5, -0.5, True).eval()(x * 1).sum().backward()
    assert x.grad.tolist() == [-0.5, 1]


def bounds_checked_when_given(layer):
    for bounds in ((0.3, 0.1), (0.0, float("inf"))):
        try:
            layer(*bounds)
        except (ValueError, RuntimeError):
            continue
        raise AssertionError("accepted")


def vmap(randomness):
    def feature(layer):
        x = sample(requires_grad=False)
        y = torch.func.vmap(layer(), randomness=randomness)(x)
        assert_is_rrelu(x, y)
        same = torch.func.vmap(layer(), randomness=randomness)(-torch.ones(2, 50))
        assert torch.equal(same[0], same[1]) == (randomness == "same")

    return feature


def jacobians(layer):
    x = sample((6,), requires_grad=False)
    for transform in (torch.func.jacrev, torch.func.jacfwd):
        keywords = {"randomness": "same"} if transform is torch.func.jacfwd else {}
        seed_all()
        jacobian = transform(layer(), **keywords)(x)
        seed_all()
        assert torch.allclose(jacobian @ x, layer()(x))


def forward_ad(layer):
    x = sample((20,), requires_grad=False)
    with torch.autograd.forward_ad.dual_level():
        y = layer()(torch.autograd.forward_ad.make_dual(x, x.clone()))
        primal, tangent = torch.autograd.forward_ad.unpack_dual(y)
    assert torch.equal(primal, tangent)


def gradgradcheck(layer):
    module = layer(0.2, 0.2)
    x = sample((5,), torch.float64, requires_grad=False)
    x = (x.sign() + 0.1 + x).requires_grad_()
    assert torch.autograd.gradcheck(module, x)
    assert torch.autograd.gradgradcheck(lambda v: module(v) ** 2, x)


def checkpointing(reentrant):
    def feature(layer):
        from torch.utils.checkpoint import checkpoint

        module, x = layer(), sample()
        y = checkpoint(module, x, use_reentrant=reentrant)
        # What the repetition does not draw it must not find in recycled memory.
        junk = [torch.full_like(x, 7.0) for _ in range(100)]
        y.sum().backward()
        assert_is_rrelu(x, y, x.grad)
        del junk

    return feature


def autocast(layer):
    model = nn.Sequential(nn.Linear(8, 8), layer(), nn.Linear(8, 1))
    with torch.autocast("cpu", torch.bfloat16):
        model(sample((4, 8))).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def copies(layer):
    module = layer(0.1, 0.2)
    buffer = io.BytesIO()
    torch.save(module, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(module), torch.load(buffer, weights_only=False)):
        assert (twin.lower, twin.upper) == (0.1, 0.2)
        assert not twin.state_dict()


def inference_mode(layer):
    with torch.inference_mode():
        x = sample(requires_grad=False)
        assert_is_rrelu(x, layer()(x))


def bfloat16_gradient_is_the_slope_used(layer):
    x = -torch.rand(1000).to(torch.bfloat16).requires_grad_()
    x = x.detach().requires_grad_()
    y = layer()(x)
    y.backward(x.detach())
    assert torch.equal(y, x.grad)


def hooks(layer):
    x = torch.full((4,), -1.0, requires_grad=True)
    y = layer(0.5, 0.5)(x)
    y.register_hook(lambda g: g * 2)
    loss = y.sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert (x.grad == 2).all()


def in_place(layer):
    module, x = layer(inplace=True), sample()
    hidden = x * 1
    assert module(hidden) is hidden
    hidden.sum().backward()
    assert_is_rrelu(x, hidden, x.grad)


def func_derivatives(layer):
    x, module = sample((6,), requires_grad=False), layer()
    for make in (
        lambda: torch.func.grad(lambda v: module(v).sum())(x),
        lambda: torch.func.vjp(module, x)[1](torch.ones(6))[0],
        lambda: torch.func.jvp(module, (x,), (torch.ones(6),))[1],
    ):
        seed_all()
        slopes = make()
        seed_all()
        assert torch.allclose(slopes * x, module(x))


def hessian(layer):
    module, x = layer(0.5, 0.5), torch.tensor([-1.0, 2.0])
    found = torch.func.hessian(lambda v: (module(v) ** 3).sum())(x)
    assert torch.allclose(found, torch.diag(torch.tensor([-0.75, 12.0])))


def linearize(layer):
    """With bounds that are equal: any random layer calls for slopes of its own here."""
    module, x = layer(0.5, 0.5), torch.tensor([-1.0, 2.0])
    y, linear = torch.func.linearize(module, x)
    assert y.tolist() == [-0.5, 2]
    assert linear(torch.ones(2)).tolist() == [0.5, 1]


def module_hooks(layer):
    module, seen = layer(), []
    module.register_forward_hook(lambda *_: seen.append("forward"))
    module.register_full_backward_hook(lambda *_: seen.append("backward"))
    train(module, sample())
    assert seen == ["forward", "backward"]


def half_model(dtype):
    def feature(layer):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(8, 8), layer(), nn.Linear(8, 1)).to(dtype)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        losses = []
        for _ in range(30):
            loss = (model(sample((32, 8), dtype, False)).float() - 1).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 2

    return feature


def other_layouts(layer):
    quantized = torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8)
    nested = torch.nested.nested_tensor([torch.randn(2), torch.randn(3)])
    for x in (torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr(), quantized, nested):
        message = ""
        try:
            layer()(x)
        except TypeError as error:
            message = str(error)
        assert "pass x." in message


def _free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def _worker(rank, port, layer, kind):
    import torch.distributed as dist

    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), layer(), nn.Linear(8, 1))
    if kind == "ddp":
        model = nn.parallel.DistributedDataParallel(model)
        model(sample((4, 4))).sum().backward()
        assert all(p.grad is not None for p in model.parameters())
    elif kind == "fsdp":
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
        model(sample((4, 4))).sum().backward()
    else:
        from torch.distributed.tensor import Shard, distribute_tensor, init_device_mesh

        import rrelu_compat

        x = sample((4, 4), requires_grad=False)
        rrelu_compat.manual_seed(3)
        torch.manual_seed(3)
        whole = layer()(x)
        rrelu_compat.manual_seed(3)
        torch.manual_seed(3)
        part = layer()(distribute_tensor(x, init_device_mesh("cpu", (2,)), [Shard(0)]))
        assert torch.equal(part.full_tensor(), whole)
    dist.destroy_process_group()


def distributed(kind):
    def feature(layer):
        import torch.multiprocessing as multiprocessing

        multiprocessing.spawn(_worker, (_free_port(), layer, kind), nprocs=2)

    return feature


FEATURES = {
    "training, float16": half(torch.float16),
    "training, bfloat16": half(torch.bfloat16),
    "training, float32": half(torch.float32),
    "training, float64": half(torch.float64),
    "a float16 model trains": half_model(torch.float16),
    "a bfloat16 model trains": half_model(torch.bfloat16),
    "bfloat16 gradient is that of the slope used": bfloat16_gradient_is_the_slope_used,
    "gradient 1 at zero": gradient_at_zero,
    "channels-last kept": channels_last,
    "in place in training": in_place,
    "in place in evaluation, negative mean": in_place_negative_evaluation,
    "bounds checked when given": bounds_checked_when_given,
    "hooks, two backwards over one graph": hooks,
    "hooks of modules": module_hooks,
    "sparse, quantized, nested: the error says what to call": other_layouts,
    "forward AD": forward_ad,
    "gradcheck, gradgradcheck": gradgradcheck,
    "`torch.func.vmap`, randomness different": vmap("different"),
    "`torch.func.vmap`, randomness same": vmap("same"),
    "`jacrev`, `jacfwd`": jacobians,
    "`torch.func.grad`, `vjp`, `jvp`": func_derivatives,
    "`torch.func.hessian`": hessian,
    "`torch.func.linearize`": linearize,
    **graphs.FEATURES,
    "checkpoint, reentrant": checkpointing(True),
    "checkpoint, not reentrant": checkpointing(False),
    "autocast": autocast,
    "copy, pickle, `torch.save`, empty `state_dict`": copies,
    "inference mode": inference_mode,
    "DistributedDataParallel": distributed("ddp"),
    "FSDP2 (`fully_shard`)": distributed("fsdp"),
    "DTensor: shards have the slopes of the whole": distributed("dtensor"),
}
