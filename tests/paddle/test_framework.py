"""At home in Paddle: ``Model.fit``, data parallel, resumption, forks and workers, the torch proxy."""

from __future__ import annotations

import numpy as np
import paddle
import pytest
from sklearn.datasets import load_digits

import rrelu_compat
from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU, rrelu


class Digits(paddle.io.Dataset):
    """Scikit-learn's digits: real data, 8 x 8 pixels."""

    def __init__(self, start, stop):
        x, y = load_digits(return_X_y=True)
        self.x = (x[start:stop] / 16).astype("float32")
        self.y = y[start:stop].astype("int64")[:, None]

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        return self.x[k], self.y[k]


def classifier(layer=RReLU):
    return paddle.nn.Sequential(
        paddle.nn.Linear(64, 48),
        layer(),
        paddle.nn.Linear(48, 48),
        layer(),
        paddle.nn.Linear(48, 10),
    )


def test_model_fit_evaluate_predict():
    paddle.seed(1)
    rrelu_compat.manual_seed(2)
    model = paddle.Model(classifier())
    model.prepare(
        paddle.optimizer.Adam(0.01, parameters=model.parameters()),
        paddle.nn.CrossEntropyLoss(),
        paddle.metric.Accuracy(),
    )
    train, test = Digits(0, 1200), Digits(1200, 1797)
    model.fit(train, epochs=3, batch_size=64, verbose=0)
    taken = rrelu_compat.generator.process_generator().call
    assert taken == 3 * 19 * 2
    result = model.evaluate(test, batch_size=200, verbose=0)
    assert result["acc"] > 0.85
    first, second = (model.predict(test, 200, stack_outputs=True, verbose=0) for _ in range(2))
    assert np.array_equal(first[0], second[0])
    assert rrelu_compat.generator.process_generator().call == taken


def train(steps, state=None):
    """A training script that can stop and go on; returns its state."""
    paddle.seed(4)
    act = RReLU(generator=Generator(9))
    first, second = paddle.nn.Linear(64, 16), paddle.nn.Linear(16, 10)
    net = paddle.nn.Sequential(first, act, second)
    optimizer = paddle.optimizer.SGD(0.1, parameters=net.parameters())
    process, begin = rrelu_compat.manual_seed(3), 0
    if state is not None:
        net.set_state_dict(state["net"])
        act.generator.load_state_dict(state["own"])
        process.load_state_dict(state["process"])
        begin = state["step"]
    data = Digits(0, 320)
    for step in range(begin, steps):
        rows = slice(32 * (step % 10), 32 * (step % 10) + 32)
        hidden = rrelu(net(paddle.to_tensor(data.x[rows])))
        loss = paddle.nn.functional.cross_entropy(hidden, paddle.to_tensor(data.y[rows]))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
    return {
        "net": net.state_dict(),
        "own": act.generator.state_dict(),
        "process": process.state_dict(),
        "step": steps,
    }


def test_resumed_training_is_the_training_that_did_not_stop(tmp_path):
    through = train(12)
    paddle.save(train(5), str(tmp_path / "checkpoint"))
    saved = paddle.load(str(tmp_path / "checkpoint"))
    assert saved["own"] == {"seed": 9, "call": 5}
    resumed = train(12, saved)
    for key, value in through["net"].items():
        assert np.array_equal(value.numpy(), resumed["net"][key].numpy())
    # It can fail: without our state the slopes differ.
    saved["own"] = {"seed": 9, "call": 0}
    other = train(12, saved)
    assert not np.array_equal(through["net"]["0.weight"].numpy(), other["net"]["0.weight"].numpy())


def test_fold_in_gives_layers_and_ranks_streams_of_their_own():
    x = paddle.full([64], -1.0)
    base = Generator(5)
    outputs = {tuple(RReLU(generator=base.fold_in(k))(x).tolist()) for k in range(4)}
    assert len(outputs) == 4
    assert tuple(RReLU(generator=Generator(5).fold_in(2))(x).tolist()) in outputs


