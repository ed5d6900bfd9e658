"""`compare`: a right port is proven, planted faults are found where they are, nothing is changed."""

import re

import numpy as np
import paddle
import pytest
import torch

import rrelu_compat
from rrelu_compat.paddle import RReLU as PaddleRReLU
from rrelu_compat.paddle import rrelu as paddle_rrelu
from rrelu_compat.porting import compare, copy_weights, swap
from rrelu_compat.torch import RReLU as TorchRReLU

# --- a right port


def test_a_right_port_is_proven_in_training_mode(x, models):
    result = compare(*models(), x, seed=3, steps=4)
    result.assert_close()
    assert result.proven
    assert result.first is None
    assert result.aligned == ("act", "block.1", "twice")
    assert len(result.losses) == 4
    assert len(set(result.losses)) == 4  # the optimizer moves, the slopes are fresh
    for one, other in result.losses:
        assert abs(one - other) <= 1e-9 * abs(one)
    seen = {(row.layer, row.quantity) for row in result.rows}
    for layer in ("conv", "norm", "block.0", "hidden", "square", "out"):
        assert (layer, "gradient of weight") in seen
    for layer in ("conv", "norm", "act", "block.1", "pool", "hidden", "twice", "out", ""):
        assert {(layer, "output"), (layer, "input gradient")} <= seen
    assert {("norm", "running_mean"), ("norm", "running_var"), ("", "loss")} <= seen


def test_evaluation_mode(x, models):
    result = compare(*models(), x, seed=3, training=False, steps=2)
    result.assert_close()
    assert not result.training
    train = compare(*models(), x, seed=3)
    assert train.losses[0] != result.losses[0]


def test_other_seeds_are_other_slopes(x, models):
    ours, theirs = models()
    losses = {compare(ours, theirs, x, seed=seed, loss=mean_square).losses for seed in (1, 2)}
    assert len(losses) == 2
    assert compare(ours, theirs, x, seed=1, loss=mean_square).losses in losses


def mean_square(y):
    return (y * y).mean()


def test_the_slopes_are_those_of_the_seed_folded_with_the_layer():
    ours, theirs = TorchRReLU(0.1, 0.9), PaddleRReLU(0.1, 0.9)
    loss = compare(ours, theirs, -np.ones((5,)), seed=9, loss=lambda y: y.sum()).losses[0]
    seed = rrelu_compat.Generator(9).fold_in(0).seed
    slopes = rrelu_compat.slopes(5, 0.1, 0.9, seed=seed, dtype="float64")
    np.testing.assert_allclose(loss, -slopes.sum(), rtol=1e-14)


def test_float32_is_reported_not_proven(x, models):
    result = compare(*models(dtype="float32"), x, seed=3)
    result.assert_close()
    assert result.agree
    assert not result.proven
    assert "float64 would be a proof" in str(result)


def test_losses_and_optimizers_of_the_frameworks(x, models):
    labels = np.arange(6) % 10
    result = compare(
        *models(),
        x,
        seed=3,
        steps=3,
        loss=(
            lambda y: torch.nn.functional.cross_entropy(y, torch.from_numpy(labels)),
            lambda y: paddle.nn.functional.cross_entropy(y, paddle.to_tensor(labels)),
        ),
        optimizer=(
            lambda parameters: torch.optim.Adam(parameters, 1e-2),
            lambda parameters: paddle.optimizer.Adam(1e-2, parameters=parameters),
        ),
    )
    result.assert_close()
    assert result.losses[0][0] > result.losses[-1][0]
    assert any("constants of Adam as float32" in note for note in result.notes)


def test_differences_of_the_frameworks_are_named_not_faults(x, models):
    result = compare(*models(), x, seed=3, steps=2)
    rows = [row for row in result.rows if row.quantity == "running_var"]
    assert all(row.difference > row.tolerance and row.agrees for row in rows)
    assert {row.known for row in rows} == {
        "Paddle averages the biased variance, PyTorch the unbiased one"
    }
    assert any("epsilon" in note for note in result.notes)


def test_rmsprop_is_named_as_defined_otherwise(x, models):
    result = compare(
        *models(),
        x,
        seed=3,
        steps=3,
        optimizer=(
            lambda parameters: torch.optim.RMSprop(parameters, 1e-2, alpha=0.95, eps=1e-6),
            lambda parameters: paddle.optimizer.RMSProp(1e-2, parameters=parameters),
        ),
    )
    result.assert_close()
    apart = [row for row in result.rows if row.difference > row.tolerance]
    assert any(row.quantity == "weight" for row in apart)
    assert any("RMSProp is defined otherwise" in note for note in result.notes)


