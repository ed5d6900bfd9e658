"""`swap`: native layers become this package's and back, whatever holds them; refused, nothing has changed."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import paddle
import pytest
import torch

import rrelu_compat
import rrelu_compat.paddle
import rrelu_compat.torch
from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting import swap
from rrelu_compat.porting.models.frameworks import paddle as paddle_models
from rrelu_compat.spec import RReLUSpec


class TorchDoubled(torch.nn.RReLU):
    """A user's subclass that goes through ``super()``."""

    def forward(self, input):
        return super().forward(input) * 2


class PaddleDoubled(paddle.nn.RReLU):
    """The same in Paddle."""

    def forward(self, x):
        return super().forward(x) * 2


class TorchGoesPast(torch.nn.RReLU):
    """A subclass that calls the native function by itself."""

    def forward(self, input):
        return torch.nn.functional.rrelu(input, self.lower, self.upper, self.training)


class PaddleGoesPast(paddle.nn.RReLU):
    """The same in Paddle."""

    def forward(self, x):
        return paddle.nn.functional.rrelu(x, self._lower, self._upper, self.training)


class TorchNet(torch.nn.Module):
    """Layers in every place: nested, shared, in containers of the framework and in plain ones."""

    def __init__(self):
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.RReLU(0.1, 0.2))
        self.shared = torch.nn.RReLU(0.2, 0.3)
        self.again = self.shared
        self.many = torch.nn.ModuleList([torch.nn.RReLU(0.3, 0.4), TorchDoubled(0.4, 0.5)])
        self.named = torch.nn.ModuleDict({"act": torch.nn.RReLU(0.5, 0.6)})
        self.plain = [torch.nn.RReLU(0.6, 0.7), {"deep": (torch.nn.RReLU(0.7, 0.8),)}]

    def forward(self, x):
        x = self.again(self.shared(self.first(x)))
        x = self.named["act"](self.many[1](self.many[0](x)))
        return self.plain[1]["deep"][0](self.plain[0](x))


class PaddleNet(paddle.nn.Layer):
    """The same in Paddle."""

    def __init__(self):
        super().__init__()
        self.first = paddle.nn.Sequential(paddle.nn.Linear(3, 3), paddle.nn.RReLU(0.1, 0.2))
        self.shared = paddle.nn.RReLU(0.2, 0.3)
        self.again = self.shared
        self.many = paddle.nn.LayerList([paddle.nn.RReLU(0.3, 0.4), PaddleDoubled(0.4, 0.5)])
        self.named = paddle.nn.LayerDict({"act": paddle.nn.RReLU(0.5, 0.6)})
        self.plain = [paddle.nn.RReLU(0.6, 0.7), {"deep": (paddle.nn.RReLU(0.7, 0.8),)}]

    def forward(self, x):
        x = self.again(self.shared(self.first(x)))
        x = self.named["act"](self.many[1](self.many[0](x)))
        return self.plain[1]["deep"][0](self.plain[0](x))


class Torch:
    """What the tests need of PyTorch."""

    name = "torch"
    native, shim = torch.nn.RReLU, rrelu_compat.torch.RReLU
    Net, Doubled, GoesPast, Sequential = TorchNet, TorchDoubled, TorchGoesPast, torch.nn.Sequential

    @staticmethod
    def input():
        return torch.from_numpy(np.random.default_rng(0).normal(size=(8, 3)).astype("float32"))

    @staticmethod
    def numpy(tensor):
        return tensor.detach().numpy()

    @staticmethod
    def paths(model):
        return [path for path, _ in model.named_modules()]

    @staticmethod
    def after_forward(layer, hook):
        layer.register_forward_hook(hook)


class Paddle:
    """What the tests need of Paddle."""

    name = "paddle"
    native, shim = paddle.nn.RReLU, rrelu_compat.paddle.RReLU
    Net, Doubled, GoesPast = PaddleNet, PaddleDoubled, PaddleGoesPast
    Sequential = paddle.nn.Sequential

    @staticmethod
    def input():
        return paddle.to_tensor(np.random.default_rng(0).normal(size=(8, 3)).astype("float32"))

    @staticmethod
    def numpy(tensor):
        return tensor.numpy()

    @staticmethod
    def paths(model):
        return [path for path, _ in model.named_sublayers(include_self=True)]

    @staticmethod
    def after_forward(layer, hook):
        layer.register_forward_post_hook(hook)


@pytest.fixture(params=[Torch, Paddle], ids=["torch", "paddle"])
def framework(request):
    return request.param


def all_layers(net):
    return [
        net.first[1],
        net.shared,
        net.many[0],
        net.many[1],
        net.named["act"],
        net.plain[0],
        net.plain[1]["deep"][0],
    ]


def seeded(framework, model, seed=5):
    rrelu_compat.manual_seed(seed)
    try:
        return framework.numpy(model(framework.input()))
    finally:
        rrelu_compat.manual_seed(None)


