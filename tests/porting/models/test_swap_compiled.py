"""`swap` and what was traced, converted, compiled or sharded before; layers in odd places; subclasses."""

import copy
import io
import pickle

import numpy as np
import paddle
import pytest
import torch

import rrelu_compat
import rrelu_compat.torch
from rrelu_compat.porting import swap

X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")


class TorchNet(torch.nn.Module):
    """A layer and an activation."""

    def __init__(self, act=None):
        super().__init__()
        self.linear = torch.nn.Linear(3, 3)
        self.act = torch.nn.RReLU(0.1, 0.9) if act is None else act

    def forward(self, x):
        return self.act(self.linear(x))


class PaddleNet(paddle.nn.Layer):
    """The same in Paddle, with a second method."""

    def __init__(self):
        super().__init__()
        self.linear, self.act = paddle.nn.Linear(3, 3), paddle.nn.RReLU(0.1, 0.9)

    def forward(self, x):
        return self.act(self.linear(x))

    def other(self, x):
        return self.act(self.linear(x)) * 2


class PaddleDecorated(PaddleNet):
    """Its second method is converted in the class."""

    @paddle.jit.to_static(full_graph=True)
    def other(self, x):
        return self.act(self.linear(x)) * 2


class TorchScaled(torch.nn.RReLU):
    """Arguments and attributes of its own."""

    def __init__(self, scale, lower=0.1, upper=0.9):
        super().__init__(lower, upper)
        self.scale = scale

    def extra_repr(self):
        return f"{super().extra_repr()}, scale={self.scale}"

    def forward(self, input):
        return super().forward(input) * self.scale


class TorchShifted(TorchScaled):
    """A subclass of the subclass."""

    def forward(self, input):
        return super().forward(input) + 3


def is_ours(call):
    """Whether a call draws from this package's stream, and from nothing else."""
    x = torch.from_numpy(X) if not hasattr(call, "of_paddle") else paddle.to_tensor(X)
    seen = []
    for _ in range(2):
        rrelu_compat.manual_seed(5)
        seen.append(np.asarray(call(x).detach().numpy()))
    rrelu_compat.manual_seed(None)
    return bool((seen[0] == seen[1]).all())


def of_paddle(call):
    """Mark a call as one of Paddle."""

    def called(x):
        return call(x)

    called.of_paddle = True
    return called


def test_a_subclass_of_a_subclass():
    model = torch.nn.Sequential(TorchShifted(2.0))
    text = repr(model)
    swap(model)
    assert is_ours(model)
    assert repr(model) == text
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert is_ours(twin)
        assert twin[0].scale == 2.0
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert is_ours(torch.load(file, weights_only=False))
    assert type(swap(model, to="native")[0]) is TorchShifted


def test_layers_in_two_parents_and_in_slices():
    shared = torch.nn.RReLU()
    both = torch.nn.ModuleDict(
        {"one": torch.nn.Sequential(shared), "two": torch.nn.Sequential(shared)}
    )
    swap(both["one"])
    assert swap(both)["two"][0] is shared
    row = torch.nn.Sequential(torch.nn.RReLU(), torch.nn.RReLU())
    swap(row[1:])
    assert [isinstance(layer, rrelu_compat.RReLU) for layer in row] == [False, True]


def test_a_list_that_holds_itself():
    model = TorchNet()
    model.more = [model.act, torch.nn.RReLU()]
    model.more.append(model.more)
    swap(model)
    assert isinstance(model.more[1], rrelu_compat.RReLU)


