"""export, ONNX, make_fx, torch.fx, jit.script and jit.trace; fake and meta tensors."""

from __future__ import annotations

import io

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

import rrelu_compat
from rrelu_compat import DTypeError, Generator
from rrelu_compat.torch import RReLU, rrelu

pytestmark = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::torch.jit.TracerWarning"
)


def ops_of(program):
    return [str(n.target) for n in program.graph.nodes if n.op == "call_function"]


@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("grad", [False, True])
def test_export_in_evaluation_is_one_leaky_relu(strict, inplace, grad):
    model = nn.Sequential(nn.Linear(3, 3), RReLU(-0.1, 0.5, inplace)).eval()
    x = torch.randn(2, 3)
    with torch.set_grad_enabled(grad):
        program = torch.export.export(model, (x,), strict=strict)
    targets = ops_of(program)
    assert sum("leaky_relu" in t for t in targets) == 1
    assert len(targets) == 2
    assert torch.equal(program.module()(x), F.leaky_relu(model[0](x), 0.2))


@pytest.mark.parametrize("strict", [False, True])
def test_export_in_training_draws_inside_the_graph(strict):
    layer = RReLU(0.1, 0.6)
    x = -torch.ones(40)
    program = torch.export.export(layer, (x,), strict=strict)
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    buffer.seek(0)
    for module in (program.module(), torch.export.load(buffer).module()):
        torch.manual_seed(1)
        first, second = module(x), module(x)
        assert not torch.equal(first, second)
        torch.manual_seed(1)
        assert torch.equal(module(x), first)
        assert (first <= -0.1).all()
        assert (first >= -0.6).all()
        leaf = x.clone().requires_grad_()
        torch.manual_seed(1)
        module(leaf).sum().backward()
        assert torch.equal(leaf.grad, -first)


@pytest.mark.parametrize("strict", [False, True])
def test_export_in_training_with_a_generator_raises(strict):
    x = torch.randn(3)
    with pytest.raises(Exception, match="cannot carry a Generator"):
        torch.export.export(RReLU(generator=Generator(1)), (x,), strict=strict)
    rrelu_compat.manual_seed(1)
    with pytest.raises(Exception, match="cannot carry a Generator"):
        torch.export.export(RReLU(), (x,), strict=strict)
    assert rrelu_compat.generator.process_generator().call == 0


