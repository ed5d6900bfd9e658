"""The Paddle features of the support table that make graphs: static programs, saving, exporting."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import paddle
from paddle import nn
from support_paddle_checks import MEAN, SHAPE, leaky, numbers, sample, train


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


def blocks(layer):
    """Branches that run in any order, and ``if``: the slopes of the dynamic graph."""
    import rrelu_compat

    act = layer()

    def network(x):
        parts = [act(x * (k - 3.5)) for k in range(8)]
        y = sum(parts)
        if paddle.mean(y) > -1000:
            y = act(y - 1)
        return act(y)

    static = paddle.jit.to_static(network, full_graph=True)
    for _ in range(10):
        outputs = []
        for function in (network, static):
            rrelu_compat.manual_seed(3)
            paddle.seed(3)
            outputs.append(numbers(function(sample())))
        assert np.array_equal(*outputs)


def while_loop(layer):
    import rrelu_compat

    act = layer()

    def network(x):
        k, y = paddle.to_tensor(0), x * 2
        while k < 3:
            y = act(y - 0.5)
            k += 1
        return y

    outputs = []
    for function in (network, paddle.jit.to_static(network, full_graph=True)):
        rrelu_compat.manual_seed(3)
        paddle.seed(3)
        outputs.append(numbers(function(sample(requires_grad=False))))
    assert np.array_equal(*outputs)


def program_training_step(layer):
    paddle.enable_static()
    main, startup = paddle.static.Program(), paddle.static.Program()
    with paddle.static.program_guard(main, startup):
        x = paddle.static.data("x", [None, 4], "float32")
        hidden = layer()(nn.Linear(4, 8)(x))
        loss = (nn.Linear(8, 1)(hidden) - x.sum(1, keepdim=True)).square().mean()
        paddle.optimizer.Adam(0.05).minimize(loss)
    executor = paddle.static.Executor()
    executor.run(startup)
    feed = {"x": np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)}
    losses = [executor.run(main, feed=feed, fetch_list=[loss])[0].item() for _ in range(60)]
    assert losses[-1] < losses[0] / 4


def test_form(inside):
    """`clone()` and `set_is_test_attr()`, of a layer at the top level or in a branch."""

    def feature(layer):
        paddle.enable_static()
        main = paddle.static.Program()
        with paddle.static.program_guard(main):
            x = paddle.static.data("x", SHAPE, "float32")
            act = layer()
            cond = paddle.static.nn.cond
            y = cond(paddle.mean(x) > -1000, lambda: act(x), lambda: x) if inside else act(x)
            paddle.scale(y, 1.0)
        test = main.clone()
        test.set_is_test_attr()
        values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32)
        last = test.global_block().ops[-1].result(0)
        (got,) = paddle.static.Executor().run(test, feed={"x": values}, fetch_list=[last])
        assert np.allclose(got, np.where(values >= 0, values, MEAN * values))

    return feature


FEATURES = {
    "`to_static`, full graph, training and evaluation": to_static(True),
    "`to_static`, SOT, training and evaluation": to_static(False),
    "static slopes equal the dynamic graph's, bit for bit": static_equals_dynamic,
    "static slopes equal the dynamic graph's, with branches": blocks,
    "static slopes equal the dynamic graph's, with `while`": while_loop,
    "`paddle.static.Program`, training": program,
    "`paddle.static.Program`, optimizer": program_training_step,
    "`Program.clone()` and `set_is_test_attr()`": test_form(False),
    "`Program.clone()` and `set_is_test_attr()`, inside `cond`": test_form(True),
    "`jit.save` and `jit.load` in evaluation": save_and_load(False),
    "`jit.save` of a model in training mode saves evaluation": save_and_load(True),
    "`paddle.inference` predictor": predictor,
    "`paddle.onnx.export`, run in onnxruntime": onnx,
}
