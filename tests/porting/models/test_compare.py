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
from rrelu_compat.torch import rrelu as torch_rrelu


class TorchNet(torch.nn.Module):
    """Convolutions, normalization, a block, a layer used twice, functional RReLU, a square linear layer."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 4, 3, padding=1)
        self.norm = torch.nn.BatchNorm2d(4)
        self.act = TorchRReLU(0.1, 0.4, inplace=True)
        self.block = torch.nn.Sequential(torch.nn.Conv2d(4, 4, 3, padding=1), TorchRReLU())
        self.pool = torch.nn.MaxPool2d(2)
        self.hidden = torch.nn.Linear(64, 16)
        self.square = torch.nn.Linear(16, 16)
        self.twice = TorchRReLU(0.2, 0.9)
        self.out = torch.nn.Linear(16, 10)

    def forward(self, x):
        x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
        x = torch_rrelu(self.hidden(x.flatten(1)), training=self.training)
        x = self.twice(self.square(x))
        return self.out(self.twice(x - 0.1))


class PaddleNet(paddle.nn.Layer):
    """The same in Paddle."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(1, 4, 3, padding=1)
        self.norm = paddle.nn.BatchNorm2D(4)
        self.act = PaddleRReLU(0.1, 0.4, inplace=True)
        self.block = paddle.nn.Sequential(paddle.nn.Conv2D(4, 4, 3, padding=1), PaddleRReLU())
        self.pool = paddle.nn.MaxPool2D(2)
        self.hidden = paddle.nn.Linear(64, 16)
        self.square = paddle.nn.Linear(16, 16)
        self.twice = PaddleRReLU(0.2, 0.9)
        self.out = paddle.nn.Linear(16, 10)

    def forward(self, x):
        x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
        x = paddle_rrelu(self.hidden(x.flatten(1)), training=self.training)
        x = self.twice(self.square(x))
        return self.out(self.twice(x - 0.1))


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(6, 1, 8, 8))


def models(paddle_net=PaddleNet, dtype="float64"):
    ours = TorchNet().to(getattr(torch, dtype))
    theirs = paddle_net().to(dtype=dtype)
    copy_weights(ours, theirs)
    return ours, theirs


# --- a right port


def test_a_right_port_is_proven_in_training_mode(x):
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


def test_evaluation_mode(x):
    result = compare(*models(), x, seed=3, training=False, steps=2)
    result.assert_close()
    assert not result.training
    train = compare(*models(), x, seed=3)
    assert train.losses[0] != result.losses[0]


def test_other_seeds_are_other_slopes(x):
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


def test_float32_is_reported_not_proven(x):
    result = compare(*models(dtype="float32"), x, seed=3)
    result.assert_close()
    assert result.agree
    assert not result.proven
    assert "float64 would be a proof" in str(result)


def test_losses_and_optimizers_of_the_frameworks(x):
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


def test_differences_of_the_frameworks_are_named_not_faults(x):
    result = compare(*models(), x, seed=3, steps=2)
    rows = [row for row in result.rows if row.quantity == "running_var"]
    assert all(row.difference > row.tolerance and row.agrees for row in rows)
    assert {row.known for row in rows} == {
        "Paddle averages the biased variance, PyTorch the unbiased one"
    }
    assert any("epsilon" in note for note in result.notes)


def test_rmsprop_is_named_as_defined_otherwise(x):
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
def test_a_planted_fault_is_found_where_it_is(fault, x):
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
def test_the_fault_may_be_in_the_original(fault, x):
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


class FunctionalInEvaluation(PaddleNet):
    """A port that forgot the mode of a functional RReLU."""

    def forward(self, x):
        x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
        x = paddle_rrelu(self.hidden(x.flatten(1)), training=False)
        x = self.twice(self.square(x))
        return self.out(self.twice(x - 0.1))


class OtherArithmetic(PaddleNet):
    """A port with another constant between two layers."""

    def forward(self, x):
        x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
        x = paddle_rrelu(self.hidden(x.flatten(1)), training=self.training)
        x = self.twice(self.square(x))
        return self.out(self.twice(x - 0.2))


class OtherEnd(PaddleNet):
    """A port that does something to the result."""

    def forward(self, x):
        return super().forward(x) * 2


class OneCallLess(PaddleNet):
    """A port that leaves one activation out."""

    def forward(self, x):
        x = self.pool(self.block(self.act(self.norm(self.conv(x)))))
        x = paddle_rrelu(self.hidden(x.flatten(1)), training=self.training)
        return self.out(self.square(x))


@pytest.mark.parametrize(
    ("port", "layer", "quantity", "cause"),
    [
        (FunctionalInEvaluation, "square", "input", r"after 'hidden'.*1 time\(s\).*0 time"),
        (OtherArithmetic, "twice", "input", "after 'twice'"),
        (OtherEnd, "", "output", "after 'out'"),
        (OneCallLess, "twice", "input", r"calls it 0 time\(s\), PyTorch's 2"),
    ],
)
def test_faults_between_the_layers(port, layer, quantity, cause, x):
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


