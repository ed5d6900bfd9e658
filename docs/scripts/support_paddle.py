"""The Paddle features of the support table: each takes the layer class and raises where it fails."""

from __future__ import annotations

import copy
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import paddle
import support_paddle_graphs as graphs
from paddle import nn
from support_paddle_checks import assert_is_rrelu, leaf, sample, train


def dtype(name):
    def feature(layer):
        train(layer(), sample(dtype=name))

    return feature


def float64_bounds(layer):
    y = layer(0.1, 0.1)(paddle.to_tensor([-1.0], "float64"))
    assert y.item() == -0.1


def gradient_at_zero(layer):
    x = leaf(np.zeros(3, np.float32), "float32")
    layer()(x).sum().backward()
    assert (x.grad.numpy() == 1).all()


def any_bounds(layer):
    assert layer(-2, np.float32(-1)).forward(paddle.to_tensor([1.0])).item() == 1


def bounds_checked_when_given(layer):
    for bounds in ((0.3, 0.1), (0.0, float("inf"))):
        try:
            layer(*bounds)
        except (ValueError, RuntimeError):
            continue
        raise AssertionError("accepted")


def in_place(layer):
    x = leaf(np.float32([-1, 2]), "float32")
    hidden = x * 1
    assert layer(0.5, 0.5, inplace=True)(hidden) is hidden
    hidden.sum().backward()
    assert x.grad.tolist() == [0.5, 1]


def double_grad(layer):
    x = leaf(np.float32([-2, 3]), "float32")
    (g,) = paddle.grad((layer(0.5, 0.5)(x) ** 2).sum(), x, create_graph=True)
    g.sum().backward()
    assert x.grad.tolist() == [0.5, 2]


def hooks(layer):
    x = leaf(np.full(4, -1, np.float32), "float32")
    y = layer(0.5, 0.5)(x)
    y.register_hook(lambda g: g * 2)
    loss = y.sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert (x.grad.numpy() == 2).all()


def recomputation(reentrant):
    def feature(layer):
        from paddle.distributed.fleet.utils import recompute

        module, x = layer(), sample()
        y = recompute(module, x, use_reentrant=reentrant)
        y.sum().backward()
        assert_is_rrelu(x, y, x.grad)

    return feature


def high_level(layer):
    network = nn.Sequential(nn.Linear(4, 8), layer(), nn.Linear(8, 2))
    model = paddle.Model(network)
    model.prepare(paddle.optimizer.SGD(0.1, parameters=network.parameters()), nn.CrossEntropyLoss())
    rows = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
    data = [(row, np.int64([row.sum() > 0])) for row in rows]
    model.fit(data, epochs=2, batch_size=8, verbose=0)
    model.evaluate(data, batch_size=8, verbose=0)


def summary(layer):
    counts = paddle.summary(nn.Sequential(nn.Linear(4, 8), layer()), (1, 4))
    assert counts["total_params"] == 40


def copies(layer):
    module = layer(0.1, 0.2)
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert (twin._lower, twin._upper) == (0.1, 0.2)
        assert not twin.state_dict()


def amp(layer):
    model = nn.Sequential(nn.Linear(8, 8), layer(), nn.Linear(8, 1))
    with paddle.amp.auto_cast(level="O1"):
        model(sample([4, 8])).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


def retained(layer):
    """`retain_grads` and `no_grad`."""
    x = leaf(np.float32([-1, 2]), "float32")
    y = layer(0.5, 0.5)(x * 1)
    y.retain_grads()
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2, 2]
    with paddle.no_grad():
        assert layer()(x).stop_gradient


def second_backward(layer):
    from paddle.distributed.fleet.utils import recompute

    x, module = sample(), layer()
    loss = recompute(lambda h: paddle.tanh(module(h)), x, use_reentrant=False).sum()
    loss.backward(retain_graph=True)
    first = x.grad.numpy()
    x.clear_grad()
    loss.backward()
    assert np.array_equal(first, x.grad.numpy())


def jacobians(layer):
    x, module = leaf(np.float32([-1, 2, -3]), "float32"), layer(0.5, 0.5)
    assert paddle.autograd.jacobian(module(x * x - 2), x)[:].tolist() == [
        [-1, 0, 0], [0, 4, 0], [0, 0, -6]
    ]  # fmt: skip
    hessian = paddle.autograd.hessian((module(x) ** 3).sum(), x)[:]
    assert hessian.tolist() == [[-0.75, 0, 0], [0, 12, 0], [0, 0, -2.25]]


def layer_hooks(layer):
    module = layer(0.5, 0.5)
    module.register_forward_post_hook(lambda _, __, y: y * 2)
    assert module(paddle.to_tensor([-1.0])).item() == -1


def torch_proxy(layer):
    paddle.enable_compat()
    train(layer(), sample())


_PARALLEL = """
import sys
sys.path.insert(0, sys.argv[1])
import paddle, paddle.distributed as dist, importlib
dist.init_parallel_env()
layer = getattr(importlib.import_module(sys.argv[2]), "RReLU")
model = paddle.DataParallel(paddle.nn.Sequential(paddle.nn.Linear(4, 8), layer(), paddle.nn.Linear(8, 1)))
model(paddle.randn([4, 4])).sum().backward()
assert all(p.grad is not None for p in model.parameters())
"""


def data_parallel(layer):
    root = pathlib.Path(__file__).parents[2]
    module = "paddle.nn" if layer is nn.RReLU else "rrelu_compat.paddle"
    with tempfile.TemporaryDirectory() as folder:
        script = pathlib.Path(folder, "worker.py")
        script.write_text(_PARALLEL)
        command = [
            sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2",
            "--backend", "gloo", "--log_dir", folder, str(script), str(root), module,
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=200)


FEATURES = {
    "training, float16": dtype("float16"),
    "training, bfloat16": dtype("bfloat16"),
    "training, float32": dtype("float32"),
    "training, float64": dtype("float64"),
    "float64 bounds": float64_bounds,
    "gradient 1 at zero": gradient_at_zero,
    "bounds of any sign and numeric type": any_bounds,
    "bounds checked when given": bounds_checked_when_given,
    "in place": in_place,
    "double grad": double_grad,
    "`jacobian`, `hessian`": jacobians,
    "hooks, two backwards over one graph": hooks,
    "hooks of layers": layer_hooks,
    "`retain_grads`, `no_grad`": retained,
    "`recompute`, reentrant": recomputation(True),
    "`recompute`, not reentrant": recomputation(False),
    "`recompute`, not reentrant, two backwards": second_backward,
    **graphs.FEATURES,
    "`paddle.Model.fit`": high_level,
    "`paddle.summary`": summary,
    "copy, pickle, empty `state_dict`": copies,
    "`amp.auto_cast`": amp,
    "`paddle.DataParallel`, two processes": data_parallel,
    "works after `paddle.enable_compat()`": torch_proxy,
}
