"""`compare` leaves everything as it was; how it pairs layers, its result, its arguments."""

import numpy as np
import paddle
import pytest
import torch

import rrelu_compat
from rrelu_compat.paddle import RReLU as PaddleRReLU
from rrelu_compat.porting import compare, copy_weights
from rrelu_compat.torch import RReLU as TorchRReLU


def mean_square(y):
    return (y * y).mean()


def bounds(port):
    port.block[1].upper = 0.5


def padding(port):
    port.block[0]._padding = 0
    port.block[0]._updated_padding = [0, 0]


def raises(port):
    def fail(x):
        raise ValueError("planted")

    port.square.forward = fail


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
def test_the_models_and_the_random_states_are_as_before(fault, gradients, x, models):
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


def test_layers_that_are_frozen_in_both_stay_so(x, models):
    ours, theirs = models()
    ours.norm.eval()
    theirs.norm.eval()
    result = compare(ours, theirs, x, seed=3)
    result.assert_close()
    mean = next(row for row in result.rows if row.quantity == "running_mean")
    assert mean.difference == 0


def test_models_in_the_other_mode_are_switched(x, models):
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
    result = compare(ours, port, np.ones((2, 3)), seed=1)  # by the order of execution
    result.assert_close()
    assert result.aligned == ("1",)
    assert result.names == names
    assert str(result.names) == "{\n    '0': 'a',\n    '1': 'b',\n}"
    assert any(row.layer == "0" and row.quantity == "gradient of weight" for row in result.rows)
    with pytest.raises(ValueError, match="which paddle_model has not"):
        compare(ours, port, np.ones((2, 3)), seed=1, names={"0": "z"})


def test_wrapped_models(x, models):
    ours, theirs = models()
    result = compare(torch.nn.DataParallel(ours), paddle.DataParallel(theirs), x, seed=3)
    result.assert_close()
    assert result.aligned == ("act", "block.1", "twice")


def test_what_has_no_counterpart_is_open():
    ours = torch.nn.Sequential(torch.nn.PReLU(), TorchRReLU()).double()
    theirs = paddle.nn.Sequential(paddle.nn.PReLU(), PaddleRReLU()).to(dtype="float64")
    x = np.array([[1.0, -1.0]])
    compare(ours, theirs, x, seed=1).assert_close()
    ours.extra = torch.nn.LSTMCell(2, 2).double()
    ours.forward = lambda x: ours[1](ours[0](x))
    result = compare(ours, theirs, x, seed=1)
    assert result.agree
    assert not result.proven
    with pytest.raises(AssertionError, match=r"not compared: 'extra' .* in the PyTorch model only"):
        result.assert_close()
    result.assert_close(allow="not compared")
    with pytest.raises(ValueError, match="got 'all'"):
        result.assert_close(allow="all")


# --- the result


def test_the_table_and_the_text(x, models):
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
def test_the_plot(suffix, tmp_path, x, models):
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
        ({"training": 1}, TypeError, "training must be True or False, got training=1"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"steps": 1.0}, TypeError, "steps=1.0"),
        ({"loss": 3}, TypeError, "loss=3"),
        ({"loss": (mean_square,)}, TypeError, "pair of callables"),
        ({"optimizer": mean_square}, TypeError, "optimizer must be a pair of callables"),
        ({"tolerance": -1.0}, ValueError, "tolerance"),
        ({"tolerance": "1"}, TypeError, "tolerance"),
        ({"inputs": "x"}, TypeError, "dtype"),
        ({"torch_model": PaddleRReLU()}, TypeError, "torch_model must be .*, got a paddle model"),
        ({"paddle_model": TorchRReLU()}, TypeError, "paddle_model must be .*, got a torch model"),
        ({"torch_model": 3}, TypeError, "torch_model must be"),
        (
            {"paddle_model": paddle.nn.Linear(2, 2)},
            ValueError,
            "float64 in torch_model and float32 in paddle_model",
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


def test_a_narrower_tolerance_is_obeyed(x, models):
    ours, theirs = models()
    assert compare(ours, theirs, x, seed=3, tolerance=1e-10).agree
    assert not compare(ours, theirs, x, seed=3, tolerance=0.0).agree