def test_losses_that_are_not_the_same(x):
    first = compare(*models(), x, seed=3, loss=(mean_square, lambda y: y.sum())).first
    assert first is not None
    assert (first.layer, first.quantity) == ("", "loss")


def test_optimizers_that_are_not_the_same(x):
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


def test_a_fault_that_only_a_later_step_shows(x):
    ours, theirs = models()
    seen = []

    def worse(layer, inputs, output):
        seen.append(1)
        return output * 2 if len(seen) == 3 else output

    theirs.hidden.register_forward_post_hook(worse)
    first = compare(ours, theirs, x, seed=3, steps=5).first
    assert first is not None
    assert (first.step, first.layer) == (3, "hidden")


def test_dropout_is_named_as_not_aligned():
    ours = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Dropout(0.5), TorchRReLU()).double()
    port = paddle.nn.Sequential(paddle.nn.Linear(8, 8), paddle.nn.Dropout(0.5), PaddleRReLU())
    port = port.to(dtype="float64")
    copy_weights(ours, port)
    x = np.random.default_rng(0).normal(size=(16, 8))
    result = compare(ours, port, x, seed=1)
    assert len(result.unaligned) == 1
    assert "'1' (Dropout) is random" in result.unaligned[0]
    assert result.first is not None
    assert result.first.layer == "1"
    assert "set it to 0" in result.first.cause
    ours[1].p = port[1].p = 0
    result = compare(ours, port, x, seed=1)
    result.assert_close()
    assert result.unaligned == ()


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


# --- nothing is changed


def snapshot(ours, theirs):
    return (
        {key: value.numpy().copy() for key, value in ours.state_dict().items()},
        {key: value.numpy().copy() for key, value in theirs.state_dict().items()},
        [(path, module.training) for path, module in ours.named_modules()],
        [(path, layer.training) for path, layer in theirs.named_sublayers(include_self=True)],
        torch.get_rng_state().numpy().copy(),
        [state.current_seed() for state in paddle.get_rng_state()],
        paddle.rand([1], "float64").item(),
        None if ours.conv.weight.grad is None else ours.conv.weight.grad.numpy().copy(),
        None if theirs.conv.weight.grad is None else theirs.conv.weight.grad.numpy().copy(),
        ours.act.generator,
        theirs.act.generator,
        len(ours.conv._forward_hooks) + len(ours.conv._forward_pre_hooks),
        len(theirs.conv._forward_post_hooks) + len(theirs.conv._forward_pre_hooks),
    )


@pytest.mark.parametrize("fault", [None, raises, padding])
@pytest.mark.parametrize("gradients", [False, True])
def test_the_models_and_the_random_states_are_as_before(fault, gradients, x):
    ours, theirs = models()
    if fault is not None:
        fault(theirs)
    ours.act.generator = rrelu_compat.Generator(1)
    theirs.block.eval()
    ours.block.eval()
    if gradients:
        ours(torch.from_numpy(x)).sum().backward()
        theirs.conv.weight.sum().backward()
    paddle.seed(5)
    before = snapshot(ours, theirs)
    generator = rrelu_compat.manual_seed(11)
    generator.take()
    paddle.seed(5)
    compare(ours, theirs, x, seed=3, steps=2)
    assert rrelu_compat.generator.process_generator() is generator
    assert generator.state_dict() == {"seed": 11, "call": 1}
    rrelu_compat.manual_seed(None)
    after = snapshot(ours, theirs)
    compare(ours, theirs, x, seed=3)
    assert rrelu_compat.generator.process_generator() is None
    for one, other in zip(before, after, strict=True):
        if isinstance(one, dict):
            assert one.keys() == other.keys()
            assert all((one[key] == other[key]).all() for key in one)
        elif isinstance(one, np.ndarray):
            assert (one == other).all()
        else:
            assert one == other


def test_layers_that_are_frozen_in_both_stay_so(x):
    ours, theirs = models()
    ours.norm.eval()
    theirs.norm.eval()
    result = compare(ours, theirs, x, seed=3)
    result.assert_close()
    mean = next(row for row in result.rows if row.quantity == "running_mean")
    assert mean.difference == 0


def test_models_in_the_other_mode_are_switched(x):
    ours, theirs = models()
    expected = compare(ours, theirs, x, seed=3).losses
    ours.eval()
    theirs.eval()
    assert compare(ours, theirs, x, seed=3).losses == expected
    assert not ours.training
    assert not theirs.act.training


# --- alignment