def is_ours(framework, model):
    """Whether a model draws from this package's stream, and from nothing else."""
    return (seeded(framework, model) == seeded(framework, model)).all()


def test_every_layer_is_found_and_keeps_what_it_is(framework):
    net = framework.Net()
    layers = all_layers(net)
    paths, keys = framework.paths(net), list(net.state_dict())
    layers[2].eval()
    layers[0].remark = "kept"
    assert swap(net) is net
    assert all(isinstance(layer, framework.shim) for layer in layers)
    assert [one is other for one, other in zip(layers, all_layers(net), strict=True)] == [True] * 7
    assert [(layer.lower, layer.upper) for layer in layers] == [
        (low / 10, (low + 1) / 10) for low in range(1, 8)
    ]
    assert [layer.training for layer in layers] == [True, True, False, True, True, True, True]
    assert layers[0].remark == "kept"
    assert net.again is net.shared
    assert (framework.paths(net), list(net.state_dict())) == (paths, keys)


def test_a_swapped_model_computes_what_one_built_with_the_drop_in_does(framework):
    lower, upper = 0.1, 0.9
    for training in (True, False):
        swapped = swap(framework.Sequential(framework.native(lower, upper)))
        built = framework.Sequential(framework.shim(lower, upper))
        if not training:
            swapped.eval()
            built.eval()
        assert (seeded(framework, swapped) == seeded(framework, built)).all()


def test_a_model_is_reproducible_only_once_it_is_swapped(framework):
    net = framework.Net()
    assert not is_ours(framework, net)
    assert is_ours(framework, swap(net))
    assert not is_ours(framework, swap(net, to="native"))


def test_a_subclass_keeps_its_methods_and_its_type(framework):
    layer = framework.Doubled(0.1, 0.9)
    swap(framework.Sequential(layer))
    plain = swap(framework.Sequential(framework.native(0.1, 0.9)))
    assert (seeded(framework, layer) == 2 * seeded(framework, plain)).all()
    assert isinstance(layer, framework.Doubled)
    assert isinstance(layer, rrelu_compat.RReLU)
    swap(layer, to="native")
    assert type(layer) is framework.Doubled


def test_a_swapped_subclass_is_copied_and_pickled(framework):
    layer = swap(framework.Sequential(framework.Doubled(0.1, 0.9)))[0]
    expected = seeded(framework, layer)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(twin) is type(layer)
        assert (twin.lower, twin.upper) == (0.1, 0.9)
        assert (seeded(framework, twin) == expected).all()


def test_back_leaves_the_layer_as_the_native_constructor_makes_it(framework):
    model = framework.Sequential(framework.native(0.1, 0.2))
    fresh = framework.native(0.1, 0.2)
    swap(swap(model), to="native")
    assert type(model[0]) is framework.native
    assert set(vars(model[0])) == set(vars(fresh))
    for name in ("lower", "upper", "inplace", "_lower", "_upper", "_name"):
        assert getattr(model[0], name, None) == getattr(fresh, name, None)
    swap(model)
    assert (model[0].lower, model[0].upper, model[0].generator) == (0.1, 0.2, None)


def test_swapping_twice_changes_nothing_more(framework):
    model = swap(framework.Sequential(framework.native(0.1, 0.2)))
    model[0].generator = generator = rrelu_compat.Generator(3)
    swap(model)
    assert model[0].generator is generator
    swap(model, to="native")
    swap(model, to="native")
    assert type(model[0]) is framework.native


def test_hooks_are_kept(framework):
    model = framework.Sequential(framework.native())
    seen = []
    framework.after_forward(model[0], lambda layer, *_: seen.append(type(layer)))
    model(framework.input())
    swap(model)
    model(framework.input())
    assert seen == [framework.native, framework.shim]


def test_the_model_itself_may_be_the_layer(framework):
    layer = framework.native(0.1, 0.2)
    assert swap(layer) is layer
    assert type(layer) is framework.shim


def test_inplace_is_kept_in_pytorch():
    layer = swap(torch.nn.RReLU(0.1, 0.2, inplace=True))
    x = torch.randn(4)
    assert layer(x) is x
    assert swap(layer, to="native").inplace is True


def test_the_name_is_kept_in_paddle():
    layer = swap(paddle.nn.RReLU(0.1, 0.2, name="act"))
    assert layer.name == "act"
    assert swap(layer, to="native")._name == "act"


