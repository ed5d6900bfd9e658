"""The Paddle layer: attributes, copies, printing, checkpoints, and what ``Layer`` does to properties."""

from __future__ import annotations

import copy
import inspect
import pickle

import numpy as np
import paddle
import pytest

import rrelu_compat
import rrelu_compat.paddle
from rrelu_compat import BoundsError, Generator, RReLUSpec
from rrelu_compat.paddle import RReLU, rrelu


def small_network(layer):
    return paddle.nn.Sequential(paddle.nn.Linear(3, 4), layer, paddle.nn.Linear(4, 2))


def test_is_paddles_layer_and_the_neutral_one():
    layer = RReLU(0.1, 0.3)
    assert isinstance(layer, paddle.nn.RReLU)
    assert isinstance(layer, rrelu_compat.RReLU)
    neutral = rrelu_compat.RReLU(0.1, 0.3, backend="paddle", generator=Generator(3))
    assert type(neutral) is RReLU
    assert neutral.generator.seed == 3


@pytest.mark.parametrize("name", [None, "act"])
@pytest.mark.parametrize("mode", [True, False])
def test_prints_as_paddles_layer(name, mode):
    ours, native = RReLU(0.1, 0.3, name), paddle.nn.RReLU(0.1, 0.3, name)
    for layer in (ours, native):
        layer.train() if mode else layer.eval()
    assert repr(ours) == repr(native)
    assert repr(small_network(ours)) == repr(small_network(native))
    ours.inplace = True
    assert repr(ours) == repr(native)[:-1] + ", inplace=True)"


@pytest.mark.parametrize(
    ("arguments", "keywords", "inplace", "name"),
    [
        ((), {}, False, None),
        (("act",), {}, False, "act"),
        ((True,), {}, True, None),
        (("act", True), {}, True, "act"),
        ((True, "act"), {}, True, "act"),
        ((False, "act"), {}, False, "act"),
        ((), {"inplace": True}, True, None),
        ((), {"name": "act", "inplace": True}, True, "act"),
        ((None, True), {}, True, None),
    ],
)
def test_third_and_fourth_take_name_and_inplace_in_either_order(arguments, keywords, inplace, name):
    layer = RReLU(0.1, 0.3, *arguments, **keywords)
    assert (layer.inplace, layer.name, layer._name) == (inplace, name, name)
    x = paddle.to_tensor([-1.0])
    assert (layer(x) is x) == inplace


@pytest.mark.parametrize("arguments", [(True, False), ("a", "b"), (1.5,), (None, 3)])
def test_other_third_and_fourth_arguments_are_refused(arguments):
    with pytest.raises(TypeError, match=r"name=|inplace="):
        RReLU(0.1, 0.3, *arguments)


class NextPaddleRReLU(paddle.nn.Layer):
    """The signature of Paddle's next release: `inplace` third, and it keeps it."""

    def __init__(self, lower=0.125, upper=1 / 3, inplace=False, name=None):
        super().__init__()
        self._lower, self._upper, self._inplace, self._name = lower, upper, inplace, name
        self.from_the_next_release = True

    def extra_repr(self):
        return f"lower={self._lower}, upper={self._upper}, inplace={self._inplace}"


def test_next_paddle_release(monkeypatch, run_python):
    assert "inplace" not in inspect.signature(paddle.nn.RReLU.__init__).parameters
    source = inspect.getsource(NextPaddleRReLU)
    out = run_python(
        "import paddle\n"
        + source
        + """
paddle.nn.RReLU = paddle.nn.layer.activation.RReLU = NextPaddleRReLU
from rrelu_compat.paddle import RReLU
for layer in (RReLU(0.1, 0.3, True, "act"), RReLU(0.1, 0.3, "act", True)):
    assert isinstance(layer, NextPaddleRReLU)
    assert layer.from_the_next_release
    assert layer.inplace is True and layer._inplace is True and layer.name == "act"
    x = paddle.to_tensor([-1.0])
    assert layer(x) is x
    layer._inplace = False
    assert layer.spec.inplace is False
layer = RReLU(0.1, 0.3)
assert layer(x) is not x
print(RReLU(0.1, 0.3, True))
"""
    )
    assert out.strip().endswith("NextPaddleRReLU(lower=0.1, upper=0.3, inplace=True)") or (
        out.strip().endswith("RReLU(lower=0.1, upper=0.3, inplace=True)")
    )


def test_attributes_are_live_under_both_names():
    layer = RReLU(0.1, 0.3)
    x = paddle.full([1000], -1.0)
    layer.lower = layer._upper = 0.25
    assert (layer.lower, layer._lower, layer.upper, layer._upper) == (0.25,) * 4
    assert layer.spec == RReLUSpec(0.25, 0.25)
    assert layer(x).unique().tolist() == [-0.25]
    layer._lower = 0.125
    assert layer.eval()(x).unique().tolist() == [-0.1875]
    layer.spec = RReLUSpec(2.0, 3.0, True, "moved")
    assert (layer._lower, layer.upper, layer.inplace, layer._name) == (2.0, 3.0, True, "moved")


