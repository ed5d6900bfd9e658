"""The layer, the drop-in and the neutral function in graphs, also where they are first used there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

import rrelu_compat
from rrelu_compat import RReLUSpec
from rrelu_compat.torch import RReLU, rrelu, rrelu_

WAYS = {
    "layer": lambda lower, upper: RReLU(lower, upper),
    "drop-in": lambda lower, upper: lambda x: rrelu(x, lower, upper, True),
    "neutral": lambda lower, upper: lambda x: rrelu_compat.rrelu(x, lower, upper, training=True),
    "spec": lambda lower, upper: lambda x: RReLUSpec(lower, upper).apply(x, training=True),
}


@pytest.fixture(autouse=True)
def _fresh_graphs():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def within(x, y, lower, upper):
    slopes = (y / x)[x < 0]
    return bool(((slopes >= lower - 1e-6) & (slopes <= upper + 1e-6)).all())


@pytest.mark.parametrize("way", ["drop-in", "neutral"])
@pytest.mark.parametrize("kind", ["argument", "attribute", "shape"])
def test_bounds_take_a_second_value_in_a_compiled_function(way, kind):
    function = {
        "drop-in": lambda x, a, b: rrelu(x, a, b, True),
        "neutral": lambda x, a, b: rrelu_compat.rrelu(x, a, b, training=True),
    }[way]

    class Block(nn.Module):
        def __init__(self, upper):
            super().__init__()
            self.upper = upper

        def forward(self, x):
            return function(x, 0.1, self.upper)

    compiled = torch.compile(lambda x, u: function(x, 0.1, u), fullgraph=True, backend="aot_eager")
    by_shape = torch.compile(
        lambda x: function(x, 0.1, 0.2 + 1 / x.shape[0]), fullgraph=True, backend="aot_eager"
    )
    for n in (3, 4, 5):
        upper = 0.2 + 1 / n
        x = torch.randn(n)
        if kind == "argument":
            y = compiled(x, upper)
        elif kind == "attribute":
            block = Block(upper)
            block.compile(fullgraph=True, backend="aot_eager")
            y = block(x)
        else:
            y = by_shape(x)
        assert within(x, y, 0.1, upper)


@pytest.mark.parametrize("way", ["layer", "drop-in", "neutral"])
def test_symbolic_traces_keep_a_call(way):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = WAYS[way](0.1, 0.3)

        def forward(self, x):
            return self.act(x * 2)

    x = torch.randn(9)
    y = torch.fx.symbolic_trace(Net())(x)
    assert within(x * 2, y, 0.1, 0.3)


@pytest.mark.parametrize("layer", [nn.RReLU, RReLU])
def test_training_is_exported_with_a_dynamic_batch_of_few_elements(layer):
    net = nn.Sequential(nn.Linear(4, 4), layer(0.1, 0.3))
    batch = ({0: torch.export.Dim("b")},)
    program = torch.export.export(net, (torch.randn(3, 4),), dynamic_shapes=batch)
    for b in (2, 3, 7):
        assert program.module()(torch.randn(b, 4)).shape == (b, 4)


@pytest.mark.parametrize(("lower", "upper"), [(0.1, 0.2), (-0.3, 0.1)])
def test_scripted_evaluation_in_place_has_a_gradient(lower, upper):
    x = torch.tensor([[-1.0, 2.0]], requires_grad=True)
    scripted = torch.jit.script(nn.Sequential(nn.Identity(), RReLU(lower, upper, True)).eval())
    h = x * 1
    y = scripted(h)
    y.sum().backward()
    assert torch.allclose(x.grad, torch.tensor([[(lower + upper) / 2, 1.0]]))
    assert torch.equal(h, y)


def test_scripted_evaluation_loads_without_this_package_and_refuses_training(tmp_path):
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 3), RReLU(0.1, 0.3)).eval())
    scripted.save(str(tmp_path / "model.pt"))
    code = "import torch; torch.jit.load('model.pt')(torch.ones(2, 3))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    with pytest.raises(torch.jit.Error, match="scripted in evaluation mode"):
        scripted.train()(torch.ones(2, 3))


def scripted_drop_in(x, training: bool, inplace: bool):
    return rrelu(x, 0.1, 0.3, training, inplace)


def scripted_in_place(x, training: bool, inplace: bool):
    return rrelu_(x, 0.1, 0.3, training)


def scripted_neutral(x, training: bool, inplace: bool):
    return rrelu_compat.rrelu(x, 0.1, 0.3, training=training, inplace=inplace)


def scripted_torch(x, training: bool, inplace: bool):
    return rrelu_compat.torch_rrelu(x, 0.1, 0.3, training, inplace)


def scripted_paddle(x, training: bool, inplace: bool):
    return rrelu_compat.paddle_rrelu(x, 0.1, 0.3, training, inplace=inplace)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("inplace", [True, False])
@pytest.mark.parametrize(
    "function",
    [scripted_drop_in, scripted_in_place, scripted_neutral, scripted_torch, scripted_paddle],
)
def test_functions_are_scripted_where_they_are_called(function, inplace, training):
    scripted = torch.jit.script(function)
    results = []
    for run in (function, scripted):
        rrelu_compat.manual_seed(1)
        x = torch.linspace(-2, 2, 9, requires_grad=True)
        h = x * 1
        y = run(h, training, inplace)
        assert torch.equal(y, h) == (inplace or function is scripted_in_place)
        y.sum().backward()
        results.append((y, x.grad))
    for a, b in zip(*results, strict=True):
        assert torch.equal(a[x != 0], b[x != 0])


def fourth(x):
    return rrelu_compat.rrelu(x, 0.1, 0.3, True)


def unsaid(x):
    return rrelu_compat.rrelu(x, 0.1, 0.3)


def unordered(x):
    return rrelu(x, 0.5, 0.3)


def test_scripted_functions_refuse_what_the_others_refuse():
    with pytest.raises(RuntimeError, match="argument 'positional'"):
        torch.jit.script(fourth)
    for function, message in (
        (unsaid, "training=True or training=False by name"),
        (unordered, "lower must be <= upper, got lower=0.5, upper="),
    ):
        scripted = torch.jit.script(function)
        with pytest.raises(torch.jit.Error, match=message):
            scripted(torch.ones(2))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("strategy", ["forward-mode", "reverse-mode"])
def test_jacobians_of_a_training_call(way, strategy):
    x = torch.randn(4, 3)
    function = WAYS[way](0.1, 0.3)
    rrelu_compat.manual_seed(1)
    found = torch.autograd.functional.jacobian(function, x, vectorize=True, strategy=strategy)
    rrelu_compat.manual_seed(1)
    y = function(x)
    assert torch.allclose(found.reshape(12, 12) @ x.flatten(), y.flatten())


NEUTRAL = """
        import rrelu_compat
        class Net(torch.nn.Module):
            def forward(self, x):
                return rrelu_compat.rrelu(x * 2, 0.1, 0.3, training=self.training)
        net, x = Net(), torch.randn(9)
