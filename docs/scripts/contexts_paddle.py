"""Every way to call RReLU in every context of Paddle: rows for the table, each made by a run.

``rows(cells)`` runs cells, each in a process of its own, so that each is the first use there. A cell is
"right", "refused" (an error, where Paddle's own fails too) or "wrong".
"""

from __future__ import annotations

import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

CONTEXTS = (
    "dynamic", "to_static, full graph", "to_static, SOT", "static.Program", "jit.save", "inference", "ONNX",
    "recompute", "AMP", "double grad",
)  # fmt: skip
WAYS = (
    "layer", "drop-in function", "in-place function", "neutral function", "neutral layer", "spec.apply",
)  # fmt: skip
MODES = ("train", "eval")
USES = ("first", "second value")
CELLS = tuple(itertools.product(CONTEXTS, WAYS, MODES))
_SAVED = ("jit.save", "inference", "ONNX")


def _way(name: str, native: bool, training: bool, bounds: tuple[float, float]) -> Any:
    import paddle

    if native:
        if "layer" in name:
            layer = paddle.nn.RReLU(*bounds)
            layer.training = training
            return layer
        return lambda x: paddle.nn.functional.rrelu(x, *bounds, training=training)
    import rrelu_compat
    import rrelu_compat.paddle as drop_in

    generator = rrelu_compat.Generator(1)
    if name == "neutral function":
        return lambda x: rrelu_compat.rrelu(x, *bounds, training=training, generator=generator)
    if name == "drop-in function":
        return lambda x: drop_in.rrelu(x, *bounds, training, generator=generator)
    if name == "in-place function":
        return lambda x: drop_in.rrelu_(x * 1, *bounds, training, generator=generator)
    if name == "spec.apply":
        spec = rrelu_compat.RReLUSpec(*bounds)
        return lambda x: spec.apply(x, training=training, generator=generator)
    make = drop_in.RReLU if name == "layer" else rrelu_compat.RReLU
    layer = make(*bounds, generator=generator)
    layer.train() if training else layer.eval()
    return layer


def _saved(context: str, network: Any, x: Any) -> Any:
    import numpy as np
    import paddle

    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder, "model"))
        spec = [paddle.static.InputSpec([None, *x.shape[1:]], "float32")]
        if context == "ONNX":
            import onnxruntime

            paddle.onnx.export(network, path, input_spec=spec, opset_version=13)
            session = onnxruntime.InferenceSession(path + ".onnx")
            return session.run(None, {session.get_inputs()[0].name: x.numpy()})[0]
        paddle.jit.save(network, path, spec)
        if context == "jit.save":
            return paddle.jit.load(path)(x).numpy()
        config = paddle.inference.Config(path + ".json", path + ".pdiparams")
        predictor = paddle.inference.create_predictor(config)
        predictor.get_input_handle(predictor.get_input_names()[0]).copy_from_cpu(x.numpy())
        predictor.run()
        return np.array(predictor.get_output_handle(predictor.get_output_names()[0]).copy_to_cpu())


def _run(context: str, way: Any, x: Any) -> tuple[Any, Any]:
    """Return the result and, where there is one, the gradient of its sum."""
    import paddle

    class Network(paddle.nn.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.way = way
            self.training = getattr(way, "training", True)

        def forward(self, h: Any) -> Any:
            return self.way(h)

    if context in _SAVED:
        return _saved(context, Network(), x.detach()), None
    if context == "static.Program":
        paddle.enable_static()
        main = paddle.static.Program()
        with paddle.static.program_guard(main):
            data = paddle.static.data("x", x.shape, "float32")
            data.stop_gradient = False
            y = way(data)
            (g,) = paddle.static.gradients([y], [data])
        found = paddle.static.Executor().run(main, feed={"x": x.numpy()}, fetch_list=[y, g])
        paddle.disable_static()
        return found[0], found[1]
    if context.startswith("to_static"):
        y = paddle.jit.to_static(Network(), full_graph="full" in context)(x)
    elif context == "recompute":
        from paddle.distributed.fleet.utils import recompute

        y = recompute(way, x)
    elif context == "AMP":
        with paddle.amp.auto_cast():
            y = way(x)
    else:
        y = way(x)
    if context == "double grad":
        (g,) = paddle.grad(y.sum(), x, create_graph=True)
        (second,) = paddle.grad((g * g).sum() + (y * 0).sum(), x, allow_unused=True)
        assert second is None or not second.numpy().any()
    else:
        y.sum().backward()
        g = x.grad
    return y.numpy(), g.numpy()


def cell(context: str, name: str, mode: str, native: bool) -> list[tuple[str, str]]:
    """Run a cell; return the verdict and a note of each use."""
    import numpy as np
    import paddle

    import rrelu_compat

    found = []
    for shape, bounds in (((3, 4), (0.1, 0.3)), ((5, 4), (0.4, 0.9))):
        training = mode == "train"
        values = np.linspace(-2, 1, 4 * shape[0], dtype=np.float32).reshape(shape)
        x = paddle.to_tensor(values, stop_gradient=False)
        try:
            y, g = _run(context, _way(name, native, training, bounds), x)
        except Exception as error:
            paddle.disable_static()
            found.append(
                ("error", f"{type(error).__name__}: {str(error).strip().splitlines()[-1][:90]}")
            )
            continue
        slopes = np.full(shape, (bounds[0] + bounds[1]) / 2, np.float32)
        if training and context not in _SAVED:
            slopes = rrelu_compat.slopes(shape, *bounds, seed=1, dtype="float32")
            if native:  # its own slopes: in the range
                slopes = np.where(values < 0, y / values, 1).astype(np.float32)
                assert ((slopes >= bounds[0] - 1e-6) & (slopes <= bounds[1] + 1e-6))[
                    values < 0
                ].all()
        slopes = np.where(values >= 0, np.float32(1), slopes)
        right = np.allclose(y, values * slopes, rtol=1e-6) and (g is None or np.allclose(g, slopes))
        found.append(("right" if right else "wrong", ""))
    return found


def _in_a_process(context: str, way: str, mode: str, native: bool) -> list[tuple[str, str]]:
    run = subprocess.run(
        [sys.executable, __file__, context, way, mode, "native" if native else "ours"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if run.returncode:
        said = run.stderr.strip().splitlines() or [""]
        return [("error", f"the process ended: {said[-1][:90]}")] * 2
    return [(verdict, note) for verdict, note in json.loads(run.stdout.splitlines()[-1])]


def rows(cells: Any = CELLS) -> list[dict[str, str]]:
    """Run cells and return their rows."""
    made = []
    natives: dict[Any, Any] = {}
    for context, way, mode in cells:
        kind = "layer" if "layer" in way else "drop-in function"
        key = context, kind, mode
        if key not in natives:
            natives[key] = _in_a_process(context, kind, mode, True)
        ours = _in_a_process(context, way, mode, False)
        for use, (verdict, note), (native, _) in zip(USES, ours, natives[key], strict=True):
            if verdict == "error":
                verdict = "refused" if native == "error" else "fails"
            made.append(
                {
                    "framework": "paddle", "context": context, "way": way, "mode": mode, "use": use,
                    "verdict": verdict, "note": note, "native": native,
                }
            )  # fmt: skip
    return made


if __name__ == "__main__":
    if len(sys.argv) == 5:
        context, way, mode, whose = sys.argv[1:]
        print("\n" + json.dumps(cell(context, way, mode, whose == "native")))
    else:
        print(json.dumps(rows(), indent=1))
