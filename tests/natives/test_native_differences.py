"""Where the frameworks' own RReLU layers fail or differ: what they do, and our answer.

Each test runs the native layer too, so that a framework that changes is noticed.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest
import torch
import torch.nn.functional as torch_functional

import rrelu_compat.paddle as ours_paddle
import rrelu_compat.torch as ours_torch
from rrelu_compat import BoundsError, DTypeError, Generator, slopes

paddle_functional = paddle.nn.functional


def torch_grad(function, values, **keywords):
    """Return the result and the gradient (of its sum) of a function of a torch tensor."""
    x = torch.tensor(values, requires_grad=True)
    y = function(x, **keywords)
    y.sum().backward()
    return y.detach(), x.grad


def paddle_grad(function, values, **keywords):
    """Return the result and the gradient (of its sum) of a function of a Paddle tensor."""
    x = paddle.to_tensor(values, stop_gradient=False)
    y = function(x, **keywords)
    y.sum().backward()
    return y.detach(), x.grad


# -- defaults and signatures


def test_training_defaults_to_false_in_torch_and_true_in_paddle():
    x = [-1.0] * 8
    mean = (1 / 8 + 1 / 3) / 2
    for rrelu in (torch_functional.rrelu, ours_torch.rrelu):
        assert torch.allclose(rrelu(torch.tensor(x)), torch.tensor(-mean))
    for rrelu in (paddle_functional.rrelu, ours_paddle.rrelu):
        assert len(set(rrelu(paddle.to_tensor(x)).tolist())) > 1


def test_the_third_positional_is_inplace_in_torch_and_name_in_paddle():
    assert torch.nn.RReLU(0.1, 0.3, True).inplace is True
    assert paddle.nn.RReLU(0.1, 0.3, "act")._name == "act"
    for module in (ours_torch, ours_paddle):
        assert module.RReLU(0.1, 0.3, True).inplace is True
        assert module.RReLU(0.1, 0.3, "act").name == "act"
    x = torch.tensor([-1.0])
    assert ours_torch.rrelu(x, 0.1, 0.3, False, True) is x
    y = paddle.to_tensor([-1.0])
    assert ours_paddle.rrelu(y, 0.1, 0.3, False, True) is y
    assert ours_torch.rrelu(x, 0.1, 0.3, False, "act") is not x
    assert ours_paddle.rrelu(y, 0.1, 0.3, False, "act") is not y


# -- bounds


@pytest.mark.parametrize(("lower", "upper"), [(0.3, 0.1), (math.nan, 1.0), (0.0, math.inf)])
def test_bad_bounds_fail_when_given_not_when_called(lower, upper):
    torch.nn.RReLU(lower, upper)  # accepted
    paddle.nn.RReLU(lower, upper)  # accepted
    for module in (ours_torch, ours_paddle):
        with pytest.raises(BoundsError, match=r"lower=|upper="):
            module.RReLU(lower, upper)


def test_infinite_bounds_pass_torchs_in_place_form():
    with pytest.raises(RuntimeError):
        torch_functional.rrelu(torch.tensor([-1.0]), 0.0, math.inf, False)
    assert torch_functional.rrelu_(torch.tensor([-1.0]), 0.0, math.inf, False).item() == -math.inf
    x = torch.tensor([-1.0])
    for training in (True, False):
        with pytest.raises(RuntimeError, match="upper=inf"):
            ours_torch.rrelu_(x, 0.0, math.inf, training)
    assert x.item() == -1


@pytest.mark.parametrize("bound", [0, 1, np.float32(0.25)])
def test_paddle_refuses_ints_and_numpy_scalars_as_bounds(bound):
    x = paddle.to_tensor([-1.0])
    with pytest.raises(TypeError):
        paddle_functional.rrelu(x, bound, bound, training=False)
    assert ours_paddle.rrelu(x, bound, bound, training=False).item() == -float(bound)


@pytest.mark.parametrize(("lower", "upper"), [(-0.5, -0.25), (1.0, 2.0)])
def test_paddle_refuses_bounds_outside_0_and_1(lower, upper):
    x = paddle.to_tensor([-1.0])
    with pytest.raises(ValueError):
        paddle_functional.rrelu(x, lower, upper, training=False)
    assert ours_paddle.rrelu(x, lower, upper, training=False).item() == -(lower + upper) / 2


def test_bools_and_tensors_with_axes_are_no_bounds():
    torch_functional.rrelu(torch.tensor([-1.0]), False, True)  # accepted
    for module, x in ((ours_torch, torch.tensor([-1.0])), (ours_paddle, paddle.to_tensor([-1.0]))):
        for bound in (True, torch.tensor([0.1]), paddle.to_tensor([0.1])):
            with pytest.raises(TypeError, match="lower="):
                module.rrelu(x, bound, 0.5)


# -- the gradient at zero


@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_at_zero_is_one(training):
    zeros = [0.0, -0.0]
    _, native = torch_grad(torch_functional.rrelu, zeros, training=training)
    assert (native < 1).all()  # the slope
    _, grad = torch_grad(ours_torch.rrelu, zeros, training=training)
    assert grad.tolist() == [1, 1]
    for rrelu in (paddle_functional.rrelu, ours_paddle.rrelu):
        _, grad = paddle_grad(rrelu, zeros, training=training)
        assert grad.tolist() == [1, 1]


# -- dtypes


def test_half_precision_trains():
    with pytest.raises(NotImplementedError):
        torch_functional.rrelu(torch.ones(2, dtype=torch.float16), training=True)
    x = torch.tensor([-1.0, 2.0], dtype=torch.float16, requires_grad=True)
    ours_torch.rrelu(x, 0.5, 0.5, training=True).sum().backward()
    assert x.grad.tolist() == [0.5, 1]
    with pytest.raises((RuntimeError, NotImplementedError)):
        paddle_functional.rrelu(paddle.to_tensor([-1.0], "bfloat16"))
    for dtype in ("float16", "bfloat16"):
        x = paddle.to_tensor([-1.0, 2.0], dtype, stop_gradient=False)
        ours_paddle.rrelu(x, 0.5, 0.5).sum().backward()
        assert x.grad.astype("float32").tolist() == [0.5, 1]


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool", "complex64"])
def test_other_dtypes_are_refused_by_name(dtype):
    with pytest.raises(NotImplementedError):
        torch_functional.rrelu(torch.ones(2).to(getattr(torch, dtype)), training=True)
    with pytest.raises(NotImplementedError, match=rf"must be float16.*got .*{dtype}"):
        ours_torch.rrelu(torch.ones(2).to(getattr(torch, dtype)), training=True)
    with pytest.raises(DTypeError, match=rf"must be float16.*got .*{dtype}"):
        ours_paddle.rrelu(paddle.ones([2]).astype(dtype), training=True)


# -- random numbers


def test_the_slope_of_an_element_does_not_depend_on_the_others():
    """Natively, one number is drawn for each negative element, in memory order."""
    dense, sparse = np.full(6, -1.0), np.array([-1.0, 1, 1, -1, 1, -1])
    for seed, native, tensor in (
        (torch.manual_seed, torch_functional.rrelu, torch.tensor),
        (paddle.seed, paddle_functional.rrelu, paddle.to_tensor),
    ):
        seed(0)
        first = native(tensor(dense), training=True).numpy()
        seed(0)
        second = native(tensor(sparse), training=True).numpy()
        assert (first[[0, 3, 5]] != second[[0, 3, 5]]).any()
    for module, tensor in ((ours_torch, torch.tensor), (ours_paddle, paddle.to_tensor)):
        first, second = (
            module.rrelu(tensor(x), training=True, generator=Generator(0)).numpy()
            for x in (dense, sparse)
        )
        assert (first[[0, 3, 5]] == second[[0, 3, 5]]).all()


def test_evaluation_consumes_no_random_number():
    for module, seed, draw, tensor in (
        (ours_torch, torch.manual_seed, lambda: torch.rand(1).item(), torch.tensor),
        (ours_paddle, paddle.seed, lambda: paddle.rand([1]).item(), paddle.to_tensor),
    ):
        seed(0)
        expected = draw()
        seed(0)
        module.rrelu(tensor([-1.0]), training=False)
        assert draw() == expected


# -- in place


def test_in_place_evaluation_with_a_negative_mean_has_a_gradient():
    x = torch.tensor([-1.0, 2.0], requires_grad=True)
    with pytest.raises(RuntimeError):
        torch_functional.rrelu(x * 1, -0.5, -0.5, inplace=True).sum().backward()
    ours_torch.rrelu(x * 1, -0.5, -0.5, inplace=True).sum().backward()
    assert x.grad.tolist() == [-0.5, 1]


def test_paddle_has_an_in_place_form():
    with pytest.raises(TypeError):
        paddle.nn.RReLU(0.1, 0.3, inplace=True)
    layer = ours_paddle.RReLU(0.5, 0.5, inplace=True)
    x = paddle.to_tensor([-1.0])
    assert layer(x) is x
    assert x.item() == -0.5


# -- derivatives


def test_paddle_has_a_second_derivative():
    x = paddle.to_tensor([-2.0, 3.0], stop_gradient=False)
    with pytest.raises(RuntimeError, match="grad op"):
        paddle.grad((paddle_functional.rrelu(x) ** 2).sum(), x, create_graph=True)
    y = ours_paddle.rrelu(x, 0.5, 0.5)
    (g,) = paddle.grad((y**2).sum(), x, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [0.5, 2]


def test_torch_vmap_and_jacfwd():
    x = torch.tensor([[-1.0, 2.0], [3.0, -4.0]])
    with pytest.raises(RuntimeError):
        torch.func.vmap(torch.nn.RReLU(0.5, 0.5), randomness="different")(x)
    got = torch.func.vmap(ours_torch.RReLU(0.5, 0.5), randomness="different")(x)
    assert got.tolist() == [[-0.5, 2], [3, -2]]
    jacobian = torch.func.jacfwd(ours_torch.RReLU(0.5, 0.5), randomness="same")(x[0])
    assert jacobian.tolist() == [[0.5, 0], [0, 1]]


# -- layouts, empty tensors


def test_channels_last_is_kept():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    assert not torch.nn.RReLU()(x).is_contiguous(memory_format=torch.channels_last)
    y = ours_torch.RReLU(generator=Generator(1))(x)
    assert y.is_contiguous(memory_format=torch.channels_last)
    a = torch.tensor(slopes(x.shape, seed=1))
    assert torch.equal(y, torch.where(x >= 0, x, a * x))


def test_empty_tensors_have_a_gradient():
    _, grad = paddle_grad(ours_paddle.rrelu, np.zeros((0, 3), np.float32))
    assert grad.shape == [0, 3]
    _, grad = torch_grad(ours_torch.rrelu, np.zeros((0, 3)), training=True)
    assert grad.shape == (0, 3)


# -- precision


def test_bfloat16_gradients_are_those_of_the_slope_used():
    torch.manual_seed(0)
    x = -torch.rand(2000).to(torch.bfloat16)

    def agreement(rrelu):
        leaf = x.clone().requires_grad_()
        y = rrelu(leaf, training=True)
        y.backward(x)  # slope times x, as forward
        return (y == leaf.grad).float().mean().item()

    assert agreement(torch_functional.rrelu) < 0.95
    assert agreement(ours_torch.rrelu) == 1


def test_float64_slopes_have_float64_bounds_in_paddle():
    x = paddle.to_tensor([-1.0], "float64")
    assert paddle_functional.rrelu(x, 0.1, 0.1).item() != -0.1
    assert ours_paddle.rrelu(x, 0.1, 0.1).item() == -0.1


def test_the_positive_side_has_gradient_one():
    for module, grad_of in ((ours_torch, torch_grad), (ours_paddle, paddle_grad)):
        for training in (True, False):
            _, grad = grad_of(module.rrelu, [1.0, 2.0, 3e38], training=training)
            assert grad.tolist() == [1, 1, 1]


# -- printed form


def test_layers_print_as_the_frameworks_own():
    for arguments in ((), (0.1, 0.3), (0.1, 0.3, True)):
        assert repr(ours_torch.RReLU(*arguments)) == repr(torch.nn.RReLU(*arguments))
    for arguments in ((), (0.1, 0.3), (0.1, 0.3, "foo")):
        assert repr(ours_paddle.RReLU(*arguments)) == repr(paddle.nn.RReLU(*arguments))


# -- recomputation


WRONG = ("", "Identity()", "Flatten()", "Plus()", "Sum()")
RIGHT = ("Linear(64, 4)", "ReLU()", "Dropout()", "BatchNorm1d(64)")


def test_torchs_own_gradient_under_a_checkpoint_hangs_on_what_saves_a_tensor_after_it():
    """PyTorch saves the noise before it is drawn; the repetition stops at the last save (pytorch#193671)."""
    program = Path(__file__).with_name("native_checkpoint.py")
    # The C library overwrites what is freed: uninitialised memory then never happens to be right.
    garbage = {"MALLOC_PERTURB_": "85", "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    done = subprocess.run(
        [sys.executable, program, *WRONG, *RIGHT],
        capture_output=True, text=True, check=True, env={**os.environ, **garbage},
    )  # fmt: skip
    ours, native = json.loads(done.stdout)
    assert ours == dict.fromkeys((*WRONG, *RIGHT), True)
    assert native == {**dict.fromkeys(WRONG, False), **dict.fromkeys(RIGHT, True)}