def test_saved_random_states_repeat_the_default_stream():
    x = paddle.full([8], -1.0)
    state = paddle.get_rng_state()
    first = rrelu(x).tolist()
    paddle.set_rng_state(state)
    assert rrelu(x).tolist() == first
    assert rrelu(x).tolist() != first


def test_data_loader_workers_continue_a_copy_of_the_stream(run_python):
    """A forked worker has its own copy: every worker draws what the parent would draw next."""
    out = run_python("""
import numpy as np, paddle
from rrelu_compat import Generator
from rrelu_compat.numpy import RReLU
class Activated(paddle.io.Dataset):
    def __init__(self, generator):
        self.act = RReLU(0.1, 0.9, generator=generator)
    def __len__(self):
        return 4
    def __getitem__(self, k):
        return self.act(-np.ones(4, "float32"))
if __name__ == "__main__":
    generator = Generator(3)
    loader = paddle.io.DataLoader(Activated(generator), batch_size=1, num_workers=2)
    rows = [(batch if hasattr(batch, "numpy") else batch[0]).numpy().tolist() for batch in loader]
    assert generator.call == 0
    assert rows[0] == rows[1] and rows[2] == rows[3] and rows[0] != rows[2], rows
    print("copies")
""")
    assert out.strip().endswith("copies")


PARALLEL = """
import numpy as np, paddle, rrelu_compat, sys
import paddle.distributed as dist
from rrelu_compat.paddle import RReLU
LAYER = {layer}
def work():
    dist.init_parallel_env()
    rank = dist.get_rank()
    paddle.seed(7)
    net = paddle.nn.Sequential(paddle.nn.Linear(6, 5), LAYER(0.1, 0.9), paddle.nn.Linear(5, 2))
    model = paddle.DataParallel(net)
    rrelu_compat.manual_seed(50 + rank)
    data = np.random.default_rng(0).standard_normal((2, 8, 6)).astype("float32")
    model(paddle.to_tensor(data[rank])).square().sum().backward()
    got = [p.grad.numpy() for p in net.parameters()]
    if {check}:
        # The same by hand: mean of the gradients of both ranks' batches.
        sums = [np.zeros_like(g) for g in got]
        for k in range(2):
            net.clear_gradients()
            rrelu_compat.manual_seed(50 + k)
            net(paddle.to_tensor(data[k])).square().sum().backward()
            for total, p in zip(sums, net.parameters()):
                total += p.grad.numpy() / 2
        for a, b in zip(got, sums):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    open(f"rank{{rank}}", "w").write("done")
if __name__ == "__main__":
    dist.spawn(work, nprocs=2, backend="gloo")
    print(open("rank0").read(), open("rank1").read())
"""


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["RReLU", "paddle.nn.RReLU"])
def test_data_parallel_in_two_processes(run_python, layer):
    out = run_python(PARALLEL.format(layer=layer, check=layer == "RReLU"))
    assert out.strip().endswith("done done")


@pytest.mark.skipif(not hasattr(paddle, "enable_compat"), reason="comes with Paddle 3.3")
@pytest.mark.parametrize("order", ["before", "after"])
def test_torch_proxy(run_python, order):
    """``paddle.enable_compat()``: the Paddle drop-in works, the torch one says what is the matter."""
    lines = ["import paddle", "paddle.enable_compat()", "import rrelu_compat, rrelu_compat.paddle"]
    if order == "after":
        lines = [lines[0], lines[2], lines[1]]
    out = run_python(
        "\n".join(lines)
        + """
x = paddle.to_tensor([-1.0, 2.0], stop_gradient=False)
y = rrelu_compat.rrelu(x, 0.5, 0.5, training=True)
y.sum().backward()
assert y.tolist() == [-0.5, 2.0] and x.grad.tolist() == [0.5, 1.0]
assert type(rrelu_compat.RReLU()) is rrelu_compat.paddle.RReLU
import torch
assert rrelu_compat.rrelu(torch.ones([2]) * -1, 0.5, 0.5, training=False).tolist() == [-0.5, -0.5]
try:
    import rrelu_compat.torch
except RuntimeError as error:
    print(error)
"""
    )
    assert "paddle.enable_compat() is active" in out