def test_tables_of_words():
    class TorchWords(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words = torch.nn.Embedding(9, 4)
            self.act = TorchRReLU()

        def forward(self, words, *, scale):
            y = self.act(self.words(words) * scale)
            return {"y": y, "pair": (y.sum(1), [y.mean()])}

    class PaddleWords(paddle.nn.Layer):
        def __init__(self):
            super().__init__()
            self.words = paddle.nn.Embedding(9, 4)
            self.act = PaddleRReLU()

        def forward(self, words, *, scale):
            y = self.act(self.words(words) * scale)
            return {"y": y, "pair": (y.sum(1), [y.mean()])}

    ours, theirs = TorchWords().double(), PaddleWords().to(dtype="float64")
    copy_weights(ours, theirs)
    inputs = {"words": np.arange(6).reshape(2, 3), "scale": np.float64(1.5)}
    result = compare(ours, theirs, inputs, seed=1)
    result.assert_close()
    assert sum(row.layer == "" and row.quantity == "output" for row in result.rows) == 3
    assert any(row.quantity == "gradient of weight" for row in result.rows)


# --- planted faults


def bounds(port):
    port.block[1].upper = 0.5


def left_native(port):
    port.block[1] = paddle.nn.RReLU()


def not_transposed(port):
    port.square.weight.set_value(np.ascontiguousarray(port.square.weight.numpy().T))


def layer_left_in_evaluation(port):
    port.twice.eval()


def statistics_left_in_evaluation(port):
    port.norm.eval()


def model_left_in_evaluation(port):
    port.eval()


def padding(port):
    port.block[0]._padding = 0
    port.block[0]._updated_padding = [0, 0]


def stride(port):
    port.conv._stride = [2, 2]


def weight(port):
    port.out.bias.set_value(port.out.bias.numpy() + 1)


def epsilon(port):
    port.norm._epsilon = 1e-3


def momentum(port):
    port.norm._momentum = 0.5


def statistics(port):
    port.norm._mean.set_value(port.norm._mean.numpy() + 1)


def another_layer(port):
    port.pool = paddle.nn.AvgPool2D(2)


def another_activation(port):
    port.twice = paddle.nn.LeakyReLU()


def frozen(port):
    port.hidden.weight.stop_gradient = True


def raises(port):
    def fail(x):
        raise ValueError("planted")

    port.square.forward = fail


# the fault, the layer and the quantity named, what the cause says
FAULTS = {
    bounds: (
        "block.1",
        "output",
        r"bounds are \(0\.125, 0\.333333\) in PyTorch and \(0\.125, 0\.5\)",
    ),
    left_native: ("block.1", "output", "own RReLU in Paddle.*swap"),
    not_transposed: ("square", "output", "weight was copied as it is.*transposed"),
    layer_left_in_evaluation: ("twice", "output", "it is in evaluation mode in Paddle"),
    statistics_left_in_evaluation: ("norm", "output", "it is in evaluation mode in Paddle"),
    model_left_in_evaluation: ("norm", "output", "whole model is in evaluation mode in Paddle"),
    padding: ("block.0", "output", r"padding 1 in torch, 0 in Paddle.*\(6, 4, 6, 6\) in Paddle"),
    stride: ("conv", "output", "stride 1 in torch, 2 in Paddle"),
    weight: ("out", "output", "bias differs from the start.*copy_weights"),
    epsilon: ("norm", "output", "eps 1e-05 in torch, 0.001 in Paddle"),
    momentum: ("norm", "running_mean", "momentum"),
    statistics: ("norm", "running_mean", "running_mean differs from the start"),
    another_layer: ("pool", "output", "MaxPool2d in PyTorch and a AvgPool2D in Paddle"),
    another_activation: ("twice", "output", "LeakyReLU in Paddle and an RReLU in the other"),
    frozen: ("hidden", "gradient of weight", "no gradient reaches it in Paddle"),
    raises: ("square", "exception", "ValueError: planted"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_where_it_is(fault, x, models):
    ours, theirs = models()
    fault(theirs)
    layer, quantity, cause = FAULTS[fault]
    result = compare(ours, theirs, x, seed=3)
    assert not result.agree
    assert result.first is not None
    assert (result.first.layer, result.first.quantity) == (layer, quantity)
    with pytest.raises(AssertionError, match=rf"(?s)part at '{layer}'.*{cause}"):
        result.assert_close()


@pytest.mark.parametrize("fault", [bounds, left_native, padding], ids=lambda fault: fault.__name__)
def test_the_fault_may_be_in_the_original(fault, x, models):
    ours, theirs = models()
    if fault is bounds:
        ours.block[1].upper = 0.5
    elif fault is left_native:
        ours.block[1] = torch.nn.RReLU()
    else:
        ours.block[0].padding = (0, 0)
        with pytest.raises(RuntimeError, match="mat1 and mat2"):  # the original itself must run
            compare(ours, theirs, x, seed=3)
        return
    first = compare(ours, theirs, x, seed=3).first
    assert first is not None
    assert first.layer == "block.1"


def functional_in_evaluation(self, x):
    x = paddle_rrelu(self.features(x), training=False)
    x = self.twice(self.square(x))
    return self.out(self.twice(x - 0.1))


def other_arithmetic(self, x):
    x = paddle_rrelu(self.features(x), training=self.training)
    x = self.twice(self.square(x))
    return self.out(self.twice(x - 0.2))


def other_end(self, x):
    return self.plain(x) * 2


def one_call_less(self, x):
    x = paddle_rrelu(self.features(x), training=self.training)
    return self.out(self.square(x))


@pytest.mark.parametrize(
    ("port", "layer", "quantity", "cause"),
    [
        (functional_in_evaluation, "square", "input", r"after 'hidden'.*1 time\(s\).*0 time"),
        (other_arithmetic, "twice", "input", "after 'twice'"),
        (other_end, "", "output", "after 'out'"),
        (one_call_less, "twice", "input", r"calls it 0 time\(s\), PyTorch's 2"),
    ],
)
def test_faults_between_the_layers(port, layer, quantity, cause, x, models):
    first = compare(*models(port), x, seed=3).first
    assert first is not None
    assert (first.layer, first.quantity) == (layer, quantity)
    assert re.search(cause, first.cause), first.cause


def test_a_fault_in_the_backward_pass(x):
    ours = torch.nn.Sequential(torch.nn.Linear(4, 4), TorchRReLU(), torch.nn.Linear(4, 4)).double()
    port = paddle.nn.Sequential(paddle.nn.Linear(4, 4), PaddleRReLU(), paddle.nn.Linear(4, 4))
    port = port.to(dtype="float64")
    copy_weights(ours, port)
    port[2].register_forward_pre_hook(lambda layer, inputs: inputs[0].detach())
    first = compare(ours, port, np.ones((3, 4)), seed=1).first
    assert first is not None
    assert (first.layer, first.quantity) == ("2", "input gradient")
    assert "detached" in first.cause


def test_losses_that_are_not_the_same(x, models):
    first = compare(*models(), x, seed=3, loss=(mean_square, lambda y: y.sum())).first
    assert first is not None
    assert (first.layer, first.quantity) == ("", "loss")


def test_optimizers_that_are_not_the_same(x, models):
    first = compare(
        *models(),
        x,
        seed=3,
        optimizer=(
            lambda parameters: torch.optim.SGD(parameters, 0.5),
            lambda parameters: paddle.optimizer.SGD(0.25, parameters=parameters),
        ),
    ).first
    assert first is not None
    assert first.quantity in ("weight", "bias")
    assert "optimizers" in first.cause


def test_a_fault_that_only_a_later_step_shows(x, models):
    ours, theirs = models()
    seen = []

    def worse(layer, inputs, output):
        seen.append(1)
        return output * 2 if len(seen) == 3 else output

    theirs.hidden.register_forward_post_hook(worse)
    first = compare(ours, theirs, x, seed=3, steps=5).first
    assert first is not None
    assert (first.step, first.layer) == (3, "hidden")


def test_dropout_draws_the_same_in_both():
    ours = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5), TorchRReLU()).double()
    port = paddle.nn.Sequential(paddle.nn.Linear(8, 8), paddle.nn.Dropout(0.5), PaddleRReLU())
    port = port.to(dtype="float64")
    copy_weights(ours, port)
    x = np.random.default_rng(0).normal(size=(16, 8))
    result = compare(ours, port, x, seed=1, steps=2)
    result.assert_close()
    assert result.proven
    port[1].p = 0.4
    first = compare(ours, port, x, seed=1).first
    assert first is not None
    assert first.layer == "1"
    assert "p 0.5 in torch, 0.4 in Paddle" in first.cause


def test_native_layers_part_at_the_gradient_at_zero():
    x = np.array([[-1.0, 0.0, 2.0, 0.0]])
    bounds = 0.25, 0.75
    natives = [part.nn.Sequential(part.nn.RReLU(*bounds)) for part in (torch, paddle)]
    first = compare(*natives, x, seed=1, training=False).first
    assert first is not None
    assert (first.layer, first.quantity) == ("0", "input gradient")
    assert "gradient at zero" in first.cause
    natives = [swap(model) for model in natives]
    compare(*natives, x, seed=1, training=False).assert_close()


def test_native_layers_part_in_evaluation_by_the_rounding_of_the_slope():
    first = compare(torch.nn.RReLU(), paddle.nn.RReLU(), -np.ones(3), seed=1, training=False).first
    assert first is not None
    assert first.quantity == "output"
    assert "mean slope is rounded otherwise" in first.cause
