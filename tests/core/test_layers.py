"""The neutral RReLU and rrelu, and what the layers of all backends share."""

import copy
import pickle
import subprocess
import sys

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
    return np.array(values, None if values is True else np.float32)


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
        ("lower", float("inf"), BoundsError),
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


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bounds_may_be_out_of_order_until_the_next_call(backend, training):
    layer = RReLU(0.1, 0.3, backend=backend)
    layer.train() if training else layer.eval()
    layer.lower = 0.5
    for twin in (layer, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert "0.5" in repr(twin)
        for use in (
            lambda twin=twin: twin(tensor(backend, [-1.0])),
            lambda twin=twin: twin.spec,
            lambda twin=twin: RReLUSpec.from_layer(twin),
        ):
            with pytest.raises(
                BoundsError, match=r"lower must be <= upper, got lower=0.5, upper=0.3"
            ):
                use()
        twin.upper = 0.5
        assert twin.spec == RReLUSpec(0.5, 0.5)
        assert float(twin(tensor(backend, [-1.0]))[0]) == -0.5


@pytest.mark.parametrize("backend", ["torch", "paddle"])
def test_a_subclass_may_run_the_constructor_of_the_base_class_alone(backend):
    shim = type(RReLU(backend=backend))
    base = shim.__mro__[-2]

    class Alone(shim):
        def __init__(self):
            base.__init__(self)
            self.lower = 0.5  # above the default upper bound
            self.upper = 0.5

    assert base.__name__ in ("Module", "Layer")
    layer = Alone()
    assert layer.generator is None
    assert (layer.inplace, layer.name) == (False, None)
    assert float(layer(tensor(backend, [-1.0]))[0]) == -0.5


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bound_may_stand_in_an_array_or_tensor_without_axes(backend):
    bound = tensor(backend, 0.5)
    assert RReLUSpec(bound, bound) == RReLUSpec(0.5, 0.5)
    x = tensor(backend, [-1.0])
    assert float(rrelu(x, bound, bound, training=True)[0]) == -0.5
    # What it holds now counts, not what it held.
    bound[...] = 0.25
    assert float(rrelu(x, bound, bound, training=True)[0]) == -0.25
    layer = RReLU(bound, bound, backend=backend)
    if backend != "paddle":  # its layers make buffers of tensors that are assigned
        layer.upper = bound
    assert layer.spec == RReLUSpec(0.25, 0.25)
    with pytest.raises(TypeError, match="lower="):
        RReLUSpec(tensor(backend, [0.5]))
    with pytest.raises(TypeError, match="lower="):
        RReLUSpec(tensor(backend, True))


def test_a_bound_with_a_gradient_or_without_a_value_is_refused():
    import paddle
    import torch

    weight = paddle.to_tensor(0.1)
    weight.stop_gradient = False
    for bound, cure in (
        (torch.tensor(0.1, requires_grad=True), r"upper\.detach\(\)"),
        (weight, r"upper\.detach\(\)"),
        (torch.tensor(0.1, device="meta"), "without a value"),
    ):
        with pytest.raises(TypeError, match=f"upper must be a number, got a tensor .*{cure}"):
            RReLUSpec(0.0, bound)


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


EARLY = """
import numpy as np
import rrelu_compat

early = rrelu_compat.RReLU(0.5, 0.5)
assert early(np.array([-1.0]))[0] == -0.5
import {framework}

x = {framework}.ones([1]) * -1
for layer in (early, early.eval()):
    try:
        layer(x)
    except RuntimeError as error:
        assert 'built before {framework} was imported' in str(error), error
        assert 'backend="{framework}"' in str(error), error
    else:
        raise AssertionError("taken")
assert float(rrelu_compat.numpy.RReLU(0.5, 0.5)(x)[0]) == -0.5
assert float(rrelu_compat.RReLU(0.5, 0.5)(x)[0]) == -0.5
"""


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_layer_built_before_its_framework_is_refused_there(framework):
    code = "import rrelu_compat.numpy\n" + EARLY.replace("{framework}", framework)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
