"""The CUDA route of the PyTorch adapter on CPU tensors, its kernels run on the host by the stand-in.

All of the adapter runs here but PyTorch's own CUDA: the stream, the device and the tensors' memory.
"""

import numpy as np
import pytest
import torch
from torch.utils.checkpoint import checkpoint

import rrelu_compat
from rrelu_compat import Generator, RecomputeError, RReLUSpec, manual_seed
from rrelu_compat.backends.torch import cuda, device_keys, ops, routes
from rrelu_compat.kernels import cuda as kernels
from rrelu_compat.torch import rrelu

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_if_cuda(machine, monkeypatch):
    """Send CPU tensors through the CUDA route."""
    machine.run = True
    monkeypatch.setattr(cuda, "_stream", lambda device: 0)
    monkeypatch.setattr(torch.Tensor, "get_device", lambda self: 0)
    monkeypatch.setattr(cuda, "usable", lambda device: True)
    monkeypatch.setattr(device_keys, "capturing", lambda: False)
    monkeypatch.setattr(ops, "kernels_for", lambda device: cuda if cuda.usable(device) else None)


def train(x, lower=1 / 8, upper=1 / 3, *, generator=None, inplace=False, training=True):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.Tensor, "is_cuda", True)
        return routes.apply(x, RReLUSpec(lower, upper, inplace), training, generator)


def bits_of(x):
    return x.detach().reshape(-1).view(torch.uint8).numpy().tobytes()


def layouts(dtype):
    x = torch.randn(2, 16, 6, 6, generator=torch.Generator().manual_seed(3)).to(dtype)
    x[0, 0, 0, :3] = torch.tensor([0.0, -0.0, -float("inf")], dtype=dtype)
    yield "contiguous", x
    yield "channels last", x.contiguous(memory_format=torch.channels_last)
    yield "transposed", x.transpose(1, 3)
    yield "sliced", x[:, ::2, 1:]
    yield "misaligned", x.flatten()[1:]
    yield "0-d", x[0, 0, 0, 3]
    yield "empty", x[:0]
    yield "expanded", x[:, :1].expand(2, 5, 6, 6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_the_cpu(dtype, training):
    for name, x in layouts(dtype):
        ours, theirs = (x.detach().requires_grad_() for _ in range(2))
        y = train(ours, -1.0, 2.0, generator=Generator(5, 2), training=training)
        expected = rrelu(theirs, -1.0, 2.0, training, generator=Generator(5, 2))
        assert bits_of(y) == bits_of(expected), name
        assert y.stride() == expected.stride(), name
        for g in (torch.randn_like(y), torch.randn_like(y.contiguous())):
            (a,) = torch.autograd.grad(y, ours, g, retain_graph=True)
            (b,) = torch.autograd.grad(expected, theirs, g, retain_graph=True)
            assert bits_of(a) == bits_of(b), name
            assert a.stride() == b.stride(), name


def test_channels_last_is_worked_in_the_order_of_memory(machine):
    x = torch.randn(2, 16, 6, 6).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = train(x, generator=Generator(1))
    y.backward(torch.ones_like(y))
    names = [launch.kernel for launch in machine.launches]
    assert names == ["rrelu_forward_tiled", "rrelu_backward_tiled"]
    # A gradient of another layout finds the bits all the same.
    again = x.detach().requires_grad_()
    train(again, generator=Generator(1)).backward(torch.ones(2, 16, 6, 6))
    assert torch.equal(x.grad, again.grad)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_in_place(dtype):
    for name, x in layouts(dtype):
        if name == "expanded":
            with pytest.raises(RuntimeError, match="one memory location"):
                train(x, inplace=True)
            continue
        a, b = (x.detach().clone().requires_grad_() for _ in range(2))
        # A leaf that requires a gradient can't be changed: take a copy that keeps the layout.
        ours, theirs = a * 1, b * 1
        assert train(ours, -0.5, -0.2, generator=Generator(5), inplace=True) is ours
        rrelu(theirs, -0.5, -0.2, True, True, generator=Generator(5))
        assert bits_of(ours) == bits_of(theirs), name
        ours.sum().backward()
        theirs.sum().backward()
        assert bits_of(a.grad) == bits_of(b.grad), name
    with pytest.raises(RuntimeError, match="leaf"):
        train(torch.ones(3, requires_grad=True), inplace=True)
    with torch.no_grad():
        x = torch.full((9,), -1.0)
        version = x._version
        train(x, inplace=True)
        assert x._version == version + 1


def test_the_default_source_is_the_generator_of_the_device(machine):
    def draws(call):
        torch.manual_seed(3)
        return call(), torch.get_rng_state()

    # Here the device's generator is the CPU's. One number for the host, then the key.
    y, state = draws(lambda: train(torch.full((5,), -1.0)))

    def by_hand():
        torch.empty(1, dtype=torch.int64).random_()
        return torch.empty(2, dtype=torch.int64).random_(-(2**63), None)

    words, expected_state = draws(by_hand)
    assert torch.equal(state, expected_state)
    seed, call = (int(word) % 2**64 for word in words)
    slopes = rrelu_compat.slopes(5, seed=seed, call=call)
    assert (-y.numpy()).tobytes() == slopes.tobytes()
    # The key was read by the kernel, not by the host.
    assert machine.launches[0].values[5] != 0
    assert machine.launches[0].values[6:8] == (0, 0)


def test_a_torch_generator_is_drawn_from_on_its_device():
    generator = torch.Generator()
    a = train(torch.full((5,), -1.0), generator=generator.manual_seed(3))
    b = train(torch.full((5,), -1.0), generator=generator)
    c = train(torch.full((5,), -1.0), generator=generator.manual_seed(3))
    assert torch.equal(a, c)
    assert not torch.equal(a, b)
    with pytest.raises(TypeError, match="generator="):
        train(torch.ones(2), generator=7)


def test_manual_seed_numbers_the_calls_as_on_the_cpu():
    try:
        manual_seed(11)
        a = [train(torch.full((7,), -1.0)) for _ in range(3)]
        manual_seed(11)
        b = [rrelu(torch.full((7,), -1.0), training=True) for _ in range(3)]
    finally:
        manual_seed(None)
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))


