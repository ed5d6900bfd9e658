"""`compare` on layers that one framework makes of others, on a model's own tensors, in half precision."""

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import compare

random = np.random.default_rng(0)
ROWS = random.normal(size=(7, 4))


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_layers_without_sublayers_in_one_framework_only(kind, both):
    # Paddle's recurrent layers are made of others.
    def make(kit):
        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                order = {"batch_first": True} if kit.name == "torch" else {}
                self.memory = getattr(kit, kind)(3, 4, **order)
                self.act = kit.RReLU()

            def forward(self, x):
                return self.act(self.memory(x)[0][:, -1])

        return Net()

    ours, theirs = both(make, copy=False)
    for name, parameter in ours.memory.named_parameters():
        getattr(theirs.memory, name).set_value(parameter.detach().numpy())
    result = compare(ours, theirs, random.normal(size=(3, 5, 3)), seed=3, steps=3)
    result.assert_close()
    seen = {(row.layer, row.quantity) for row in result.rows}
    assert {("memory", "input gradient"), ("memory", "gradient of weight_hh_l0")} <= seen
    assert result.proven
    assert result.notes == ()  # what Paddle makes it of is no layer that PyTorch's model lacks


def test_parameters_and_buffers_of_the_model_itself(both):
    def make(kit):
        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                self.linear, self.act = kit.Linear(4, 4), kit.RReLU()
                tensor = kit.all.tensor if kit.name == "torch" else kit.all.to_tensor
                self.register_buffer("count", kit.all.ones([], dtype=kit.all.int64))
                self.register_buffer("scale", tensor([1.0, 2.0, 0.5, 1.0]))

            def forward(self, x):
                self.count += 1
                return self.act(self.linear(x) * self.scale)

        return Net()

    ours, theirs = both(make, copy=False)
    theirs.linear.weight.set_value(ours.linear.weight.detach().numpy().T.copy())
    theirs.linear.bias.set_value(ours.linear.bias.detach().numpy())
    result = compare(ours, theirs, ROWS, seed=3, steps=2)
    result.assert_close()
    assert {("", "count"), ("", "scale")} <= {(row.layer, row.quantity) for row in result.rows}
    assert (int(ours.count), int(theirs.count)) == (1, 1)


def test_half_precision(both):
    # All that Paddle has in half precision on the CPU: no products of matrices.
    for dtype in ("float16", "bfloat16"):
        ours, theirs = both(lambda kit: kit.Sequential(kit.RReLU(), kit.RReLU(0.1, 0.2)), dtype)
        ours.gain = torch.nn.Parameter(torch.ones(4, dtype=getattr(torch, dtype)))
        theirs.gain = theirs.create_parameter([4], dtype=dtype)
        theirs.gain.set_value(paddle.ones([4], dtype=dtype))
        result = compare(ours, theirs, ROWS, seed=3)
        result.assert_close(allow="no gradient")  # of `gain`, which only says the dtype
        assert result.dtype == dtype
        theirs[1].upper = 0.9
        first = compare(ours, theirs, -np.abs(ROWS), seed=3).first
        assert first is not None
        assert first.layer == "1"