def test_paths_that_differ(x):
    ours = torch.nn.Sequential(torch.nn.Linear(3, 3), TorchRReLU()).double()
    port = paddle.nn.Sequential(("a", paddle.nn.Linear(3, 3)), ("b", PaddleRReLU())).to(
        dtype="float64"
    )
    names = {"0": "a", "1": "b"}
    copy_weights(ours, port, names={"0": "a"})
    result = compare(ours, port, np.ones((2, 3)), seed=1, names=names)
    result.assert_close()
    assert any(row.layer == "0" and row.quantity == "gradient of weight" for row in result.rows)
    result = compare(
        ours, port, np.ones((2, 3)), seed=1
    )  # RReLU by order, the rest is not compared
    result.assert_close()
    assert result.aligned == ("1",)
    assert "'0' (Linear) is in the PyTorch model only" in result.notes
    with pytest.raises(ValueError, match="which paddle_model has not"):
        compare(ours, port, np.ones((2, 3)), seed=1, names={"0": "z"})


def test_wrapped_models(x):
    ours, theirs = models()
    result = compare(torch.nn.DataParallel(ours), paddle.DataParallel(theirs), x, seed=3)
    result.assert_close()
    assert result.aligned == ("act", "block.1", "twice")


def test_parameters_that_no_kind_names_are_compared_by_name():
    ours = torch.nn.Sequential(torch.nn.PReLU(), torch.nn.LSTMCell(2, 2)).double()
    theirs = paddle.nn.Sequential(paddle.nn.PReLU()).to(dtype="float64")
    result = compare(ours[:1], theirs, np.array([[1.0, -1.0]]), seed=1)
    assert result.agree
    assert "'weight' of '0' (PReLU) was not compared" in result.notes


# --- the result


def test_the_table_and_the_text(x):
    ours, theirs = models()
    result = compare(ours, theirs, x, seed=3, steps=6)
    table = result.table()
    assert table.splitlines()[0].startswith("| layer | kind | output | input gradient |")
    assert all(line.count("|") == 8 for line in table.splitlines())
    assert any(line.startswith("| block.1 | RReLU |") for line in table.splitlines())
    text = str(result)
    assert text.startswith("training mode, float64, 6 step(s): the models agree")
    assert "loss at step 6" in text
    assert "loss at step 5" not in text
    bounds(theirs)
    failed = compare(ours, theirs, x, seed=3)
    assert "parts: output" in failed.table()
    assert "parts: output" in failed.table(step=1)
    assert len(failed.table(step=2).splitlines()) == 2


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_plot(suffix, tmp_path, x):
    ours, theirs = models()
    compare(ours, theirs, x, seed=3).plot(tmp_path / f"same.{suffix}")
    bounds(theirs)
    compare(ours, theirs, x, seed=3).plot(tmp_path / f"parted.{suffix}")
    start = {"png": b"\x89PNG", "svg": b"<?xml"}[suffix]
    for name in ("same", "parted"):
        assert (tmp_path / f"{name}.{suffix}").read_bytes().startswith(start)
    if suffix == "svg":
        marks = [
            (tmp_path / f"{name}.svg").read_text().count("#c23b3b") for name in ("same", "parted")
        ]
        assert marks[0] == 0
        assert marks[1] > 0


# --- arguments


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"training": 1}, TypeError, "training=1 is not a bool"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"steps": 1.0}, TypeError, "steps=1.0"),
        ({"loss": 3}, TypeError, "loss=3"),
        ({"loss": (mean_square,)}, TypeError, "pair of callables"),
        ({"optimizer": mean_square}, TypeError, "optimizer=.*pair of callables"),
        ({"tolerance": -1.0}, ValueError, "tolerance"),
        ({"tolerance": "1"}, TypeError, "tolerance"),
        ({"inputs": "x"}, TypeError, "dtype"),
        ({"torch_model": PaddleRReLU()}, TypeError, "torch_model is a paddle model"),
        ({"paddle_model": TorchRReLU()}, TypeError, "paddle_model is a torch model"),
        ({"torch_model": 3}, TypeError, "torch_model has type"),
        (
            {"paddle_model": paddle.nn.Linear(2, 2)},
            ValueError,
            "torch_model has parameters of float64 and paddle_model of float32",
        ),
    ],
)
def test_arguments(change, error, message):
    arguments = {
        "torch_model": torch.nn.Linear(2, 2).double(),
        "paddle_model": paddle.nn.Linear(2, 2).to(dtype="float64"),
        "inputs": np.ones((1, 2)),
        "seed": 1,
        **change,
    }
    with pytest.raises(error, match=message):
        compare(**arguments)


def test_a_model_without_differentiable_output():
    class Counts(torch.nn.Module):
        def forward(self, x):
            return x.shape[0]

    class PaddleCounts(paddle.nn.Layer):
        def forward(self, x):
            return x.shape[0]

    with pytest.raises(ValueError, match="give loss="):
        compare(Counts(), PaddleCounts(), np.ones(3), seed=1)


def test_a_narrower_tolerance_is_obeyed(x):
    ours, theirs = models()
    assert compare(ours, theirs, x, seed=3, tolerance=1e-10).agree
    assert not compare(ours, theirs, x, seed=3, tolerance=0.0).agree