class Layer(torch.nn.Module):
    def __init__(self, generator):
        super().__init__()
        self.generator = generator

    def forward(self, x):
        y = train(x * 2, generator=self.generator)
        # A random layer in between: its numbers too are those of the forward.
        y = torch.nn.functional.dropout(y * 3)
        return train(y - 0.1, generator=self.generator)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("source", ["framework", "own", "bound"])
def test_checkpoints_repeat_the_slopes(reentrant, source):
    def gradient(checkpointed):
        torch.manual_seed(0)
        generator = None if source == "framework" else Generator(4)
        if source == "bound":
            device_keys._bind(generator, CPU)
        layer = Layer(generator)
        x = torch.randn(50, generator=torch.Generator().manual_seed(1)).requires_grad_()
        y = checkpoint(layer, x, use_reentrant=reentrant) if checkpointed else layer(x)
        torch.rand(3)  # other work between forward and backward
        y.square().sum().backward()
        return x.grad

    assert torch.equal(gradient(True), gradient(False))


def test_a_checkpoint_that_makes_another_call_raises():
    calls = []

    def segment(x):
        calls.append(1)
        return train(x, upper=0.5 if len(calls) > 1 else 0.4).sum()

    x = torch.randn(20, requires_grad=True)
    y = checkpoint(segment, x, use_reentrant=False)
    with pytest.raises(RecomputeError, match="upper"):
        y.backward()


def test_saved_tensor_hooks_that_copy_are_fine_and_others_are_caught():
    def gradient(pack, unpack):
        torch.manual_seed(0)
        x = torch.full((20,), -1.0, requires_grad=True)
        with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
            y = train(x)
        y.sum().backward()
        return x.grad

    same = gradient(lambda t: t, lambda t: t)
    assert torch.equal(same, gradient(lambda t: t.clone(), lambda t: t.clone()))
    with pytest.raises(RuntimeError, match="hooks must return what they were given"):
        gradient(lambda t: t.double(), lambda t: t)
    with pytest.raises(RecomputeError):
        gradient(lambda t: t + 1 if t.dtype is torch.int64 else t, lambda t: t)


def test_gradients_of_gradients_and_batched_ones():
    x = torch.randn(12, dtype=torch.float64, requires_grad=True)
    g = torch.randn(12, dtype=torch.float64, requires_grad=True)
    y = train(x, generator=Generator(1))
    (first,) = torch.autograd.grad(y, x, g, create_graph=True)
    (second,) = torch.autograd.grad(first, g, torch.ones_like(first), retain_graph=True)
    a = rrelu_compat.slopes(12, seed=1, dtype="float64")
    expected = np.where(x.detach().numpy() >= 0, 1.0, a)
    assert np.array_equal(second.numpy(), expected)
    (rows,) = torch.autograd.grad(y, x, torch.eye(12, dtype=torch.float64), is_grads_batched=True)
    assert np.array_equal(rows.numpy(), np.diag(expected))


