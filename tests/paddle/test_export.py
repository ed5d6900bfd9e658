"""Saving and exporting: ``jit.save``, ``paddle.inference``, ONNX. What is saved is evaluation."""

from __future__ import annotations

import sys

import numpy as np
import paddle
import pytest
from paddle.static import InputSpec

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU, rrelu

exports_onnx = pytest.mark.skipif(
    sys.version_info >= (3, 13), reason="paddle2onnx has no release for Python 3.13"
)
ARRAY = np.random.default_rng(0).standard_normal((5, 4)).astype("float32")


def network(layer=None):
    paddle.seed(1)
    return paddle.nn.Sequential(
        paddle.nn.Linear(4, 8), layer or RReLU(0.1, 0.5), paddle.nn.Linear(8, 3)
    )


def operations(program):
    return [op.name() for op in program.global_block().ops]


def save(net, path):
    paddle.jit.save(net, str(path), input_spec=[InputSpec([None, 4], "float32", "x")])


@pytest.mark.parametrize("training", [True, False])
def test_saved_model_evaluates(tmp_path, training):
    net = network()
    x = paddle.to_tensor(ARRAY)
    net.eval()
    expected = net(x).numpy()
    if training:
        net.train()
    save(net, tmp_path / "model")
    assert net.training == training
    loaded = paddle.jit.load(str(tmp_path / "model"))
    loaded.eval()
    assert np.array_equal(loaded(x).numpy(), expected)
    names = operations(loaded.program())
    assert names.count("pd_op.leaky_relu") == 1
    assert not any("py_op" in name for name in names)


def test_saving_draws_nothing(tmp_path):
    generator = Generator(3)
    net = network(RReLU(generator=generator))
    default = paddle.base.core.default_cpu_generator()
    following = paddle.seed(5).random()
    paddle.seed(5)
    save(net, tmp_path / "model")
    assert generator.call == 0
    assert default.random() == following


@pytest.mark.parametrize(
    ("bounds", "operation"), [((0.1, 0.5), True), ((-0.5, 0.5), False), ((0.0, 0.0), False)]
)
def test_other_slopes_are_saved_right(tmp_path, bounds, operation):
    net = network(RReLU(*bounds))
    save(net, tmp_path / "model")
    net.eval()
    loaded = paddle.jit.load(str(tmp_path / "model"))
    assert ("pd_op.leaky_relu" in operations(loaded.program())) == operation
    x = paddle.to_tensor(ARRAY)
    assert np.array_equal(loaded(x).numpy(), net(x).numpy())


def test_functional_is_saved_as_evaluation(tmp_path):
    class Net(paddle.nn.Layer):
        def forward(self, x):
            return rrelu_compat.rrelu(rrelu(x, 0.25, 0.75), 0.5, 0.5, training=True)

    save(Net(), tmp_path / "model")
    y = paddle.jit.load(str(tmp_path / "model"))(paddle.to_tensor(ARRAY)).numpy()
    assert np.array_equal(y, np.where(ARRAY >= 0, ARRAY, ARRAY / 4))


def test_traced_evaluation_can_be_saved(tmp_path):
    net = network()
    net = paddle.jit.to_static(net, full_graph=True, input_spec=[InputSpec([None, 4], "float32")])
    net.eval()
    x = paddle.to_tensor(ARRAY)
    expected = net(x).numpy()
    paddle.jit.save(net, str(tmp_path / "model"))
    assert np.array_equal(paddle.jit.load(str(tmp_path / "model"))(x).numpy(), expected)


def test_model_that_was_trained_statically_is_saved_as_evaluation(tmp_path):
    spec = [InputSpec([None, 4], "float32", "x")]
    net = paddle.jit.to_static(network(), full_graph=True, input_spec=spec)
    x = paddle.to_tensor(ARRAY)
    assert not np.array_equal(net(x).numpy(), net(x).numpy())
    paddle.jit.save(net, str(tmp_path / "model"))
    net.eval()
    loaded = paddle.jit.load(str(tmp_path / "model"))
    assert np.array_equal(loaded(x).numpy(), net(x).numpy())


def test_program_asked_for_in_training_mode_is_not_saved_silently(tmp_path):
    spec = [InputSpec([None, 4], "float32", "x")]
    net = paddle.jit.to_static(network(), full_graph=True, input_spec=spec)
    assert net.forward.concrete_program  # Paddle saves this one, not a new one
    with pytest.raises(ValueError, match="Unknown Attr"):
        paddle.jit.save(net, str(tmp_path / "model"))
    net.eval()
    paddle.jit.save(net, str(tmp_path / "model"))
    x = paddle.to_tensor(ARRAY)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    assert np.array_equal(loaded(x).numpy(), net(x).numpy())


