"""PyTorch on a GPU: bits, streams, graphs, checkpoints, autocast, compile, memory."""

import pytest
import torch
from torch.utils.checkpoint import checkpoint

import rrelu_compat
from rrelu_compat import Generator, manual_seed
from rrelu_compat.torch import RReLU, bind_to_device, rrelu, unbind

pytestmark = pytest.mark.gpu

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
DEVICE = "cuda"


@pytest.fixture(autouse=True)
def pytorch_sees_it():
    if not torch.cuda.is_available():
        pytest.fail("pytest -m gpu needs a CUDA build of PyTorch", pytrace=False)
    yield
    manual_seed(None)


def same(a, b):
    """Whether two tensors have the same bits, any NaN equal to any NaN."""
    a, b = a.detach().cpu().contiguous(), b.detach().cpu().contiguous()
    nan = a.isnan() & b.isnan()
    raw = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.reshape(-1).view(raw) == b.reshape(-1).view(raw)
    return a.dtype == b.dtype and a.shape == b.shape and bool((equal | nan.reshape(-1)).all())


def layouts(dtype):
    x = torch.randn(4, 16, 12, 10, generator=torch.Generator().manual_seed(3)).to(dtype)
    x.view(-1)[:6] = torch.tensor(
        [0.0, -0.0, float("-inf"), float("inf"), float("nan"), -6e-8], dtype=dtype
    )
    yield "contiguous", x
    yield "channels last", x.contiguous(memory_format=torch.channels_last)
    yield "channels last, odd", x[..., :7].contiguous(memory_format=torch.channels_last)
    yield "transposed", x.transpose(1, 3)
    yield "sliced", x[:, ::2, 1:]
    yield "misaligned", x.flatten()[1:]
    yield "0-d", x[0, 0, 0, 3]
    yield "empty", x[:0]
    yield "expanded", x[:, :1].expand(4, 5, 12, 10)


def test_the_conformance_run(capsys):
    from rrelu_compat.cli import main

    assert main(["conformance", "torch", "--device", "cuda"]) == 0
    assert "cuda" in capsys.readouterr().out


def to_device(x):
    """Copy to the GPU with the same strides."""
    if x.is_contiguous() and x.storage_offset() == 0:
        return x.to(DEVICE)
    base = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage()).to(DEVICE)
    return base.as_strided(x.shape, x.stride(), x.storage_offset())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inplace", [False, True])
def test_bits_are_those_of_the_cpu(dtype, training, inplace):
    for name, x in layouts(dtype):
        if inplace and name == "expanded":
            continue
        results = []
        for t in (to_device(x), x):
            leaf = t.detach().clone(memory_format=torch.preserve_format).requires_grad_()
            h = leaf * 1 if inplace else leaf
            y = rrelu(h, -1.0, 2.0, training, inplace, generator=Generator(2**64 - 1, 2))
            g = torch.linspace(-3, 3, y.numel(), dtype=dtype).reshape(y.shape).to(t.device)
            y.backward(g, retain_graph=True)
            results.append((y, leaf.grad))
        (y, grad), (expected, expected_grad) = results
        assert y.device.type == DEVICE
        assert same(y, expected), name
        assert same(grad, expected_grad), name
        assert y.stride() == expected.stride(), name


def test_streams():
    x = torch.randn(2**22, device=DEVICE)
    expected = [rrelu(x, training=True, generator=Generator(k)) for k in range(8)]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream() for _ in range(8)]
    results = []
    for k, stream in enumerate(streams):
        with torch.cuda.stream(stream):
            # The copy is on the stream: a kernel on any other would read it too early.
            late = torch.empty_like(x).copy_(x)
            results.append(rrelu(late, training=True, generator=Generator(k)))
    torch.cuda.synchronize()
    assert all(torch.equal(a, b) for a, b in zip(results, expected, strict=True))


def test_every_device_and_none_becomes_current():
    current = torch.cuda.current_device()
    for number in range(torch.cuda.device_count()):
        x = torch.randn(1000, device=f"cuda:{number}", requires_grad=True)
        y = rrelu(x, training=True, generator=Generator(1))
        y.sum().backward()
        other = x.detach().cpu().requires_grad_()
        rrelu(other, training=True, generator=Generator(1)).sum().backward()
        assert same(x.grad, other.grad)
        assert torch.cuda.current_device() == current


def test_the_default_generator_of_the_device():
    x = torch.full((1000,), -1.0, device=DEVICE)

    def run():
        torch.manual_seed(3)
        return [rrelu(x, training=True) for _ in range(2)]

    a, b = run(), run()
    assert all(map(torch.equal, a, b))
    assert not torch.equal(*a)
    own = torch.Generator(DEVICE)
    c = rrelu(x, training=True, generator=own.manual_seed(1))
    assert torch.equal(c, rrelu(x, training=True, generator=own.manual_seed(1)))


