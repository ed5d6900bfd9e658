"""torch.func, forward AD, higher derivatives."""

from __future__ import annotations

import pytest
import torch
import torch.autograd.forward_ad as forward_ad
from torch import func

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.torch import rrelu, rrelu_

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def pinned(x):
    """The same slopes at every call."""
    return rrelu(x, -0.3, 0.6, True, generator=Generator(1))


def slope(definition, x, seed=1):
    return definition.training(x, -0.3, 0.6, seed)[1](torch.ones_like(x))


def test_vmap_different_is_the_call_on_the_whole_batch(definition):
    x = torch.randn(4, 3, 5)
    for in_dim in (0, 1, 2):
        moved = x.movedim(0, in_dim)
        y = torch.vmap(pinned, in_dims=in_dim, randomness="different")(moved)
        assert torch.equal(y, pinned(x))
    nested = torch.vmap(torch.vmap(pinned, randomness="different"), randomness="different")
    assert torch.equal(nested(x), pinned(x))


def test_vmap_same_gives_every_sample_the_slopes_of_one(definition):
    x = torch.randn(4, 3, 5)
    expected = torch.stack([pinned(row) for row in x])
    assert torch.equal(torch.vmap(pinned, randomness="same")(x), expected)
    # Mixed: inner samples share, outer ones differ by their place in the whole batch.
    mixed = torch.vmap(torch.vmap(pinned, randomness="same"), randomness="different")(x)
    a = rrelu_compat.slopes((4, 3, 5), -0.3, 0.6, seed=1)[:, :1]
    assert torch.equal(mixed, torch.where(x >= 0, x, x * torch.from_numpy(a)))


def test_vmap_error_raises_in_training_and_not_in_evaluation(definition):
    x = torch.randn(4, 3)
    with pytest.raises(RuntimeError, match="randomness"):
        torch.vmap(pinned)(x)
    y = torch.vmap(lambda x: rrelu(x, -0.3, 0.6))(x)
    assert torch.equal(y, definition.evaluation(x, -0.3, 0.6)[0])


@pytest.mark.parametrize("randomness", ["different", "same"])
def test_vmap_takes_one_call_and_one_number(randomness):
    generator = Generator(1)
    torch.empty(1, dtype=torch.int64).random_()
    after = torch.get_rng_state()
    torch.manual_seed(0)
    x = torch.randn(4, 3, generator=torch.Generator())
    torch.vmap(lambda x: rrelu(x, training=True, generator=generator), randomness=randomness)(x)
    assert generator.call == 1
    assert torch.equal(torch.get_rng_state(), after)


def test_an_input_that_is_not_batched_is_shared(definition):
    x = torch.randn(3)
    y = torch.vmap(lambda b: pinned(x) + b)(torch.zeros(4, 3))
    assert torch.equal(y, pinned(x).expand(4, 3))


@pytest.mark.parametrize("dtype", DTYPES)
def test_first_derivatives_are_the_slopes(definition, dtype):
    x = torch.randn(6).to(dtype)
    x[:4] = torch.tensor([-1.0, -1.0, 0.0, -0.0])
    a = slope(definition, x)
    t = torch.randn(6).to(dtype)
    t[:2] = torch.tensor([-0.0, 0.0])  # a sum of two branches would lose the sign
    at = definition.training(x, -0.3, 0.6, 1)[1](t)
    assert definition.same_bits(func.grad(lambda x: pinned(x).sum())(x), a)
    y, pullback = func.vjp(pinned, x)
    assert definition.same_bits(y, pinned(x))
    assert definition.same_bits(pullback(t)[0], at)
    y, tangent = func.jvp(pinned, (x,), (t,))
    assert definition.same_bits(y, pinned(x))
    assert definition.same_bits(tangent, at)
    assert definition.same_bits(func.jacrev(pinned)(x), torch.diag(a))
    assert definition.same_bits(func.jacfwd(pinned)(x), torch.diag(a))
    y, linear = func.linearize(pinned, x)
    assert definition.same_bits(linear(t), at)


def test_second_derivatives(definition):
    x = torch.randn(5, dtype=torch.float64)
    a = slope(definition, x)
    f = lambda x: (pinned(x) ** 3).sum()  # noqa: E731
    expected = torch.diag(6 * pinned(x) * a * a)
    assert torch.allclose(func.hessian(f)(x), expected, rtol=1e-14)
    assert torch.allclose(func.jacrev(func.jacrev(f))(x), expected, rtol=1e-14)