def test_high_level_save(tmp_path):
    model = paddle.Model(network(), [InputSpec([None, 4], "float32", "x")])
    model.prepare()
    model.save(str(tmp_path / "model"), training=False)
    model.network.eval()
    x = paddle.to_tensor(ARRAY)
    loaded = paddle.jit.load(str(tmp_path / "model"))
    assert np.array_equal(loaded(x).numpy(), model.network(x).numpy())
    assert "pd_op.leaky_relu" in operations(loaded.program())


def test_save_inference_model(tmp_path):
    paddle.enable_static()
    try:
        main, startup = paddle.static.Program(), paddle.static.Program()
        with paddle.static.program_guard(main, startup):
            x = paddle.static.data("x", [None, 4], "float32")
            y = rrelu(x, 0.25, 0.75, training=False)
        executor = paddle.static.Executor()
        executor.run(startup)
        paddle.static.save_inference_model(str(tmp_path / "m"), [x], [y], executor, program=main)
        program, _, fetch = paddle.static.load_inference_model(str(tmp_path / "m"), executor)
        (y,) = executor.run(program, feed={"x": ARRAY}, fetch_list=fetch)
    finally:
        paddle.disable_static()
    assert np.array_equal(y, np.where(ARRAY >= 0, ARRAY, ARRAY / 2))
    assert "pd_op.leaky_relu" in operations(program)


def test_predictor(tmp_path, run_python):
    """In a process of its own: a predictor aborts a process in which a Python operation was built."""
    net = network()
    save(net, tmp_path / "model")
    net.eval()
    np.save(tmp_path / "x.npy", ARRAY)
    np.save(tmp_path / "expected.npy", net(paddle.to_tensor(ARRAY)).numpy())
    out = run_python(f"""
import numpy as np
from paddle import inference
config = inference.Config({str(tmp_path / "model.json")!r}, {str(tmp_path / "model.pdiparams")!r})
predictor = inference.create_predictor(config)
handle = predictor.get_input_handle(predictor.get_input_names()[0])
handle.copy_from_cpu(np.load({str(tmp_path / "x.npy")!r}))
predictor.run()
y = predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu()
expected = np.load({str(tmp_path / "expected.npy")!r})
assert np.abs(expected).max() > 0.1
np.testing.assert_allclose(y, expected, rtol=0, atol=1e-6)
print("equal")
""")
    assert out.strip().endswith("equal")


@exports_onnx
@pytest.mark.parametrize(
    ("training", "dtype"),
    [
        (True, "float32"),
        pytest.param(False, "float32", marks=pytest.mark.slow),
        pytest.param(False, "float64", marks=pytest.mark.slow),
    ],
)
def test_onnx(tmp_path, run_python, training, dtype):
    out = run_python(f"""
import numpy as np, paddle, onnx, onnxruntime
from paddle.static import InputSpec
from rrelu_compat.paddle import RReLU
paddle.seed(1)
net = paddle.nn.Sequential(RReLU(0.1, 0.5), paddle.nn.Flatten(), RReLU(-0.5, 0.25))
net.{"train" if training else "eval"}()
paddle.onnx.export(
    net, {str(tmp_path / "model")!r}, input_spec=[InputSpec([None, 3, 4], {dtype!r}, "x")]
)
model = onnx.load({str(tmp_path / "model.onnx")!r})
names = [node.op_type for node in model.graph.node]
assert "LeakyRelu" not in names
x = np.random.default_rng(0).standard_normal((5, 3, 4)).astype({dtype!r})
session = onnxruntime.InferenceSession({str(tmp_path / "model.onnx")!r})
(y,) = session.run(None, {{session.get_inputs()[0].name: x}})
net.eval()
expected = net(paddle.to_tensor(x)).numpy()
assert y.dtype == expected.dtype
np.testing.assert_allclose(y, expected, rtol=1e-6)
print("PRelu" if "PRelu" in names else "Where")
""")
    assert out.strip().endswith("PRelu" if dtype == "float32" else "Where")


@exports_onnx
@pytest.mark.slow
def test_native_layers_leave_onnx_wrong(tmp_path, run_python):
    """Why PRelu: Paddle2ONNX writes a wrong slope for Paddle 3.3's own LeakyReLU."""
    out = run_python(f"""
import numpy as np, paddle, onnxruntime
from paddle.static import InputSpec
net = paddle.nn.LeakyReLU(0.3)
paddle.onnx.export(
    net, {str(tmp_path / "model")!r}, input_spec=[InputSpec([None, 4], "float32", "x")]
)
session = onnxruntime.InferenceSession({str(tmp_path / "model.onnx")!r})
(y,) = session.run(None, {{session.get_inputs()[0].name: -np.ones((1, 4), "float32")}})
print("right" if np.allclose(y, -0.3) else "wrong")
""")
    assert out.strip().endswith("wrong")
