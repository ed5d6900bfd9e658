"""The eager adapter: bits, layouts, gradients, in place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rrelu_compat import BoundsError, DTypeError, Generator
from rrelu_compat.backends.torch import cpu
from rrelu_compat.torch import RReLU, rrelu, rrelu_

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
SPECIAL = [0.0, -0.0, float("inf"), -float("inf"), float("nan"), 6e-8, -6e-8, 1e-45, -1e-45, -1.0]

# Each makes a layout from a contiguous (4, 3, 5, 7) tensor.
LAYOUTS = {
    "contiguous": lambda x: x,
    "transposed": lambda x: x.transpose(0, 2),
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "sliced": lambda x: x[1::2, :, ::2],
    "flipped": lambda x: x.flip(0).as_strided((3, 3), (7, 2), 5),
    "expanded": lambda x: x[:, :1].expand(-1, 3, -1, -1),
    "scalar": lambda x: x[0, 0, 0, 0],
    "empty": lambda x: x[:, :0],
    "odd": lambda x: x.reshape(-1)[1:10],
}
BOUNDS = [(0.125, 1 / 3), (-0.5, 0.25), (-0.3, -0.1), (0.0, 0.0), (0.2, 0.2), (1.5, 3.0)]


def with_specials(dtype):
    x = torch.randn(4, 3, 5, 7, dtype=torch.float64)
    x.view(-1)[: len(SPECIAL)] = torch.tensor(SPECIAL, dtype=torch.float64)
    x.view(-1)[100 : 100 + len(SPECIAL)] = torch.tensor(SPECIAL, dtype=torch.float64)
    return x.to(dtype)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_forward_and_backward_have_the_bits_of_the_definition(definition, dtype, layout, training):
    x = LAYOUTS[layout](with_specials(dtype)).detach().requires_grad_()
    for lower, upper in BOUNDS:
        if training:
            y0, vjp = definition.training(x, lower, upper, 11, 2)
        else:
            y0, vjp = definition.evaluation(x, lower, upper)
        y = rrelu(x, lower, upper, training, generator=Generator(11, 2))
        assert definition.same_bits(y, y0)
        assert y.stride() == torch.empty_like(x).stride()
        assert y.dtype is dtype
        with torch.no_grad():
            plain = rrelu(x, lower, upper, training, generator=Generator(11, 2))
        assert definition.same_bits(plain, y0)
        assert plain.stride() == y.stride()
        for g in (
            torch.randn(y.shape).to(dtype),
            torch.ones((), dtype=dtype).expand(y.shape),
            with_specials(dtype).view(-1)[: y.numel() or 1].flip(0)[: y.numel()].clone().view(-1),
        ):
            if g.shape != y.shape:
                if g.numel() != y.numel():
                    continue
                g = g.view(y.shape)
            (gx,) = torch.autograd.grad(y, x, g, retain_graph=True)
            assert definition.same_bits(gx, vjp(g))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_in_place_gives_the_same_bits_and_the_same_object(definition, dtype, training):
    for name, layout in LAYOUTS.items():
        if name == "expanded":
            continue
        for lower, upper in BOUNDS:
            leaf = layout(with_specials(dtype)).detach().requires_grad_()
            h = leaf.clone(memory_format=torch.preserve_format)
            reference = (
                definition.training(h, lower, upper, 3)
                if training
                else definition.evaluation(h, lower, upper)
            )
            version = h._version
            y = rrelu_(h, lower, upper, training, generator=Generator(3))
            assert y is h
            assert h._version > version
            assert definition.same_bits(y, reference[0])
            g = torch.randn(y.shape).to(dtype)
            (gx,) = torch.autograd.grad(y, leaf, g)
            assert definition.same_bits(gx, reference[1](g))
            plain = leaf.detach().clone()
            version = plain._version
            assert rrelu(plain, lower, upper, training, True, generator=Generator(3)) is plain
            assert definition.same_bits(plain, reference[0])
            assert plain._version > version or training is False


def test_in_place_on_a_view_reaches_the_base(definition):
    leaf = torch.randn(4, 6, requires_grad=True)
    base = leaf * 1
    view = base[1:, ::2]
    y0, vjp = definition.training(view, -0.3, -0.1, 5)
    assert rrelu_(view, -0.3, -0.1, True, generator=Generator(5)) is view
    assert torch.equal(base[1:, ::2], y0)
    base.sum().backward()
    expected = torch.ones(4, 6)
    expected[1:, ::2] = vjp(torch.ones(3, 3))
    assert torch.equal(leaf.grad, expected)


def test_in_place_is_refused_where_pytorch_refuses_it_before_a_byte_changes():
    leaf = torch.randn(4, 4, requires_grad=True)
    with torch.no_grad():
        no_grad_view = (leaf * 1).requires_grad_()[0]
    with torch.inference_mode():
        inference = torch.randn(3)
    single = torch.randn(4, 1)
    hidden = leaf * 1
    cases = [
        (leaf, "a leaf Variable that requires grad"),
        (leaf[0], "a view of a leaf Variable that requires grad"),
        (hidden.unbind()[1], "view"),
        (no_grad_view, "view|leaf"),
        (single.expand(4, 3), "one memory location"),
        (torch.randn(9).as_strided((3, 3), (1, 1)), "one memory location"),
        (inference, "inference"),
    ]
    state, generator = torch.get_rng_state(), Generator(1)
    for x, message in cases:
        before = x.detach().clone()
        for training in (True, False):
            with pytest.raises(RuntimeError, match=message):
                rrelu_(x, 0.1, 0.3, training, generator=generator)
        assert torch.equal(x.detach(), before)
    assert torch.equal(torch.get_rng_state(), state)  # nor is a number or a call taken
    assert generator.call == 0


def test_interleaved_strides_that_do_not_overlap_are_taken_in_place(definition):
    x = torch.randn(20).as_strided((2, 3), (3, 2))
    assert torch.unique(torch.arange(20.0).as_strided((2, 3), (3, 2))).numel() == 6
    y0, _ = definition.training(x, 0.1, 0.3, 1)
    assert definition.same_bits(rrelu_(x, 0.1, 0.3, True, generator=Generator(1)), y0)


def test_gradient_is_one_at_both_zeros():
    for training in (True, False):
        x = torch.tensor([0.0, -0.0], requires_grad=True)
        rrelu(x, 0.1, 0.3, training).sum().backward()
        assert x.grad.tolist() == [1.0, 1.0]


def test_hooks_that_change_the_gradient_are_heard(definition):
    x = torch.randn(7, requires_grad=True)
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    y.register_hook(lambda g: g * 3)
    y.sum().backward()
    assert torch.equal(x.grad, vjp(torch.full((7,), 3.0)))


def test_two_backwards_over_a_retained_graph_agree(definition):
    x = torch.randn(7, requires_grad=True)
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    y.sum().backward(retain_graph=True)
    first = x.grad.clone()
    y.sum().backward()
    assert torch.equal(first, vjp(torch.ones(7)))
    assert torch.equal(x.grad, 2 * first)
    with pytest.raises(RuntimeError, match="second time"):
        y.sum().backward()


def test_input_modified_after_the_forward_does_not_change_the_gradient(definition):
    leaf = torch.randn(7, requires_grad=True)
    x = leaf * 1
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    x.neg_()
    (g,) = torch.autograd.grad(y.sum(), leaf)
    assert torch.equal(g, vjp(torch.ones(7)))


def test_output_modified_after_the_forward_does_not_change_the_gradient(definition):
    x = torch.randn(7, requires_grad=True)
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    y.mul_(2.0)
    y.sum().backward()
    assert torch.equal(x.grad, vjp(torch.full((7,), 2.0)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_bit_per_element_is_kept(dtype):
    x = torch.randn(8, 128, dtype=dtype, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        y = rrelu(x, 0.1, 0.3, True)
    assert (
        sum(t.numel() * t.element_size() for t in saved) == 128 + 1 + 16
    )  # one more byte, and (seed, call)
    y.sum().backward()


def test_a_saved_tensor_hook_that_returns_other_bits_raises():
    x = torch.randn(16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t.float()):
        y = rrelu(x, 0.1, 0.3, True)
    with pytest.raises(RuntimeError, match="saved-tensor hook returned"):
        y.sum().backward()


def test_save_on_cpu_works(definition):
    x = torch.randn(16, requires_grad=True)
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    with torch.autograd.graph.save_on_cpu():
        y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    y.sum().backward()
    assert torch.equal(x.grad, vjp(torch.ones(16)))


def test_large_tensors_use_threads_and_keep_the_bits(definition):
    x = torch.randn(300_001, requires_grad=True)
    y0, vjp = definition.training(x, 0.1, 0.3, 2)
    for threads in (1, 2):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
            (g,) = torch.autograd.grad(y.sum(), x)
        finally:
            torch.set_num_threads(before)
        assert torch.equal(y, y0)
        assert torch.equal(g, vjp(torch.ones(300_001)))


def test_negative_bit_views_are_read_right(definition):
    z = torch.randn(5, dtype=torch.complex64)
    view = z.conj().imag
    assert view.is_neg()
    y0, vjp = definition.training(view.resolve_neg(), 0.1, 0.3, 2)
    leaf = view.detach().requires_grad_()
    y = rrelu(leaf, 0.1, 0.3, True, generator=Generator(2))
    assert torch.equal(y, y0)
    (g,) = torch.autograd.grad(y.sum(), leaf)
    assert torch.equal(g, vjp(torch.ones(5)))
    assert rrelu_(view, 0.1, 0.3, True, generator=Generator(2)) is view
    assert torch.equal(view, y0)


def test_gradients_that_are_negative_views_are_read_right(definition):
    x = torch.randn(5, requires_grad=True)
    _, vjp = definition.training(x, 0.1, 0.3, 2)
    g = torch.randn(5, dtype=torch.complex64).conj().imag
    y = rrelu(x, 0.1, 0.3, True, generator=Generator(2))
    (gx,) = torch.autograd.grad(y, x, g)
    assert torch.equal(gx, vjp(g.resolve_neg()))


def test_refused_dtypes_name_the_dtype():
    for dtype in (torch.int64, torch.bool, torch.complex64, torch.float8_e4m3fn):
        for training in (True, False):
            with pytest.raises(DTypeError, match=str(dtype)):
                rrelu(torch.zeros(3).to(dtype), 0.1, 0.3, training)


@pytest.mark.filterwarnings("ignore")
def test_layouts_that_cannot_be_served_say_what_to_do():
    dense = torch.eye(3)
    cases = {
        "torch.sparse_coo": dense.to_sparse(),
        "torch.sparse_csr": dense.to_sparse_csr(),
        "torch._mkldnn": dense.to_mkldnn(),
        "quantized": torch.quantize_per_tensor(dense, 0.1, 0, torch.qint8),
        "nested": torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "nested tensor": torch.nested.nested_tensor(
            [torch.ones(2), torch.ones(3)], layout=torch.jagged
        ),
    }
    for message, x in cases.items():
        for training in (True, False):
            with pytest.raises(TypeError, match=message) as caught:
                rrelu(x, 0.1, 0.3, training)
            assert "pass x." in str(caught.value)


def test_other_types_are_refused():
    for x in (np.zeros(3, np.float32), [1.0], 1.0, None):
        with pytest.raises(TypeError, match=r"input must be a torch\.Tensor"):
            rrelu(x)
    with pytest.raises(TypeError, match="generator="):
        rrelu(torch.zeros(3), generator=np.random.default_rng(0))
    with pytest.raises(TypeError, match="generator="):
        rrelu(torch.zeros(3), training=True, generator=7)
    with pytest.raises(TypeError, match="training="):
        rrelu(torch.zeros(3), 0.1, 0.3, 1)


def test_bounds_are_checked():
    x = torch.randn(4)
    for lower, upper in ((0.5, 0.1), (float("nan"), 0.1), (0.1, float("inf"))):
        for training in (True, False):
            for kind in (ValueError, RuntimeError):
                with pytest.raises(kind):
                    rrelu(x, lower, upper, training)
            with pytest.raises(BoundsError):
                RReLU(lower, upper)
    for bad in (True, "0.1", torch.tensor([0.1]), None):
        with pytest.raises(TypeError):
            rrelu(x, bad, 0.3)
    for training in (True, False):
        with pytest.raises(BoundsError, match="float32"):
            rrelu(x, 0.0, 1e39, training)
        rrelu(x.double(), 0.0, 1e39, training)


def test_the_fifth_positional_is_inplace_or_a_name():
    x = torch.tensor([-1.0])
    assert rrelu(x, 0.5, 0.5, False, "label") is not x
    assert rrelu(x, 0.5, 0.5, False, True) is x
    assert x.item() == -0.5
    with pytest.raises(TypeError, match="inplace="):
        rrelu(x, 0.1, 0.3, False, 1)


# Evaluation.


def test_evaluation_without_a_gradient_is_leaky_relu(definition):
    x = with_specials(torch.float32)
    y = rrelu(x, 0.1, 0.3)
    assert definition.same_bits(y, F.leaky_relu(x, 0.2))


def test_the_kernel_is_called_for_plain_tensors_only(monkeypatch):
    called = []
    original = cpu.write_forward
    monkeypatch.setattr(cpu, "write_forward", lambda *a: called.append(1) or original(*a))
    x = torch.randn(4)
    rrelu(x, training=True)
    assert len(called) == 1
    torch.func.vmap(lambda x: rrelu(x, training=True), randomness="same")(x)
    assert len(called) == 1
