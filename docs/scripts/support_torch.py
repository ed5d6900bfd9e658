"""The PyTorch features of the support table: each takes the layer class and raises where it fails."""

from __future__ import annotations

import copy
import io
import os
import socket
import tempfile

import torch
import torch.nn.functional as F
from torch import nn

torch.set_num_threads(1)
SHAPE = (4, 3, 5, 5)


def sample(shape=SHAPE, dtype=torch.float32, requires_grad=True):
    """Return a tensor with both signs and zeros."""
    torch.manual_seed(0)
    x = torch.randn(shape).to(dtype)
    x.view(-1)[::7] = 0
    return x.requires_grad_(requires_grad)


def assert_is_rrelu(x, y, grad=None, lower=1 / 8, upper=1 / 3):
    """Check result and gradient (of the sum) of a training call: slopes in bounds, the same in both."""
    x, y = x.detach(), y.detach()
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    negative = x < 0
    assert torch.equal(y[~negative], x[~negative])
    tolerance = 2.0**-6 if x.dtype in (torch.float16, torch.bfloat16) else 1e-5
    slopes = y[negative].double() / x[negative].double()
    assert slopes.min() >= lower - tolerance
    assert slopes.max() <= upper + tolerance
    assert slopes.std() > 0.01
    if grad is not None:
        assert torch.allclose(grad[negative].double(), slopes, atol=tolerance)
        assert (grad[x > 0] == 1).all()


def train(layer, x):
    """Run forward and backward and check them."""
    y = layer(x)
    y.sum().backward()
    assert_is_rrelu(x, y, x.grad)


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


def compiled(backend, **options):
    def feature(layer):
        module = layer()
        function = torch.compile(module, backend=backend, fullgraph=True, **options)
        torch.manual_seed(0)
        x = sample()
        train(function, x)
        first, second = function(x), function(x)
        assert not torch.equal(first, second)

    return feature


def compiled_same_bits_as_eager(layer):
    function = torch.compile(layer(), backend="aot_eager", fullgraph=True)
    seed_all()
    expected = layer()(sample())
    seed_all()
    assert torch.equal(function(sample()), expected)


def seed_all():
    """Set every source of slopes back."""
    import rrelu_compat

    rrelu_compat.manual_seed(3)
    torch.manual_seed(3)


def export_evaluation(strict):
    def feature(layer):
        program = torch.export.export(layer().eval(), (sample(requires_grad=False),), strict=strict)
        calls = [node for node in program.graph.nodes if node.op == "call_function"]
        assert len(calls) == 1
        x = sample(requires_grad=False)
        m = (1 / 8 + 1 / 3) / 2
        assert torch.allclose(program.module()(x), F.leaky_relu(x, m))

    return feature


def onnx_evaluation(layer):
    import onnxruntime

    x = sample(requires_grad=False)
    program = torch.onnx.export(layer().eval(), (x,), dynamo=True, verbose=False)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        program.save(path)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert torch.allclose(torch.tensor(y), F.leaky_relu(x, (1 / 8 + 1 / 3) / 2))


def script(training):
    def feature(layer):
        module = torch.jit.script(layer().train(training))
        x = sample()
        if training:
            train(module, x)
        else:
            assert torch.allclose(module(x), F.leaky_relu(x, (1 / 8 + 1 / 3) / 2))

    return feature


def trace_training(layer):
    x = sample(requires_grad=False)
    module = torch.jit.trace(layer(), x, check_trace=False)
    first, second = module(x), module(x)
    assert_is_rrelu(x, first)
    assert not torch.equal(first, second)


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


def fake_and_meta(layer):
    from torch._subclasses.fake_tensor import FakeTensorMode

    state = torch.get_rng_state()
    assert layer()(torch.empty(3, device="meta")).device.type == "meta"
    with FakeTensorMode() as mode:
        y = layer()(mode.from_tensor(torch.randn(2, 3)))
    assert y.shape == (2, 3)
    del state


def fx_leaf(layer):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = layer()

        def forward(self, x):
            return self.act(x)

    graph = torch.fx.symbolic_trace(Model())
    assert [node.op for node in graph.graph.nodes].count("call_module") == 1
    x = sample(requires_grad=False)
    assert not torch.equal(graph(x), graph(x))
    graph.eval()
    assert torch.equal(graph(x), graph(x))


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
    "bfloat16 gradient is that of the slope used": bfloat16_gradient_is_the_slope_used,
    "gradient 1 at zero": gradient_at_zero,
    "channels-last kept": channels_last,
    "in place in evaluation, negative mean": in_place_negative_evaluation,
    "bounds checked when given": bounds_checked_when_given,
    "hooks, two backwards over one graph": hooks,
    "forward AD": forward_ad,
    "gradcheck, gradgradcheck": gradgradcheck,
    "`torch.func.vmap`, randomness different": vmap("different"),
    "`torch.func.vmap`, randomness same": vmap("same"),
    "`jacrev`, `jacfwd`": jacobians,
    "`torch.compile`, aot_eager, training step": compiled("aot_eager"),
    "`torch.compile`, inductor, training step": compiled("inductor"),
    "`torch.compile`, inductor, dynamic shapes": compiled("inductor", dynamic=True),
    "compiled slopes equal eager's, bit for bit": compiled_same_bits_as_eager,
    "`torch.export`, strict, evaluation": export_evaluation(True),
    "`torch.export`, not strict, evaluation": export_evaluation(False),
    "`torch.onnx.export(dynamo=True)`, evaluation": onnx_evaluation,
    "`torch.jit.script`, training": script(True),
    "`torch.jit.script`, evaluation": script(False),
    "`torch.jit.trace`, training": trace_training,
    "checkpoint, reentrant": checkpointing(True),
    "checkpoint, not reentrant": checkpointing(False),
    "autocast": autocast,
    "fake and meta tensors": fake_and_meta,
    "`torch.fx` leaf with live `training`": fx_leaf,
    "copy, pickle, `torch.save`, empty `state_dict`": copies,
    "inference mode": inference_mode,
    "DistributedDataParallel": distributed("ddp"),
    "FSDP2 (`fully_shard`)": distributed("fsdp"),
    "DTensor: shards have the slopes of the whole": distributed("dtensor"),
}
