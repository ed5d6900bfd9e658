"""The layer in a program: copies, files, subclasses, mixed precision, devices without a kernel."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import rrelu_compat
from rrelu_compat import BoundsError, Generator, RReLUSpec
from rrelu_compat.backends.torch import ops, tensors
from rrelu_compat.backends.torch.backend import backend
from rrelu_compat.torch import RReLU, rrelu, rrelu_


def test_it_is_torchs_layer_and_prints_as_it():
    for args in ((), (0.1, 0.3), (0.1, 0.3, True)):
        ours, theirs = RReLU(*args), nn.RReLU(*args)
        assert isinstance(ours, nn.RReLU)
        assert isinstance(ours, rrelu_compat.RReLU)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict()) == []
        theirs.load_state_dict(ours.state_dict(), strict=True)
        ours.load_state_dict(theirs.state_dict(), strict=True)
    assert list(RReLU(0.1, 0.3, "act").parameters()) == []


def test_signatures_begin_as_torchs_own():
    for ours, theirs in ((rrelu, F.rrelu), (RReLU, nn.RReLU)):
        mine = [p for p in inspect.signature(ours).parameters.values() if p.kind < 3]
        native = list(inspect.signature(theirs).parameters.values())
        assert [p.name for p in mine[: len(native)]] == [p.name for p in native]
        for a, b in zip(mine, native, strict=False):
            assert a.default == b.default or a.name == "inplace"


def test_third_positional_is_inplace_or_name():
    assert RReLU(0.1, 0.3, True).inplace is True
    assert RReLU(0.1, 0.3, "act").name == "act"
    assert RReLU(0.1, 0.3, "act", True).inplace is True
    with pytest.raises(TypeError, match="inplace="):
        RReLU(0.1, 0.3, 1)


def test_attributes_are_live_and_validated():
    layer = RReLU(0.1, 0.2).eval()
    x = torch.tensor([-1.0])
    layer.upper = 0.4
    assert layer(x).item() == -0.25
    layer.spec = RReLUSpec(0.5, 0.7)
    assert layer(x).item() == pytest.approx(-0.6)
    layer.inplace = True
    assert layer(x) is x
    for attribute, value, error in (
        ("lower", float("nan"), BoundsError),
        ("upper", "1", TypeError),
        ("inplace", 1, TypeError),
        ("name", 3, TypeError),
        ("generator", np.random.default_rng(0), TypeError),
        ("spec", (0.1, 0.2), TypeError),
    ):
        with pytest.raises(error, match=attribute):
            setattr(layer, attribute, value)
    assert (layer.lower, layer.upper) == (0.5, 0.7)


def test_copies_and_files(tmp_path):
    layer = RReLU(0.1, 0.3, True, "act", generator=Generator(3, 5))
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    for twin in (
        copy.copy(layer),
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(buffer, weights_only=False),
    ):
        assert type(twin) is RReLU
        assert twin.spec == layer.spec
        assert twin.training
        assert twin.generator.state_dict() == {"seed": 3, "call": 5}
    assert copy.deepcopy(layer).generator is layer.generator
    assert pickle.loads(pickle.dumps(layer)).generator is not layer.generator
    twin = copy.deepcopy(RReLU(generator=torch.Generator()))
    assert isinstance(twin.generator, torch.Generator)


def test_subclasses_of_the_layer_keep_their_class_when_copied():
    class Mine(RReLU):
        pass

    assert type(copy.deepcopy(Mine(0.1, 0.2))) is Mine


def test_spec_builds_and_reads_the_layer():
    generator = Generator(1)
    layer = RReLUSpec(0.1, 0.2, True, "n").layer("torch", generator)
    assert type(layer) is RReLU
    assert layer.generator is generator
    assert RReLUSpec.from_layer(layer) == RReLUSpec(0.1, 0.2, True, "n")
    assert RReLUSpec.from_layer(nn.RReLU(0.1, 0.2)) == RReLUSpec(0.1, 0.2)
    x = torch.randn(5)
    y = RReLUSpec(0.1, 0.2).apply(x, training=True, generator=Generator(1))
    assert torch.equal(y, rrelu(x, 0.1, 0.2, True, generator=Generator(1)))
    with pytest.raises(TypeError, match="training="):
        RReLUSpec().apply(x, training=1)


def test_info_is_complete():
    info = backend.info()
    assert info["version"] == torch.__version__
    assert info["devices"][0] == "cpu"
    assert info["dtypes"] == ["float16", "bfloat16", "float32", "float64"]
    assert set(info["kernels"]) == {"cpu"}


def test_hooks_of_modules_work():
    layer = RReLU()
    seen = []
    layer.register_forward_hook(lambda module, args, y: seen.append("forward"))
    layer.register_full_backward_hook(lambda module, gi, go: seen.append("backward"))
    layer(torch.randn(3, requires_grad=True)).sum().backward()
    assert seen == ["forward", "backward"]


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_channels_last_goes_through_a_model(training, inplace, compiled):
    layers = [
        nn.Conv2d(3, 4, 3),
        RReLU(inplace=inplace),
        nn.Conv2d(4, 5, 3),
        RReLU(inplace=inplace),
    ]
    model = nn.Sequential(*layers).to(memory_format=torch.channels_last).train(training)
    kept = []
    for layer in layers:
        layer.register_forward_hook(lambda module, args, y: kept.append(y.stride()))
    run = torch.compile(model, backend="aot_eager") if compiled else model
    x = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    y = run(x)
    y.backward(torch.ones_like(y))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert x.grad.is_contiguous(memory_format=torch.channels_last)
    assert kept[0] == kept[1] == (144, 1, 24, 4)
    assert kept[2] == kept[3] == y.stride()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_models_train(dtype):
    model = nn.Sequential(nn.Linear(8, 8), RReLU(), nn.Linear(8, 1)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x = torch.randn(32, 8).to(dtype)
    losses = []
    for _ in range(30):
        loss = (model(x).float() - 1).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 2


def test_autocast_keeps_the_dtype_it_is_given(definition):
    linear = nn.Linear(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = linear(torch.randn(3, 4))
        y = rrelu(hidden, 0.1, 0.6, True, generator=Generator(1))
        z = rrelu(hidden.float(), 0.1, 0.6, True, generator=Generator(1))
    assert hidden.dtype is y.dtype is torch.bfloat16
    assert z.dtype is torch.float32
    assert torch.equal(y, definition.training(hidden, 0.1, 0.6, 1)[0])
    y.sum().backward()
    assert linear.weight.grad.dtype is torch.float32


def test_inference_mode(definition):
    with torch.inference_mode():
        x = torch.randn(4, requires_grad=True)
        for training in (True, False):
            y = rrelu(x, 0.1, 0.6, training)
            assert y.is_inference()
            assert rrelu_(y, 0.1, 0.6, training) is y


def test_default_device():
    torch.set_default_device("meta")
    x = torch.randn(3, device="cpu", requires_grad=True)
    y = RReLU()(x)
    assert y.device.type == "cpu"
    y.sum().backward()
    assert torch.func.vmap(RReLU(), randomness="same")(x.detach()).device.type == "cpu"


class Tagged(torch.Tensor):
    """A subclass without behaviour of its own."""


class Counting(torch.Tensor):
    """A subclass that hears of the functions called on it."""

    heard: list = []  # noqa: RUF012

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        cls.heard.append(func)
        return super().__torch_function__(func, types, args, kwargs or {})


def test_tensor_subclasses_keep_their_type(definition):
    x = torch.randn(6)
    y0, vjp = definition.training(x, 0.1, 0.6, 1)
    for cls in (Tagged, Counting):
        leaf = x.clone().as_subclass(cls).requires_grad_()
        y = rrelu(leaf, 0.1, 0.6, True, generator=Generator(1))
        assert type(y) is cls
        assert torch.equal(y.as_subclass(torch.Tensor), y0)
        y.backward(torch.ones(6))
        assert torch.equal(leaf.grad.as_subclass(torch.Tensor), vjp(torch.ones(6)))
    assert rrelu in Counting.heard


def test_dispatch_modes_see_our_operators(definition):
    class Recorder(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.seen = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.seen.append(str(func))
            return func(*args, **(kwargs or {}))

    x = torch.randn(6, requires_grad=True)
    with Recorder() as recorder:
        y = rrelu(x, 0.1, 0.6, True, generator=Generator(1))
        (g,) = torch.autograd.grad(y.sum(), x)
    assert any(name.endswith("forward.default") for name in recorder.seen)
    assert any(name.endswith("backward.default") for name in recorder.seen)
    y0, vjp = definition.training(x, 0.1, 0.6, 1)
    assert torch.equal(y, y0)
    assert torch.equal(g, vjp(torch.ones(6)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_device_without_a_kernel_gets_slopes_made_on_the_host(monkeypatch, definition, dtype):
    """Simulated: every tensor looks as if it were on a device that no kernel serves."""
    monkeypatch.setattr(tensors, "PLAIN", frozenset())
    monkeypatch.setattr("rrelu_compat.backends.torch.routes.PLAIN", frozenset())
    monkeypatch.setattr(ops, "kernels_for", lambda device: None)
    for kernel in ("write_forward", "write_backward"):
        monkeypatch.setattr(ops.cpu, kernel, lambda *a: pytest.fail("a kernel was called"))
    special = torch.tensor([0.0, -0.0, float("inf"), -float("inf"), float("nan"), -6e-8])
    base = torch.cat([special, torch.randn(30)]).to(dtype)
    for x in (base, base.view(4, 9).t(), base[:0], base[0], base[:13]):
        for training in (True, False):
            reference = (
                definition.training(x, -0.3, 0.6, 1)
                if training
                else definition.evaluation(x, -0.3, 0.6)
            )
            leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
            y = rrelu(leaf, -0.3, 0.6, training, generator=Generator(1))
            assert definition.same_bits(y, reference[0])
            assert y.stride() == leaf.stride()
            g = torch.randn(y.shape).to(dtype)
            (gx,) = torch.autograd.grad(y, leaf, g)
            assert definition.same_bits(gx, reference[1](g))
            h = x.clone()
            assert rrelu_(h, -0.3, 0.6, training, generator=Generator(1)) is h
            assert definition.same_bits(h, reference[0])


def test_a_device_without_a_kernel_in_graphs_and_transforms(monkeypatch, definition):
    """Simulated; slopes made on the host, in graphs and under vmap, with their fake strides."""
    monkeypatch.setattr(ops, "kernels_for", lambda device: None)
    for kernel in ("write_forward", "write_backward"):
        monkeypatch.setattr(ops.cpu, kernel, lambda *a: pytest.fail("a kernel was called"))
    base = torch.randn(4, 3, 5, 7)
    generator = Generator(1)

    def f(x):
        return rrelu(x, -0.3, 0.6, True, generator=generator)

    layouts = [base, base.transpose(0, 2), base[1::2, :, ::2], base[:0], base[0, 0, 0, 0]]
    layouts.append(base.double().to(memory_format=torch.channels_last))
    for x in layouts:
        torch._dynamo.reset()
        generator.reposition(1)
        y0, vjp = definition.training(x, -0.3, 0.6, 1)
        leaf = x.detach().requires_grad_()
        y = torch.compile(f, backend="aot_eager", fullgraph=True)(leaf)
        assert definition.same_bits(y, y0)
        assert y.stride() == torch.empty_like(x).stride()
        g = torch.randn(x.shape).to(x.dtype)
        assert definition.same_bits(torch.autograd.grad(y, leaf, g)[0], vjp(g))
    torch._dynamo.reset()
    generator.reposition(1)
    y0, vjp = definition.training(base, -0.3, 0.6, 1)
    assert torch.equal(torch.vmap(f, randomness="different")(base), y0)
    generator.reposition(1)
    slopes = torch.func.grad(lambda x: f(x).sum())(base)
    assert torch.equal(slopes, vjp(torch.ones_like(base)))


def test_neutral_function_and_layer_reach_pytorch():
    x = -torch.ones(4)
    y = rrelu_compat.rrelu(x, 0.5, 0.5, training=False)
    assert isinstance(y, torch.Tensor)
    assert torch.equal(y, torch.full((4,), -0.5))
    assert type(rrelu_compat.RReLU(backend="torch")) is RReLU


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


def test_importing_us_does_not_import_the_compiler():
    """It would double the time that ``import torch`` takes."""
    code = "import sys, rrelu_compat.torch; raise SystemExit('torch._dynamo' in sys.modules)"
    assert run_python(code).returncode == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_paddles_torch_proxy_gets_a_clear_error(when):
    if when == "before":
        code = "import paddle; paddle.enable_compat(); import rrelu_compat.torch"
    else:
        code = (
            "import torch, rrelu_compat.torch as r; x = torch.zeros(3); import paddle\n"
            "paddle.enable_compat(); r.rrelu(x, training=True)"
        )
    result = run_python(code)
    assert result.returncode == 1
    assert "enable_compat() is active" in result.stderr.strip().splitlines()[-1]


def test_forked_children_draw():
    code = (
        "import torch, os, rrelu_compat; from rrelu_compat.torch import rrelu\n"
        "rrelu_compat.manual_seed(1); x = -torch.ones(64); rrelu(x, training=True)\n"
        "if (pid := os.fork()) == 0:\n"
        "    y = rrelu(x, training=True); rrelu_compat.manual_seed(1); rrelu(x, training=True)\n"
        "    os._exit(0 if torch.equal(y, rrelu(x, training=True)) else 1)\n"
        "_, status = os.waitpid(pid, 0); raise SystemExit(os.waitstatus_to_exitcode(status))"
    )
    assert run_python(code).returncode == 0


class Negatives(torch.utils.data.Dataset):
    """Items made with RReLU, in whichever process the loader asks."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return rrelu(-torch.ones(32), 0.1, 0.6, True)


def test_data_loader_workers_follow_the_frameworks_seeds():
    def items():
        torch.manual_seed(3)
        loader = torch.utils.data.DataLoader(Negatives(), num_workers=2, batch_size=1)
        return [batch[0].numpy().tobytes() for batch in loader]

    first = items()
    assert len(set(first)) == 4
    assert items() == first