def test_hooks_of_every_kind():
    model, seen = TorchNet(), []
    for kind in (
        "forward_pre",
        "forward",
        "full_backward_pre",
        "full_backward",
        "state_dict_post",
        "state_dict_pre",
        "load_state_dict_pre",
    ):
        getattr(model.act, f"register_{kind}_hook")(lambda *_, kind=kind: seen.append(kind))
    ran = []
    for change in ("shim", "native"):
        swap(model, to=change)
        model(torch.from_numpy(X)).sum().backward()
        model.load_state_dict(model.state_dict())
        ran.append(list(seen))
        seen.clear()
    assert len(ran[0]) == 7
    assert ran[0] == ran[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("act", [None, TorchShifted(2.0)], ids=["native", "subclass"])
@pytest.mark.parametrize("part", ["model.compile", "act.compile", "act", "forward"])
def test_compiled_in_place_and_parts(part, act):
    model = TorchNet(copy.deepcopy(act))
    if part == "act":
        model.act = torch.compile(model.act, backend="aot_eager")
    elif part == "forward":
        model.forward = torch.compile(model.forward, backend="aot_eager")
    else:
        (model if part == "model.compile" else model.act).compile(backend="aot_eager")
    model(torch.from_numpy(X))
    assert not is_ours(model)
    assert is_ours(swap(model))
    assert not is_ours(swap(model, to="native"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("full_graph", [True, False])
@pytest.mark.parametrize("part", ["other", "forward", "act", "decorated"])
def test_converted_methods_and_parts(part, full_graph):
    model = PaddleDecorated() if part == "decorated" else PaddleNet()
    if part == "act":
        model.act = paddle.jit.to_static(model.act, full_graph=full_graph)
    elif part != "decorated":
        method = paddle.jit.to_static(getattr(model, part), full_graph=full_graph)
        setattr(model, part, method)
    call = of_paddle(lambda x: (model.other if part in ("other", "decorated") else model)(x))
    call(paddle.to_tensor(X))
    assert not is_ours(call)
    swap(model)
    assert is_ours(call)
    swap(model, to="native")
    assert not is_ours(call)


@pytest.mark.filterwarnings("ignore")
def test_what_was_given_to_the_conversion_is_kept():
    layer = paddle.nn.RReLU(0.1, 0.9)
    spec = [paddle.static.InputSpec([None, 3], "float32", name="x")]
    paddle.jit.to_static(layer, input_spec=spec, full_graph=True, backend=None)
    before = layer.forward
    swap(layer)
    assert type(layer.forward) is type(before)
    assert layer.forward._input_spec == before._input_spec
    assert layer.forward._kwargs == before._kwargs
    assert is_ours(of_paddle(layer.forward.rollback()))


class Inlining(torch.fx.Tracer):
    """Traces into every layer."""

    def is_leaf_module(self, module, path):
        return False


def inlined(model):
    return torch.fx.GraphModule(model, Inlining().trace(model))


def exported(model):
    return torch.export.export(model, (torch.from_numpy(X),)).module()


@pytest.mark.parametrize("trace", [inlined, exported])
def test_graphs_in_which_the_layer_has_become_a_call_are_refused(trace):
    model = torch.nn.Sequential(torch.nn.RReLU(), trace(TorchNet()))
    with pytest.raises(TypeError, match=r"model layer '1' is a graph in which an RReLU layer"):
        swap(model)
    assert type(model[0]) is torch.nn.RReLU
    swap(trace(swap(TorchNet())))  # nothing of the framework's own is in it
    act = torch.nn.Sequential(torch.nn.ReLU())
    swap(trace(TorchNet(act)))


def test_a_graph_that_kept_the_layer():
    graph = torch.fx.symbolic_trace(TorchNet())
    assert is_ours(swap(graph))


def test_fully_sharded(tmp_path):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    try:
        for part in ("model", "act"):
            model = TorchNet()
            fully_shard(model if part == "model" else model.act, mesh=init_device_mesh("cpu", (1,)))
            kind = type(model.act)
            assert is_ours(swap(model))
            model(torch.from_numpy(X)).sum().backward()
            assert type(swap(model, to="native").act) is kind
    finally:
        torch.distributed.destroy_process_group()


def test_scripted_and_traced_modules_are_refused():
    model = torch.nn.Sequential(torch.nn.RReLU())
    for fixed in (torch.jit.script(model), torch.jit.trace(model.eval(), torch.ones(2))):
        with pytest.raises(TypeError, match=r"torch\.jit"):
            swap(torch.nn.Sequential(fixed))


def test_a_loaded_program_is_refused(tmp_path):
    model = paddle.nn.Sequential(paddle.nn.Linear(3, 3), paddle.nn.RReLU())
    spec = [paddle.static.InputSpec([None, 3], "float32")]
    paddle.jit.save(model, str(tmp_path / "model"), input_spec=spec)
    with pytest.raises(TypeError, match=r"paddle\.jit\.load"):
        swap(paddle.jit.load(str(tmp_path / "model")))
