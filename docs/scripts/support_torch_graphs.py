"""The PyTorch features of the support table that make graphs: compile, export, scripts, tracers."""

from __future__ import annotations

import io
import os
import tempfile

import torch
import torch.nn.functional as F
from support_torch_checks import assert_is_rrelu, sample, seed_all, train
from torch import nn


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


def fake_and_meta(layer):
    from torch._subclasses.fake_tensor import FakeTensorMode

    state = torch.get_rng_state()
    assert layer()(torch.empty(3, device="meta")).device.type == "meta"
    with FakeTensorMode() as mode:
        y = layer()(mode.from_tensor(torch.randn(2, 3)))
    assert y.shape == (2, 3)
    del state


def compiled_in_place(layer):
    module = layer(inplace=True)
    function = torch.compile(lambda x: module(x * 1), backend="aot_eager", fullgraph=True)
    train(function, sample())
    plain = sample(requires_grad=False)
    again = torch.compile(module, backend="aot_eager", fullgraph=True)
    assert again(plain) is plain


def compiled_model(layer):
    """A training step of a model: one graph for all calls."""
    from torch._dynamo.testing import CompileCounterWithBackend

    counter = CompileCounterWithBackend("aot_eager")
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(5, 8), layer(), nn.Linear(8, 8), layer(), nn.Linear(8, 1))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    function = torch.compile(model, backend=counter, fullgraph=True)
    losses = []
    for _ in range(5):
        loss = (function(sample((16, 5))) - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert counter.frame_count == 1


def compiled_transforms(layer):
    module, x = layer(), sample((4, 6), requires_grad=False)
    function = torch.func.vmap(
        torch.func.grad(lambda row: module(row).sum()), randomness="different"
    )
    slopes = torch.compile(function, backend="aot_eager", fullgraph=True)(x)
    assert_is_rrelu(x, slopes * x)


def export_training(layer):
    program = torch.export.export(layer(), (sample(requires_grad=False),)).module()
    x = sample()
    train(program, x)
    assert not torch.equal(program(x), program(x))


def old_onnx(training):
    def feature(layer):
        import onnxruntime

        x, buffer = sample(requires_grad=False), io.BytesIO()
        mode = torch.onnx.TrainingMode
        torch.onnx.export(
            layer().train(training), (x,), buffer, dynamo=False,
            training=mode.TRAINING if training else mode.EVAL,
        )  # fmt: skip
        session = onnxruntime.InferenceSession(buffer.getvalue())
        name = session.get_inputs()[0].name
        first, second = (torch.tensor(session.run(None, {name: x.numpy()})[0]) for _ in range(2))
        if training:
            assert_is_rrelu(x, first)
            assert not torch.equal(first, second)
        else:
            assert torch.allclose(first, F.leaky_relu(x, (1 / 8 + 1 / 3) / 2))

    return feature


def trace_evaluation(layer):
    x = sample(requires_grad=False)
    module = torch.jit.trace(layer().eval(), x)
    assert torch.allclose(module(x), F.leaky_relu(x, (1 / 8 + 1 / 3) / 2))


def deferred_initialisation(layer):
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(5, 5), layer())
        assert model(torch.empty(2, 5)).is_meta
    model.to_empty(device="cpu")
    for p in model.parameters():
        nn.init.normal_(p)
    hidden = model[0](sample((4, 5))).detach()
    assert_is_rrelu(hidden, model[1](hidden))
    lazy = nn.Sequential(nn.LazyLinear(4), layer())
    assert lazy(sample((2, 5))).shape == (2, 4)


def default_device(layer):
    torch.set_default_device("meta")
    x = torch.randn(4, 5, device="cpu", requires_grad=True)
    train(layer(), x)


FEATURES = {
    "`torch.compile`, aot_eager, training step": compiled("aot_eager"),
    "`torch.compile`, inductor, training step": compiled("inductor"),
    "`torch.compile`, aot_eager, dynamic shapes": compiled("aot_eager", dynamic=True),
    "`torch.compile`, inductor, dynamic shapes": compiled("inductor", dynamic=True),
    "`torch.compile`, in place": compiled_in_place,
    "`torch.compile` of a model: one graph for all steps": compiled_model,
    "compiled slopes equal eager's, bit for bit": compiled_same_bits_as_eager,
    "compiled `vmap` of `grad`": compiled_transforms,
    "`torch.export`, strict, evaluation": export_evaluation(True),
    "`torch.export`, not strict, evaluation": export_evaluation(False),
    "`torch.export`, training, fresh slopes at each run": export_training,
    "`torch.onnx.export(dynamo=True)`, evaluation": onnx_evaluation,
    "`torch.onnx.export(dynamo=False)`, evaluation": old_onnx(False),
    "`torch.onnx.export(dynamo=False)`, training": old_onnx(True),
    "`torch.jit.script`, training": script(True),
    "`torch.jit.script`, evaluation": script(False),
    "`torch.jit.trace`, training": trace_training,
    "`torch.jit.trace`, evaluation": trace_evaluation,
    "fake and meta tensors": fake_and_meta,
    "deferred initialisation": deferred_initialisation,
    "`set_default_device`": default_device,
    "`torch.fx` leaf with live `training`": fx_leaf,
}