# Each takes a model and returns what is called from then on.
WRAPPERS = {
    "torch-DataParallel": (Torch, torch.nn.DataParallel),
    "torch-compiled": (Torch, lambda model: torch.compile(model, backend="aot_eager")),
    "paddle-DataParallel": (Paddle, paddle.DataParallel),
    "paddle-to_static": (Paddle, lambda model: paddle.jit.to_static(model, full_graph=True)),
    "paddle-symbolic": (Paddle, lambda model: paddle.jit.to_static(model, full_graph=False)),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("framework", "wrap"), WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("whole", [True, False], ids=["model", "layer"])
def test_what_was_wrapped_or_traced_before_is_swapped(framework, wrap, whole):
    layer = framework.native(0.1, 0.9)
    model = wrap(framework.Sequential(layer) if whole else layer)
    model(framework.input())  # traced with the native layer
    assert not is_ours(framework, model)
    swap(model)
    assert is_ours(framework, model)
    expected = seeded(framework, framework.shim(0.1, 0.9))
    assert (seeded(framework, model) == expected).all()
    swap(model, to="native")
    assert not is_ours(framework, model)


def test_distributed_data_parallel(tmp_path):
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        model = torch.nn.parallel.DistributedDataParallel(
            torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.RReLU(0.1, 0.9))
        )
        assert not is_ours(Torch, model)
        swap(model)
        assert is_ours(Torch, model)
        model(Torch.input()).sum().backward()
    finally:
        torch.distributed.destroy_process_group()


def state(net):
    return [
        (type(layer), {key: value for key, value in vars(layer).items() if key[0] != "_"})
        for layer in all_layers(net)
    ]


def spoil_with_own_function(framework, net):
    net.last = framework.GoesPast()


def spoil_with_bounds(framework, net):
    vars(net.plain[1]["deep"][0]).update(lower=2.0, upper=1.0, _lower=2.0, _upper=1.0)


def spoil_with_own_forward(framework, net):
    layer = net.plain[1]["deep"][0]
    inner = layer.forward
    layer.forward = lambda x: inner(x) + 1


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (spoil_with_own_function, ValueError, r"'last'.*GoesPast.forward.*rrelu"),
        (spoil_with_bounds, rrelu_compat.BoundsError, r"plain\[1\]\['deep'\]\[0\].*lower=2.0"),
        (spoil_with_own_forward, ValueError, r"plain\[1\]\['deep'\]\[0\].*forward of its own"),
    ],
)
def test_what_cannot_be_swapped_leaves_the_model_alone(framework, spoil, error, message):
    net = framework.Net()
    spoil(framework, net)
    before = state(net)
    with pytest.raises(error, match=message):
        swap(net)
    assert state(net) == before


def test_a_subclass_of_the_drop_in_has_no_native_class(framework):
    mine = type("Mine", (framework.shim,), {})
    with pytest.raises(ValueError, match=r"'0' is a Mine.*subclass of the drop-in"):
        swap(framework.Sequential(mine()), to="native")


@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (0.5, 1.5)])
def test_bounds_that_paddle_does_not_take(bounds):
    layer = rrelu_compat.paddle.RReLU(*bounds)
    with pytest.raises(rrelu_compat.BoundsError, match="0 <= lower <= upper <= 1"):
        swap(layer, to="native")
    assert type(layer) is rrelu_compat.paddle.RReLU


def test_inplace_that_this_paddle_does_not_have(monkeypatch):
    layer = rrelu_compat.paddle.RReLU(inplace=True)
    has_it = "_inplace" in vars(paddle.nn.RReLU()) or "inplace" in vars(paddle.nn.RReLU())
    if not has_it:
        with pytest.raises(ValueError, match="inplace=True"):
            swap(layer, to="native")

    class Next(paddle.nn.Layer):  # a stand-in for a release that has it
        def __init__(self, lower=1 / 8, upper=1 / 3, inplace=False, name=None):
            super().__init__()
            self._lower, self._upper, self._inplace, self._name = lower, upper, inplace, name

    monkeypatch.setattr(paddle_models, "native", Next)
    paddle_models.check_native_takes(RReLUSpec(inplace=True))


def test_arguments(framework):
    with pytest.raises(ValueError, match="to must be 'shim' or 'native', got to='ours'"):
        swap(framework.native(), to="ours")
    with pytest.raises(TypeError, match=r"model must be .*, got builtins\.int"):
        swap(3)


def test_a_model_without_rrelu_is_left_alone(framework):
    model = framework.Sequential()
    assert swap(model) is model
    assert not any(isinstance(child, RReLULayer) for child in model.children())


REPLACED = """
import {framework}
import rrelu_compat.{framework}

native = {framework}.nn.RReLU
model = {framework}.nn.Sequential(native(0.1, 0.3))
{framework}.nn.RReLU = rrelu_compat.{framework}.RReLU
from rrelu_compat.porting import swap

swap(model)
assert type(model[0]) is rrelu_compat.{framework}.RReLU, type(model[0])
swap(model, to="native")
assert type(model[0]) is native, type(model[0])
"""


@pytest.mark.parametrize("order", ["ours first", "replaced first"])
@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_a_class_that_was_replaced_globally_is_still_known(framework, order):
    program = REPLACED.format(framework=framework)
    if order == "replaced first":
        # Somebody else's class stands there before this package is imported.
        program = program.replace(f"import rrelu_compat.{framework}\n", "", 1).replace(
            f"{framework}.nn.RReLU = rrelu_compat.{framework}.RReLU",
            f"{framework}.nn.RReLU = type('Other', (native,), {{}})\nimport rrelu_compat.{framework}",
        )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