def test_the_operators(machine):
    x = torch.randn(3, 16, 4, 4)
    for memory_format in (torch.contiguous_format, torch.channels_last):
        t = x.contiguous(memory_format=memory_format)
        key = torch.tensor([2**62, -5])
        for strides in (None, (7, 256, 4, 1)):
            y, bits = ops.forward(t, key, 0.1, 0.3, 12, strides)
            out = ops.backward(t, bits, key, 0.1, 0.3, 12, strides)
            many = ops.multipliers(t, key, 0.1, 0.3, 12, strides)
            expected = t * many
            assert torch.equal(y, expected)
            assert torch.equal(out, expected)
            assert y.stride() == t.stride()


def test_in_a_capture_only_keys_of_the_device_are_taken(monkeypatch):
    monkeypatch.setattr(device_keys, "capturing", lambda: True)
    x = torch.full((5,), -1.0)
    generator = Generator(3)
    with pytest.raises(RuntimeError, match=r"bind_to_device\(generator, device\)"):
        train(x, generator=generator)
    assert generator.call == 0
    with pytest.raises(RuntimeError, match="every replay would have the same"):
        ops.forward(x, torch.tensor([1, 2]), 0.1, 0.3, 0, None)
    try:
        manual_seed(1)
        with pytest.raises(RuntimeError, match="CUDA graph"):
            train(x)
    finally:
        manual_seed(None)
    train(x)
    train(x, training=False)
    device_keys._bind(generator, CPU)
    y = train(x, generator=generator)
    assert (-y.numpy()).tobytes() == rrelu_compat.slopes(5, seed=3).tobytes()


def test_a_bound_generator_continues_one_stream_wherever_it_is_used():
    generator = Generator(2**64 - 1, 2**64 - 2)
    device_keys._bind(generator, CPU)
    x = torch.full((5,), -1.0)
    seen = [train(x, generator=generator) for _ in range(3)]  # on the device, past 2**64
    assert (generator.seed, generator.call) == (2**64 - 1, 1)
    assert generator.take() == (2**64 - 1, 1)  # on the host
    assert generator.state_dict() == {"seed": 2**64 - 1, "call": 2}
    generator.load_state_dict({"seed": 8, "call": 3})
    seen.append(train(x, generator=generator))
    device_keys.unbind(generator)
    assert generator.device is None
    assert generator.take() == (8, 4)
    for y, (seed, call) in zip(
        seen, [(2**64 - 1, 2**64 - 2), (2**64 - 1, 2**64 - 1), (2**64 - 1, 0), (8, 3)], strict=True
    ):
        assert (-y.numpy()).tobytes() == rrelu_compat.slopes(5, seed=seed, call=call).tobytes()


def test_binding_checks_its_arguments():
    with pytest.raises(
        TypeError, match=r"generator must be a rrelu_compat\.Generator, got int generator=7"
    ):
        device_keys.bind_to_device(7, "cuda")
    with pytest.raises(ValueError, match="device must be a CUDA device, got device='cpu'"):
        device_keys.bind_to_device(Generator(1), "cpu")


def test_without_kernels_the_bits_are_the_same(monkeypatch, machine):
    def both(call):
        torch.manual_seed(1)
        with_kernels = call()
        launches = len(machine.launches)
        monkeypatch.setattr(cuda, "usable", lambda device: False)
        torch.manual_seed(1)
        without = call()
        monkeypatch.setattr(cuda, "usable", lambda device: True)
        assert len(machine.launches) == launches
        return with_kernels, without

    def call():
        x = torch.linspace(-2, 2, 33, requires_grad=True)
        y = train(x * 1, -0.5, 0.7, inplace=True)
        y.sum().backward()
        return y.detach(), x.grad

    (y, g), (other, other_g) = both(call)
    assert torch.equal(y, other)
    assert torch.equal(g, other_g)
    a, b = both(lambda: train(torch.full((5,), -1.0), generator=Generator(3)))
    assert torch.equal(a, b)


def test_describe_says_what_serves(machine):
    assert kernels.describe(0).startswith("cuda (NVRTC ")


def test_a_compiled_graph_refuses_a_bound_generator():
    generator = Generator(3)
    device_keys._bind(generator, CPU)
    function = torch.compile(
        lambda x: rrelu(x, training=True, generator=generator), backend="eager", fullgraph=True
    )
    with pytest.raises(Exception, match="bound to a device cannot enter a compiled graph"):
        function(torch.ones(3))
    device_keys.unbind(generator)
    assert torch.equal(function(torch.ones(3)), torch.ones(3))
