"""torch.compile: one graph, no breaks, fresh slopes at each call, the bits of eager."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_compilation import BACKENDS, assert_same, counted, step

import rrelu_compat
from rrelu_compat import BoundsError, DTypeError, Generator
from rrelu_compat.torch import RReLU, rrelu, rrelu_

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_of_eager_and_one_graph(definition, backend, dtype):
    layer = RReLU(0.1, 0.6)
    compiled, counter = counted(layer, backend, dynamic=False)
    x = torch.randn(5, 7).to(dtype)
    rrelu_compat.manual_seed(1)
    eager = [step(layer, x) for _ in range(3)]
    rrelu_compat.manual_seed(1)
    graph = [step(compiled, x) for _ in range(3)]
    for u, v in zip(eager, graph, strict=True):
        assert_same(definition, u, v)
    assert counter.frame_count == 1
    assert not torch.equal(graph[0][0], graph[1][0])
    assert rrelu_compat.manual_seed(1).call == 0


@pytest.mark.parametrize("layout", ["channels_last", "transposed", "sliced", "expanded", "scalar"])
def test_layouts(definition, layout):
    x = torch.randn(4, 3, 5, 7)
    x = {
        "channels_last": lambda: x.contiguous(memory_format=torch.channels_last),
        "transposed": lambda: x.transpose(0, 2),
        "sliced": lambda: x[1::2, :, ::2],
        "expanded": lambda: x[:, :1].expand(-1, 3, -1, -1),
        "scalar": lambda: x[0, 0, 0, 0],
    }[layout]()
    compiled, _ = counted(rrelu)
    y = compiled(x, 0.1, 0.6, True, generator=Generator(1))
    expected = rrelu(x, 0.1, 0.6, True, generator=Generator(1))
    assert torch.equal(y, expected)
    if layout != "expanded":
        assert y.stride() == expected.stride()


@pytest.mark.parametrize("backend", BACKENDS)
def test_dynamic_shapes_use_one_graph(definition, backend):
    layer = RReLU(0.1, 0.6, generator=Generator(1))
    compiled, counter = counted(layer, backend, dynamic=True)
    for n in (4, 9, 33):
        x = torch.randn(n, 5)
        layer.generator.reposition(3)
        expected = step(layer, x)
        layer.generator.reposition(3)
        assert_same(definition, step(compiled, x), expected)
        if n == 4:
            after_first = (
                counter.frame_count
            )  # Dynamo starts over once where it finds symbolic floats
    assert counter.frame_count == after_first


@pytest.mark.parametrize("source", ["own", "process", "framework"])
@pytest.mark.parametrize("grad", ["grad", "no_grad", "inference_mode"])
def test_sources_and_grad_modes(source, grad):
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)
    mode = {"grad": torch.enable_grad, "no_grad": torch.no_grad}.get(grad, torch.inference_mode)

    def reset():
        torch.manual_seed(5)
        if source == "own":
            layer.generator.reposition(7)
        if source == "process":
            rrelu_compat.manual_seed(3)

    compiled, counter = counted(layer)
    x = -torch.ones(40)
    with mode():
        reset()
        expected = [layer(x).clone() for _ in range(3)]
        after = torch.get_rng_state()
        reset()
        got = [compiled(x).clone() for _ in range(3)]
        assert torch.equal(torch.get_rng_state(), after)  # one number for each call
    assert all(map(torch.equal, expected, got))
    assert len({t.numpy().tobytes() for t in got}) == 3
    assert counter.frame_count == 1


def test_functional_with_a_generator_never_prepared_in_inference_mode():
    compiled, _ = counted(rrelu)
    generator = Generator(5)
    x = -torch.ones(40)
    with torch.inference_mode():
        first = compiled(x, 0.1, 0.6, True, generator=generator)
        second = compiled(x, 0.1, 0.6, True, generator=generator)
    assert torch.equal(first, rrelu(x, 0.1, 0.6, True, generator=Generator(5)))
    assert torch.equal(second, rrelu(x, 0.1, 0.6, True, generator=Generator(5, 1)))


@pytest.mark.parametrize("source", ["own", "process", "framework"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_layers_in_one_graph_have_their_own_slopes(definition, backend, source):
    """Equal draws are merged by common subexpression elimination unless they depend on one another."""
    layer = RReLU(0.1, 0.6, generator=Generator(1) if source == "own" else None)

    def both(x):
        return torch.stack(
            [layer(x), layer(x), rrelu(x, 0.1, 0.6, True, generator=layer.generator)]
        )

    compiled, counter = counted(both, backend)
    if source == "process":
        rrelu_compat.manual_seed(1)
    y = compiled(-torch.ones(30))
    assert len({row.numpy().tobytes() for row in y}) == 3
    if source != "framework":
        x = -torch.ones(30)
        for call in range(3):
            assert torch.equal(y[call], definition.training(x, 0.1, 0.6, 1, call)[0])
    assert counter.frame_count == 1


def test_one_graph_for_many_generators(definition):
    compiled, counter = counted(lambda x, g: rrelu(x, 0.1, 0.6, True, generator=g))
    x = torch.randn(6)
    for seed in range(4):
        generator = Generator(seed)
        assert torch.equal(compiled(x, generator), definition.training(x, 0.1, 0.6, seed)[0])
        assert generator.call == 1
    assert counter.frame_count == 1


def test_manual_seed_switched_on_and_off_makes_two_graphs(definition):
    compiled, counter = counted(lambda x: rrelu(x, 0.1, 0.6, True))
    x = torch.randn(6)
    for _ in range(2):
        rrelu_compat.manual_seed(4)
        assert torch.equal(compiled(x), definition.training(x, 0.1, 0.6, 4)[0])
        rrelu_compat.manual_seed(9)
        assert torch.equal(compiled(x), definition.training(x, 0.1, 0.6, 9)[0])
        rrelu_compat.manual_seed(None)
        torch.manual_seed(2)
        first = compiled(x)
        torch.manual_seed(2)
        assert torch.equal(compiled(x), first)
        torch.manual_seed(2)
        assert torch.equal(rrelu(x, 0.1, 0.6, True), first)
    assert counter.frame_count == 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_in_place_returns_the_input(definition, backend, training):
    def work(x):
        h = x * 1
        y = rrelu_(h, -0.5, 0.3, training, generator=generator)
        assert y is h
        return y * 2

    generator = Generator(2)
    compiled, _ = counted(work, backend)
    x = torch.randn(4, 6)
    got = step(compiled, x)
    generator.reposition(2)
    assert_same(definition, got, step(work, x))
    plain = x.clone()
    generator.reposition(2)
    call, _ = counted(lambda x: rrelu_(x, -0.5, 0.3, training, generator=generator), backend)
    assert call(plain) is plain
    expected = (
        definition.training(x, -0.5, 0.3, 2) if training else definition.evaluation(x, -0.5, 0.3)
    )
    assert torch.equal(plain, expected[0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_evaluation_has_the_bits_of_the_definition(definition, backend, dtype):
    compiled, counter = counted(lambda x: rrelu(x, -0.5, 0.3), backend)
    special = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 6e-8, -6e-8]
    x = torch.cat([torch.tensor(special), torch.randn(20)]).to(dtype).requires_grad_()
    y0, vjp = definition.evaluation(x, -0.5, 0.3)
    y = compiled(x)
    assert definition.same_bits(y, y0)
    g = torch.randn(27).to(dtype)
    (gx,) = torch.autograd.grad(y, x, g)
    assert definition.same_bits(gx, vjp(g))
    assert counter.frame_count == 1


def test_bounds_and_training_are_live():
    layer = RReLU(0.1, 0.2, generator=Generator(1))
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    x = -torch.ones(20)
    for lower, upper, training in ((0.1, 0.2, True), (0.5, 0.6, True), (0.5, 0.6, False)):
        layer.spec = rrelu_compat.RReLUSpec(lower, upper)
        layer.train(training)
        layer.generator.reposition(1)
        y = compiled(x)
        layer.generator.reposition(1)
        assert torch.equal(y, layer(x))


def test_ten_training_steps_equal_eager(definition):
    torch.manual_seed(0)

    def build():
        torch.manual_seed(0)
        layers = [nn.Linear(8, 16), RReLU(generator=Generator(1)), nn.Linear(16, 16)]
        model = nn.Sequential(*layers, RReLU(generator=Generator(2)), nn.Linear(16, 1))
        return model, torch.optim.SGD(model.parameters(), 0.05)

    def train(model, forward, optimizer):
        losses = []
        for k in range(10):
            x = torch.randn(12, 8, generator=torch.Generator().manual_seed(k))
            loss = forward(x).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    model, optimizer = build()
    eager = train(model, model, optimizer)
    model, optimizer = build()
    compiled, counter = counted(model)
    assert train(model, compiled, optimizer) == eager
    assert counter.frame_count == 1


def test_graph_breaks_and_branches(definition):
    layer = RReLU(0.1, 0.6, generator=Generator(1))

    def work(x):
        y = layer(x)
        torch._dynamo.graph_break()
        if y.sum() > 0:
            return layer(y) + 1
        return layer(y) - 1

    compiled = torch.compile(work, backend="aot_eager")
    for x in (torch.randn(9), -torch.ones(9)):
        layer.generator.reposition(1)
        expected = step(work, x)
        layer.generator.reposition(1)
        assert_same(definition, step(compiled, x), expected)


# Errors are those of eager, at trace time.


def test_layouts_that_cannot_be_served():
    quantized = torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8)
    nested = torch.nested.nested_tensor([torch.randn(2), torch.randn(3)])
    for x in (torch.eye(3).to_sparse(), torch.eye(3).to_sparse_csr(), quantized, nested):
        torch._dynamo.reset()
        with pytest.raises(TypeError, match=r"must be dense .* pass x\."):
            torch.compile(rrelu, backend="aot_eager")(x, training=True)


def test_errors_are_clear():
    x = torch.randn(4)
    cases = [
        ((torch.zeros(3, dtype=torch.int64), 0.1, 0.3, True), {}, DTypeError, "int64"),
        ((x, 0.5, 0.1, True), {}, BoundsError, "lower must be <= upper, got lower=0.5"),
        ((x, "0.5", 0.1, True), {}, TypeError, "lower='0.5'"),
        ((x, 0.1, 1e39), {}, BoundsError, "float32"),
        ((x, 0.1, 0.3, True), {"generator": 7}, TypeError, "generator="),
    ]
    for args, kwargs, kind, message in cases:
        torch._dynamo.reset()
        with pytest.raises(kind, match=message):
            torch.compile(rrelu, backend="aot_eager")(*args, **kwargs)
        with pytest.raises(Exception, match=message):
            torch.compile(rrelu, backend="aot_eager", fullgraph=True)(*args, **kwargs)
    torch._dynamo.reset()
    with pytest.raises(Exception, match=r"torch.Generator|torch\._C\.Generator"):
        torch.compile(rrelu, backend="aot_eager", fullgraph=True)(
            x, training=True, generator=torch.Generator()
        )


def test_fake_kernels_and_schemas():
    from torch.library import opcheck

    from rrelu_compat.backends.torch.ops import calls
    from rrelu_compat.backends.torch.tensors import key_tensor

    key = key_tensor(1, 2)
    for x in (torch.randn(4, 3), torch.randn(3, 4).t(), torch.randn(0, 2), torch.randn(())):
        x = x.clone(memory_format=torch.preserve_format).requires_grad_()
        opcheck(calls.forward.default, (x, key, 0.1, 0.6))
        _, bits = calls.forward(x.detach(), key, 0.1, 0.6)
        opcheck(calls.backward.default, (x, bits, key, 0.1, 0.6))
        opcheck(calls.multipliers.default, (x.detach(), key, 0.1, 0.6))
    strides = [1, 4]
    opcheck(calls.forward.default, (torch.randn(4, 3), key, 0.1, 0.6, 2, strides))
    tests = ("test_schema", "test_faketensor")
    opcheck(calls.draw_at.default, (key, True, 0), test_utils=tests)


def test_deepcopied_models_compile(definition):
    model = nn.Sequential(RReLU(0.1, 0.6, generator=Generator(1)))
    twin = copy.deepcopy(model)
    compiled, _ = counted(twin)
    x = torch.randn(5)
    assert torch.equal(compiled(x), definition.training(x, 0.1, 0.6, 1, 0)[0])
    assert torch.equal(model(x), definition.training(x, 0.1, 0.6, 1, 1)[0])