@pytest.mark.parametrize(
    ("attribute", "value", "error"),
    [
        ("_lower", float("inf"), BoundsError),
        ("_upper", float("nan"), BoundsError),
        ("lower", "a", TypeError),
        ("inplace", 1, TypeError),
        ("name", 3, TypeError),
        ("_name", True, TypeError),
        ("spec", (0.1, 0.2), TypeError),
        ("generator", np.random.default_rng(0), TypeError),
    ],
)
def test_attributes_are_validated_when_set(attribute, value, error):
    layer = RReLU(0.1, 0.3)
    before = dict(layer.__dict__)
    with pytest.raises(error, match=attribute.lstrip("_")):
        setattr(layer, attribute, value)
    assert layer.spec == RReLUSpec(0.1, 0.3)
    assert layer.generator is None
    assert set(layer.__dict__) == set(before)


@pytest.mark.parametrize(
    "attribute", ["lower", "_upper", "inplace", "name", "_name", "spec", "generator"]
)
def test_a_tensor_is_neither_a_bound_nor_a_buffer(attribute):
    layer = RReLU()
    with pytest.raises(TypeError):
        setattr(layer, attribute, paddle.to_tensor(0.2))
    assert not layer.state_dict()
    assert not layer.buffers()


@pytest.mark.parametrize("kind", ["copy", "deepcopy", "pickle"])
def test_copies(kind):
    layer = RReLU(0.1, 0.4, "act", True, generator=Generator(5, 2)).eval()
    twin = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    }[kind](layer)
    assert type(twin) is RReLU
    assert twin.spec == layer.spec
    assert not twin.training
    assert (twin.generator is layer.generator) == (kind != "pickle")
    assert (twin.generator.seed, twin.generator.call) == (5, 2)
    twin.lower = 0.2
    assert layer.lower == 0.1
    twin.train()
    twin(paddle.to_tensor([-1.0]))
    assert twin.generator.call == 3


def test_deepcopy_of_a_model_shares_a_framework_generator():
    generator = paddle.base.core.Generator()
    model = small_network(RReLU(generator=generator))
    assert copy.deepcopy(model)[1].generator is generator


def test_checkpoints_load_both_ways():
    ours, native = small_network(RReLU()), small_network(paddle.nn.RReLU())
    assert ours.state_dict().keys() == native.state_dict().keys()
    for source, target in ((ours, native), (native, ours)):
        assert target.set_state_dict(source.state_dict()) == ([], [])
    x = paddle.randn([5, 3])
    for model in (ours, native):
        model.eval()
    np.testing.assert_allclose(ours(x).numpy(), native(x).numpy(), rtol=1e-6)
    assert not RReLU().parameters()


def test_layer_is_the_functional():
    x = paddle.randn([50])
    generator = Generator(3)
    layer = RReLU(0.1, 0.9, generator=generator)
    assert np.array_equal(layer(x).numpy(), rrelu(x, 0.1, 0.9, generator=Generator(3)).numpy())
    assert generator.call == 1
    layer.eval()
    assert np.array_equal(layer(x).numpy(), rrelu(x, 0.1, 0.9, False).numpy())
    assert generator.call == 1


def test_hooks_and_training_mode():
    layer = RReLU(0.5, 0.5)
    layer.register_forward_post_hook(lambda _, __, y: y * 2)
    assert layer(paddle.to_tensor([-1.0])).item() == -1.0
    model = small_network(layer)
    model.eval()
    assert not layer.training


def test_subclass():
    class Loud(RReLU):
        def forward(self, x):
            return super().forward(x) * 10

    layer = Loud(0.5, 0.5)
    assert layer(paddle.to_tensor([-1.0])).item() == -5.0
    assert isinstance(layer, rrelu_compat.RReLU)
    assert repr(layer).startswith("Loud(lower=0.5")


def test_spec_of_native_layers():
    native = paddle.nn.RReLU(0.1, 0.3, "act")
    assert RReLUSpec.from_layer(native) == RReLUSpec(0.1, 0.3, False, "act")
    assert RReLUSpec.from_layer(RReLU(0.1, 0.3, True)) == RReLUSpec(0.1, 0.3, True)


def test_summary():
    info = paddle.summary(small_network(RReLU()), (1, 3))
    assert info == paddle.summary(small_network(paddle.nn.RReLU()), (1, 3))


def test_signatures_begin_like_paddles():
    for ours, native in (
        (RReLU.__init__, paddle.nn.RReLU.__init__),
        (rrelu, paddle.nn.functional.rrelu),
    ):
        expected = inspect.signature(native).parameters
        got = inspect.signature(ours).parameters
        assert list(got)[: len(expected)] == list(expected)
        for name, parameter in expected.items():
            assert got[name].default == parameter.default