"""

FIRST_USES = {
    "fake mode": """
        from torch._subclasses.fake_tensor import FakeTensorMode
        with FakeTensorMode():
            from rrelu_compat.torch import RReLU
            RReLU()(torch.ones(3))
        """,
    "neutral in grad": """
        import rrelu_compat
        f = lambda x: rrelu_compat.rrelu(x, 0.1, 0.3, training=True).sum()
        torch.func.grad(f)(torch.randn(9))
        """,
    "neutral in a compiled function": NEUTRAL
    + "        torch.compile(net, fullgraph=True, backend='aot_eager')(x)",
    "neutral, its function compiled before it is imported": """
        compiled = torch.compile(lambda x, f: f(x * 2, 0.1, 0.3, training=True), fullgraph=True)
        import rrelu_compat
        torch._dynamo.config.suppress_errors = False
        compiled(torch.randn(9), rrelu_compat.rrelu)
        """,
    "neutral in trace": NEUTRAL + "        torch.jit.trace(net, x, check_trace=False)(x)",
    "neutral, after its backend was forgotten": NEUTRAL
    + """
        net(x)
        class Backend:
            name = "other"
            is_tensor = apply = layer = info = lambda *a: False
        rrelu_compat.register_backend(Backend())
        torch.compile(net, fullgraph=True, backend="aot_eager")(x)
        """,
    "inference mode": """
        with torch.inference_mode():
            from rrelu_compat.torch import RReLU
            RReLU()(torch.ones(3))
        """,
}


@pytest.mark.parametrize("context", FIRST_USES)
def test_the_first_use_may_be_in_any_context(context):
    code = (
        "import torch\n"
        + textwrap.dedent(FIRST_USES[context])
        + textwrap.dedent(
            """
        from rrelu_compat.torch import RReLU
        x = torch.randn(3, requires_grad=True)
        RReLU()(x).sum().backward()
        """
        )
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(rrelu_compat.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
