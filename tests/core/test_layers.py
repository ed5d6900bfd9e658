"""The neutral RReLU and rrelu, and what the layers of all backends share."""

import copy
import pickle

import numpy as np
import pytest

import rrelu_compat
from rrelu_compat import BoundsError, Generator, RReLU, RReLUSpec, rrelu, slopes
from rrelu_compat.numpy import RReLU as NumPyRReLU

BACKENDS = ["numpy", "torch", "paddle"]


def tensor(backend, values):
    if backend == "torch":
        import torch

        return torch.tensor(values)
    if backend == "paddle":
        import paddle

        return paddle.to_tensor(values)
    return np.array(values, np.float32)


@pytest.mark.parametrize("backend", BACKENDS)
def test_layers_of_every_backend_are_instances_of_the_neutral_class(backend):
    layer = RReLU(0.1, 0.3, backend=backend)
    assert isinstance(layer, RReLU)
    assert issubclass(type(layer), RReLU)
    assert not isinstance(object(), RReLU)


def test_subclassing_the_neutral_class_names_the_drop_ins():
    with pytest.raises(TypeError, match=r"rrelu_compat\.torch\.RReLU"):
        type("Mine", (RReLU,), {})


@pytest.mark.parametrize("backend", BACKENDS)
def test_layer_and_function_draw_the_definitions_slopes(backend):
    x = [-1.0, -2.0, 3.0, -4.0]
    generator = Generator(11, 3)
    layer = RReLU(0.1, 0.3, backend=backend, generator=generator)
    a = slopes(4, 0.1, 0.3, seed=11, call=3)
    expected = np.where(np.array(x) >= 0, x, a * np.array(x, np.float32))
    assert np.array_equal(np.asarray(layer(tensor(backend, x))), expected)
    assert generator.call == 4
    y = rrelu(tensor(backend, x), 0.1, 0.3, training=True, generator=Generator(11, 3))
    assert np.array_equal(np.asarray(y), expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_manual_seed_reaches_every_backend(backend):
    rrelu_compat.manual_seed(21)
    try:
        y = rrelu(tensor(backend, [-1.0] * 5), 0.0, 1.0, training=True)
    finally:
        rrelu_compat.manual_seed(None)
    assert np.array_equal(np.asarray(y), -slopes(5, 0.0, 1.0, seed=21))


@pytest.mark.parametrize("backend", BACKENDS)
def test_attributes_are_live_and_validated(backend):
    layer = RReLU(0.1, 0.3, backend=backend)
    layer.eval()
    layer.upper = 0.5
    assert layer.spec == RReLUSpec(0.1, 0.5)
    assert float(layer(tensor(backend, [-10.0]))[0]) == np.float32(-10) * np.float32(0.3)
    for attribute, bad, error in (
        ("lower", 0.7, BoundsError),
        ("upper", "x", TypeError),
        ("inplace", 1, TypeError),
        ("name", 1, TypeError),
        ("spec", (0.1, 0.2), TypeError),
    ):
        with pytest.raises(error, match=attribute):
            setattr(layer, attribute, bad)
    assert layer.spec == RReLUSpec(0.1, 0.5)
    layer.spec = RReLUSpec(2, 3)  # moves both bounds past the old ones at once
    assert (layer.lower, layer.upper) == (2.0, 3.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_third_argument_is_inplace_or_name(backend):
    assert RReLU(0.1, 0.3, True, backend=backend).inplace is True
    assert RReLU(0.1, 0.3, "act", backend=backend).name == "act"
    both = RReLU(0.1, 0.3, "act", True, backend=backend)
    assert (both.inplace, both.name) == (True, "act")
    with pytest.raises(TypeError, match="inplace="):
        RReLU(0.1, 0.3, 1, backend=backend)
    with pytest.raises(TypeError, match=r"(inplace|name)='b'"):
        RReLU(0.1, 0.3, "a", "b", backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_deepcopy_shares_the_generator_and_pickle_does_not(backend):
    layer = RReLU(0.1, 0.3, "act", backend=backend, generator=Generator(5))
    twin = copy.deepcopy(layer)
    assert twin is not layer
    assert twin.generator is layer.generator
    assert twin.spec == layer.spec
    other = pickle.loads(pickle.dumps(layer))
    assert other.spec == layer.spec
    assert other.generator is not layer.generator
    assert other.generator.state_dict() == {"seed": 5, "call": 0}
    assert copy.copy(layer).generator is layer.generator


def test_a_fourth_positional_argument_says_what_to_do():
    with pytest.raises(TypeError, match="pass training= and inplace= by name"):
        rrelu(np.ones(2), 0.1, 0.3, True)


@pytest.mark.parametrize("backend", BACKENDS)
def test_training_is_required_and_a_bool(backend):
    x = tensor(backend, [1.0])
    with pytest.raises(TypeError, match="False in PyTorch and True in Paddle"):
        rrelu(x)
    with pytest.raises(TypeError, match="training=1"):
        rrelu(x, training=1)


def test_the_plain_layer_takes_any_tensor():
    layer = NumPyRReLU(0.5, 0.5)
    assert layer.training
    assert layer.eval() is layer
    assert not layer.training
    for backend in BACKENDS:
        assert np.asarray(layer(tensor(backend, [-2.0, 1.0]))).tolist() == [-1.0, 1.0]
    assert layer.train().training
    assert repr(NumPyRReLU(0.5, 0.75, True, "a")) == (
        "RReLU(lower=0.5, upper=0.75, inplace=True, name=a)"
    )
    with pytest.raises(TypeError, match="mode=1"):
        layer.train(1)