def test_nothing_waits_for_the_device():
    x = torch.randn(1000, device=DEVICE, requires_grad=True)
    manual_seed(None)
    rrelu(x, training=True).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        rrelu(x, training=True).backward(torch.ones_like(x))
        rrelu(x, training=True, generator=Generator(1)).backward(torch.ones_like(x))
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("source", ["default", "bound"])
def test_a_captured_graph_draws_fresh_slopes_and_its_backward_matches(source):
    generator = None if source == "default" else Generator(9)
    if generator is not None:
        bind_to_device(generator, DEVICE)
    x = torch.full((4096,), -1.0, device=DEVICE, requires_grad=True)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):  # compiled and loaded before the capture
        for _ in range(2):
            rrelu(x, training=True, generator=generator).sum().backward()
    torch.cuda.synchronize()
    x.grad = None
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = rrelu(x, training=True, generator=generator)
        (grad,) = torch.autograd.grad(y.sum(), x)
    seen = []
    for _ in range(3):
        graph.replay()
        torch.cuda.synchronize()
        assert torch.equal(grad, -y)  # dy/dx is the slope, and x is -1
        seen.append(y.detach().clone())
    assert not torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[1], seen[2])
    if generator is not None:
        unbind(generator)
        assert generator.call == 2 + 3
        for k, one in enumerate(seen):
            expected = rrelu_compat.slopes(4096, seed=9, call=2 + k)
            assert same(-one, torch.from_numpy(expected))


def test_a_generator_on_the_host_is_refused_in_a_capture():
    x = torch.ones(64, device=DEVICE)
    generator = Generator(1)
    rrelu(x, training=True, generator=generator)
    graph = torch.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="bind_to_device"), torch.cuda.graph(graph):
        rrelu(x, training=True, generator=generator)
    torch.cuda.synchronize()
    rrelu(x, training=True, generator=generator)  # all is usable afterwards


class Block(torch.nn.Module):
    def __init__(self, generator):
        super().__init__()
        self.first, self.second = (RReLU(generator=generator) for _ in range(2))

    def forward(self, x):
        return self.second(torch.nn.functional.dropout(self.first(x * 2)) - 0.1)


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("source", ["default", "own", "bound"])
def test_checkpoints(reentrant, source):
    def gradient(checkpointed):
        torch.manual_seed(0)
        generator = None if source == "default" else Generator(4)
        if source == "bound":
            bind_to_device(generator, DEVICE)
        block = Block(generator).to(DEVICE)
        x = torch.linspace(-1, 1, 5000, device=DEVICE, requires_grad=True)
        y = checkpoint(block, x, use_reentrant=reentrant) if checkpointed else block(x)
        torch.rand(3, device=DEVICE)
        y.square().sum().backward()
        return x.grad

    assert torch.equal(gradient(True), gradient(False))


def test_autocast_keeps_the_dtype_it_finds():
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), RReLU(generator=Generator(1))).to(DEVICE)
    x = torch.randn(32, 64, device=DEVICE)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        y = model(x)
        h = model[0](x)
    assert y.dtype is torch.bfloat16
    assert same(y, rrelu(h.cpu(), training=True, generator=Generator(1)))
    y.float().sum().backward()
    assert model[0].weight.grad.isfinite().all()


@pytest.mark.parametrize("own", [True, False])
def test_compiled(own):
    layer = RReLU(generator=Generator(5) if own else None).to(DEVICE)
    compiled = torch.compile(layer, fullgraph=True)
    for shape in ((1000,), (2, 16, 8, 8)):
        x = torch.randn(shape, device=DEVICE, requires_grad=True)
        y = compiled(x)
        y.sum().backward()
        again = compiled(x)
        assert not torch.equal(y, again)
        # The gradient where x < 0 is the slope.
        slope = torch.where(x >= 0, 1.0, y / x)
        torch.testing.assert_close(x.grad, slope, rtol=1e-6, atol=0)
    if own:
        layer.generator = Generator(5)
        x = torch.randn(1000, device=DEVICE)
        assert same(compiled(x), rrelu(x.cpu(), training=True, generator=Generator(5)))


def test_out_of_memory_leaves_things_usable():
    total = torch.cuda.get_device_properties(0).total_memory
    x = torch.full((1,), -1.0, device=DEVICE).expand(total)  # the result needs 4 times the memory
    generator = Generator(1)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        rrelu(x, training=True, generator=generator)
    torch.cuda.empty_cache()
    y = rrelu(torch.full((9,), -1.0, device=DEVICE), training=True, generator=Generator(1))
    assert same(-y, torch.from_numpy(rrelu_compat.slopes(9, seed=1)))


# The last elements in C order, as an index, for each layout of so many elements.
HUGE = {
    "contiguous": (lambda x: x, (slice(-64, None),)),
    "channels last": (lambda x: x.view(2, -1, 2, 16).permute(0, 3, 1, 2), (-1, -1, -1)),
    "strided": (lambda x: x.view(-1, 8).t(), (-1, slice(-64, None))),
}


@pytest.mark.parametrize("layout", HUGE)
def test_more_than_2_to_the_31_elements(layout):
    from rrelu_compat.kernels import F32, fill_slopes

    n = 2**31 + 2**13
    view, last = HUGE[layout]
    x = view(torch.full((n,), -1.0, dtype=torch.float16, device=DEVICE)).requires_grad_()
    y = rrelu(x, 0.0, 1.0, True, generator=Generator(3))
    tail = y.detach()[last]
    slopes = torch.empty(tail.shape)
    first = n - tail.numel()
    fill_slopes(F32, tuple(tail.shape), slopes.data_ptr(), None, 3, 0, first, 0.0, 1.0, 1)
    assert same(-tail, slopes.half())
    y.backward(torch.ones_like(y))
    assert same(x.grad[last], slopes.half())
