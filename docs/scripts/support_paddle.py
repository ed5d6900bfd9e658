"""The Paddle features of the support table: each takes the layer class and raises where it fails."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile

import numpy as np
import paddle
from paddle import nn

SHAPE = [4, 3, 5, 5]
MEAN = (1 / 8 + 1 / 3) / 2


def sample(shape=SHAPE, dtype="float32", requires_grad=True):
    """Return a tensor with both signs and zeros."""
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    x.reshape(-1)[::7] = 0
    return (
        paddle.to_tensor(x).astype(dtype).detach().clone() if not requires_grad else leaf(x, dtype)
    )


def leaf(x, dtype):
    """Return a leaf that requires a gradient."""
    tensor = paddle.to_tensor(x).astype(dtype).detach().clone()
    tensor.stop_gradient = False
    return tensor


def numbers(tensor):
    """Return a tensor as a float64 array."""
    return tensor.astype("float32").numpy().astype(np.float64)


def leaky(x):
    """Return what evaluation gives."""
    x = numbers(x)
    return np.where(x >= 0, x, MEAN * x)


def assert_is_rrelu(x, y, grad=None):
    """Check result and gradient (of the sum) of a training call: slopes in bounds, the same in both."""
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    tolerance = 2.0**-6 if x.dtype in (paddle.float16, paddle.bfloat16) else 1e-5
    x, y = numbers(x.detach()), numbers(y.detach())
    negative = x < 0
    assert (y[~negative] == x[~negative]).all()
    slopes = y[negative] / x[negative]
    assert slopes.min() >= 1 / 8 - tolerance
    assert slopes.max() <= 1 / 3 + tolerance
    assert slopes.std() > 0.01
    if grad is not None:
        grad = numbers(grad)
        assert np.allclose(grad[negative], slopes, atol=tolerance)
        assert (grad[x > 0] == 1).all()


def train(layer, x):
    """Run forward and backward and check them."""
    y = layer(x)
    y.sum().backward()
    assert_is_rrelu(x, y, x.grad)


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


def to_static(full_graph):
    def feature(layer):
        module = paddle.jit.to_static(layer(), full_graph=full_graph)
        train(module, sample())
        x = sample()
        assert not paddle.equal_all(module(x), module(x)).item()
        module.eval()
        assert np.allclose(numbers(module(x)), leaky(x))

    return feature


def static_equals_dynamic(layer):
    import rrelu_compat

    outputs = []
    for function in (layer(), paddle.jit.to_static(layer(), full_graph=True)):
        rrelu_compat.manual_seed(3)
        paddle.seed(3)
        outputs.append(numbers(function(sample())))
    assert np.array_equal(*outputs)


def program(layer):
    paddle.enable_static()
    main, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(main, startup):
        x = paddle.static.data("x", SHAPE, "float32")
        y = layer()(x)
    executor = paddle.static.Executor(paddle.CPUPlace())
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
    (first,), (second,) = (executor.run(main, feed={"x": values}, fetch_list=[y]) for _ in range(2))
    assert_is_rrelu_arrays(values, first)
    assert not np.array_equal(first, second)


def assert_is_rrelu_arrays(x, y):
    """Check the result of a training call."""
    negative = x < 0
    slopes = y[negative] / x[negative]
    assert (y[~negative] == x[~negative]).all()
    assert slopes.min() >= 1 / 8 - 1e-5
    assert slopes.max() <= 1 / 3 + 1e-5


def save_and_load(training):
    def feature(layer):
        module = nn.Sequential(layer())
        module.train() if training else module.eval()
        spec = [paddle.static.InputSpec(SHAPE, "float32")]
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model")
            paddle.jit.save(module, path, input_spec=spec)
            x = sample(requires_grad=False)
            assert np.allclose(numbers(paddle.jit.load(path)(x)), leaky(x))

    return feature


# A predictor wants a process in which nothing else was done.
_PREDICT = """
import sys, numpy, paddle.inference as inference
prefix, x = sys.argv[1], numpy.load(sys.argv[2])
config = inference.Config(prefix + ".json", prefix + ".pdiparams")
predictor = inference.create_predictor(config)
predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(x)
predictor.run()
y = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
numpy.save(sys.argv[3], y)
"""


def predictor(layer):
    module = nn.Sequential(layer())
    module.eval()
    x = sample(requires_grad=False)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        spec = [paddle.static.InputSpec(SHAPE, "float32")]
        paddle.jit.save(module, str(folder / "model"), input_spec=spec)
        np.save(folder / "x.npy", x.numpy())
        command = [
            sys.executable,
            "-c",
            _PREDICT,
            folder / "model",
            folder / "x.npy",
            folder / "y.npy",
        ]
        subprocess.run(list(map(str, command)), check=True)
        assert np.allclose(np.load(folder / "y.npy"), leaky(x), atol=1e-6)


def onnx(layer):
    import onnxruntime

    module = nn.Sequential(layer())
    module.eval()
    x = sample(requires_grad=False)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        paddle.onnx.export(module, path, input_spec=[paddle.static.InputSpec(SHAPE, "float32")])
        session = onnxruntime.InferenceSession(path + ".onnx", providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert np.allclose(y, leaky(x), atol=1e-6)


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
    "hooks, two backwards over one graph": hooks,
    "`recompute`, reentrant": recomputation(True),
    "`recompute`, not reentrant": recomputation(False),
    "`to_static`, full graph, training and evaluation": to_static(True),
    "`to_static`, SOT, training and evaluation": to_static(False),
    "static slopes equal the dynamic graph's, bit for bit": static_equals_dynamic,
    "`paddle.static.Program`, training": program,
    "`jit.save` and `jit.load` in evaluation": save_and_load(False),
    "`jit.save` of a model in training mode saves evaluation": save_and_load(True),
    "`paddle.inference` predictor": predictor,
    "`paddle.onnx.export`, run in onnxruntime": onnx,
    "`paddle.Model.fit`": high_level,
    "`paddle.summary`": summary,
    "copy, pickle, empty `state_dict`": copies,
    "`amp.auto_cast`": amp,
    "`paddle.DataParallel`, two processes": data_parallel,
}