def test_per_sample_gradients(definition):
    x = torch.randn(4, 5)
    a = slope(definition, x)
    f = func.grad(lambda x: pinned(x).sum())
    assert torch.equal(torch.vmap(f, randomness="different")(x), a)
    g = func.grad(lambda x: torch.vmap(pinned, randomness="different")(x).sum())
    assert torch.equal(g(x), a)


def test_gradchecks():
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    for f in (pinned, lambda x: rrelu(x, -0.3, 0.6), lambda x: rrelu_(x * 1, -0.3, -0.1)):
        assert torch.autograd.gradcheck(f, (x,), check_forward_ad=True, check_batched_grad=True)
        assert torch.autograd.gradgradcheck(
            f, (x,), check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True
        )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
def test_forward_ad_with_dual_tensors(definition, training, inplace):
    x, t = torch.randn(6), torch.randn(6)
    made = definition.training(x, -0.3, 0.6, 1) if training else definition.evaluation(x, -0.3, 0.6)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.clone(), t.clone())
        y = rrelu(dual, -0.3, 0.6, training, inplace, generator=Generator(1))
        primal, tangent = forward_ad.unpack_dual(y)
    assert torch.equal(primal, made[0])
    assert torch.equal(tangent, made[1](t))


def test_double_backward_through_the_fast_route(definition):
    for training in (True, False):
        x = torch.randn(6, requires_grad=True)
        g = torch.randn(6, requires_grad=True)
        y = rrelu(x, -0.3, 0.6, training, generator=Generator(1))
        (gx,) = torch.autograd.grad(y, x, g, create_graph=True)
        v = torch.randn(6)
        (gg,) = torch.autograd.grad(gx, g, v, create_graph=True)
        made = definition.training if training else None
        vjp = made(x, -0.3, 0.6, 1)[1] if made else definition.evaluation(x, -0.3, 0.6)[1]
        assert torch.equal(gx, vjp(g))
        assert torch.equal(gg, vjp(v))
        loss = (gx**2).sum()
        (ggx,) = torch.autograd.grad(loss, g)
        assert torch.equal(ggx, vjp(2 * vjp(g)))


def test_batched_gradients(definition):
    x = torch.randn(6, requires_grad=True)
    y = rrelu(x, -0.3, 0.6, True, generator=Generator(1))
    (g,) = torch.autograd.grad(y, x, torch.eye(6), is_grads_batched=True)
    assert torch.equal(g, torch.diag(slope(definition, x)))
    jacobian = torch.autograd.functional.jacobian(pinned, x.detach(), vectorize=True)
    assert torch.equal(jacobian, torch.diag(slope(definition, x)))


def test_in_place_under_transforms(definition):
    x = torch.randn(4, 3)
    a = slope(definition, x)

    def f(x):
        return rrelu_(x * 1, -0.3, 0.6, True, generator=Generator(1))

    assert torch.equal(func.grad(lambda x: f(x).sum())(x), a)
    assert torch.equal(torch.vmap(f, randomness="different")(x), pinned(x))


def test_functional_call_and_ensembles(definition):
    from rrelu_compat.torch import RReLU

    layer = RReLU(-0.3, 0.6, generator=Generator(1))
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), layer)
    params = {k: torch.stack([v, 2 * v]) for k, v in model.named_parameters()}
    x = torch.randn(5, 3)
    y = torch.vmap(lambda p: func.functional_call(model, p, (x,)), randomness="different")(
        {k: v.detach() for k, v in params.items()}
    )
    pairs = zip(params["0.weight"], params["0.bias"], strict=True)
    hidden = torch.stack([x @ w.T + b for w, b in pairs])
    assert torch.allclose(y, definition.training(hidden, -0.3, 0.6, 1)[0], atol=1e-6)


def test_evaluation_gradients_under_transforms(definition):
    x = torch.tensor([0.0, -0.0, -1.0, 2.0])
    g = func.grad(lambda x: rrelu(x, -0.3, 0.6).sum())(x)
    assert torch.equal(g, definition.evaluation(x, -0.3, 0.6)[1](torch.ones(4)))