@pytest.mark.parametrize("dynamic", [False, True])
def test_onnx_in_evaluation(dynamic):
    import onnxruntime

    for layer in (RReLU(), RReLU(-0.6, 0.1), RReLU(inplace=True)):
        model = nn.Sequential(nn.Identity(), layer).eval()
        x = torch.randn(4, 5)
        shapes = ({0: torch.export.Dim("batch")},) if dynamic else None
        program = torch.onnx.export(model, (x,), dynamo=True, dynamic_shapes=shapes, verbose=False)
        nodes = [n.op_type for n in program.model.graph]
        assert nodes.count("LeakyRelu") == 1
        session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
        for batch in (4, 7) if dynamic else (4,):
            x = torch.randn(batch, 5)
            (got,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
            assert torch.equal(torch.from_numpy(got), model(x.clone()))


def test_the_old_onnx_exporter_gives_leaky_relu():
    import onnx

    buffer = io.BytesIO()
    torch.onnx.export(RReLU().eval(), (torch.randn(3),), buffer, dynamo=False)
    graph = onnx.load_from_string(buffer.getvalue()).graph
    assert [n.op_type for n in graph.node] == ["LeakyRelu"]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_old_onnx_exporter_in_training_gives_slopes_of_the_runtime(inplace):
    import onnx
    import onnxruntime

    def export(training):
        buffer = io.BytesIO()
        model = nn.Sequential(nn.Identity(), RReLU(0.1, 0.6, inplace)).train()
        torch.onnx.export(model, (-torch.ones(4, 5),), buffer, dynamo=False, training=training)
        return buffer.getvalue()

    made = export(torch.onnx.TrainingMode.TRAINING)
    session = onnxruntime.InferenceSession(made)
    x = torch.randn(40, 5).numpy()[:4]
    first, second = (session.run(None, {session.get_inputs()[0].name: x})[0] for _ in range(2))
    for y in (first, second):
        assert (y[x >= 0] == x[x >= 0]).all()
        slopes = y[x < 0] / x[x < 0]
        assert slopes.min() >= 0.1 - 1e-6
        assert slopes.max() <= 0.6 + 1e-6
        assert slopes.std() > 0.01
    assert (first != second).any()
    rrelu_compat.manual_seed(1)
    with pytest.raises(RuntimeError, match="cannot carry a Generator"):
        export(torch.onnx.TrainingMode.TRAINING)
    # By default the exporter switches to evaluation, which needs no seed.
    graph = onnx.load_from_string(export(torch.onnx.TrainingMode.EVAL)).graph
    assert "LeakyRelu" in [node.op_type for node in graph.node]


def test_onnx_in_training_is_an_error_that_names_the_operator():
    """As with the native layer: the exporter knows no random leaky ReLU."""
    x = torch.randn(4, 5)
    for layer, operator in ((RReLU(), "rrelu_compat_v2"), (nn.RReLU(), "aten.rrelu")):
        with pytest.raises(torch.onnx.errors.OnnxExporterError, match="No ONNX function") as caught:
            torch.onnx.export(layer, (x,), dynamo=True, verbose=False)
        assert operator in str(caught.value)
    for layer in (RReLU(generator=Generator(1)), RReLU()):
        rrelu_compat.manual_seed(1 if layer.generator is None else None)
        with pytest.raises(torch.onnx.errors.OnnxExporterError, match="cannot carry a Generator"):
            torch.onnx.export(layer, (x,), dynamo=True, verbose=False)


def test_make_fx_takes_no_call_and_draws_inside_the_graph():
    state = torch.get_rng_state()
    x = -torch.ones(20)
    graph = make_fx(lambda x: rrelu(x, 0.1, 0.6, True), tracing_mode="fake")(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(graph(x), graph(x))
    with pytest.raises(RuntimeError, match="cannot carry"):
        make_fx(lambda x: rrelu(x, training=True, generator=Generator(1)))(x)


def test_fx_keeps_the_layer_a_leaf_with_live_training():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = RReLU(0.1, 0.6, generator=Generator(1))

        def forward(self, x):
            return self.act(x) + self.act(x)

    model = Model()
    traced = torch.fx.symbolic_trace(model)
    assert [n.target for n in traced.graph.nodes if n.op == "call_module"] == ["act", "act"]
    x = -torch.ones(20)
    first = traced(x)
    assert not torch.equal(first, traced(x))
    traced.eval()
    assert torch.equal(traced(x), 2 * F.leaky_relu(x, 0.35))
    traced.train()
    assert not torch.equal(traced(x), traced(x))


def test_fx_traces_the_function_by_its_public_name():
    traced = torch.fx.symbolic_trace(lambda x: rrelu(x, 0.1, 0.6, training=True))
    node = next(n for n in traced.graph.nodes if n.op == "call_function")
    assert node.target is rrelu
    rrelu_compat.manual_seed(1)
    y = traced(-torch.ones(5))
    rrelu_compat.manual_seed(1)
    assert torch.equal(y, rrelu(-torch.ones(5), 0.1, 0.6, True))


def test_script(definition):
    layer = RReLU(0.1, 0.6)
    scripted = torch.jit.script(layer)
    buffer = io.BytesIO()
    torch.jit.save(scripted, buffer)
    buffer.seek(0)
    for module in (scripted, torch.jit.load(buffer)):
        x = torch.randn(9, requires_grad=True)
        for call in range(4):  # past the profiling runs
            rrelu_compat.manual_seed(call)
            y = module(x)
            y0, vjp = definition.training(x, 0.1, 0.6, call)
            assert torch.equal(y, y0)
            (g,) = torch.autograd.grad(y.sum(), x)
            assert torch.equal(g, vjp(torch.ones(9)))
        module.eval()
        for _ in range(4):
            assert torch.equal(module(x), definition.evaluation(x, 0.1, 0.6)[0])
        module.train()
    h = torch.randn(4)
    assert torch.jit.script(RReLU(0.1, 0.6, inplace=True)).eval()(h) is h
    with pytest.raises(TypeError, match="generator="):
        torch.jit.script(RReLU(generator=Generator(1)))


def test_trace():
    model = nn.Sequential(RReLU(0.1, 0.6))
    x = -torch.ones(30)
    traced = torch.jit.trace(model, x, check_trace=False)
    torch.manual_seed(1)
    first = traced(x)
    assert not torch.equal(first, traced(x))  # the key is not baked in
    torch.manual_seed(1)
    assert torch.equal(traced(x), first)
    evaluated = torch.jit.trace(model.eval(), x)
    assert torch.equal(evaluated(x), model(x))
    assert "leaky_relu" in str(evaluated.inlined_graph)
    with pytest.raises(RuntimeError, match="cannot carry a Generator"):
        torch.jit.trace(RReLU(generator=Generator(1)), x)


@pytest.mark.parametrize("training", [True, False])
def test_fake_and_meta_tensors_take_no_call(training):
    generator = Generator(1)
    state = torch.get_rng_state()
    with FakeTensorMode():
        x = torch.empty(4, 3, 5, 5, requires_grad=True).to(memory_format=torch.channels_last)
        y = rrelu(x, 0.1, 0.6, training, generator=generator)
        assert y.shape == x.shape
        assert y.stride() == x.stride()
        y.sum().backward()
    x = torch.empty(4, 3, device="meta", requires_grad=True)
    y = rrelu(x, 0.1, 0.6, training, generator=generator)
    assert y.is_meta
    assert y.shape == (4, 3)
    y.sum().backward()
    assert x.grad.shape == (4, 3)
    h = torch.empty(3, device="meta")
    assert rrelu(h, 0.1, 0.6, training, True) is h
    with pytest.raises(DTypeError):
        rrelu(torch.empty(3, device="meta", dtype=torch.int32), 0.1, 0.6, training)
    assert generator.call == 0
    assert torch.equal(torch.get_rng_state(), state)


def test_deferred_initialisation():
    with torch.device("meta"):
        model = nn.Sequential(nn.Linear(3, 3), RReLU())
        assert model(torch.empty(2, 3)).shape == (2, 3)
    model.to_empty(device="cpu")
    assert model(torch.randn(2, 3)).device.type == "cpu"
