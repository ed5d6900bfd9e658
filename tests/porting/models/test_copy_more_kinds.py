"""`copy_weights`: recurrent layers, attention, Transformer layers and others, by outputs and gradients."""

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import copy_weights

T, P = torch.nn, paddle.nn
SEQUENCE, CELL, LINE = (2, 5, 4), (3, 4), (2, 4, 9)


def attend(layer, x):
    return layer(x, x, x)


def twice(layer, x):
    return layer(x, x)


# name: PyTorch's layer, Paddle's, shape of an input, how it is called
LAYERS = {
    "LSTM": (lambda: T.LSTM(4, 3, batch_first=True), lambda: P.LSTM(4, 3), SEQUENCE, None),
    "LSTM, two layers, both ways": (
        lambda: T.LSTM(4, 3, 2, batch_first=True, bidirectional=True),
        lambda: P.LSTM(4, 3, 2, direction="bidirect"),
        SEQUENCE,
        None,
    ),
    "GRU": (lambda: T.GRU(4, 3, batch_first=True), lambda: P.GRU(4, 3), SEQUENCE, None),
    "RNN": (lambda: T.RNN(4, 3, batch_first=True), lambda: P.SimpleRNN(4, 3), SEQUENCE, None),
    "LSTMCell": (lambda: T.LSTMCell(4, 3), lambda: P.LSTMCell(4, 3), CELL, None),
    "GRUCell": (lambda: T.GRUCell(4, 3), lambda: P.GRUCell(4, 3), CELL, None),
    "RNNCell": (lambda: T.RNNCell(4, 3), lambda: P.SimpleRNNCell(4, 3), CELL, None),
    "MultiheadAttention": (
        lambda: T.MultiheadAttention(4, 2, batch_first=True),
        lambda: P.MultiHeadAttention(4, 2),
        SEQUENCE,
        attend,
    ),
    "compat.MultiheadAttention": (
        lambda: T.MultiheadAttention(4, 2, batch_first=True),
        lambda: paddle.compat.nn.MultiheadAttention(4, 2, batch_first=True).to(dtype="float64"),
        SEQUENCE,
        attend,
    ),
    "TransformerEncoderLayer": (
        lambda: T.TransformerEncoderLayer(4, 2, 8, 0.0, batch_first=True),
        lambda: P.TransformerEncoderLayer(4, 2, 8, 0.0),
        SEQUENCE,
        None,
    ),
    "TransformerDecoderLayer": (
        lambda: T.TransformerDecoderLayer(4, 2, 8, 0.0, batch_first=True),
        lambda: P.TransformerDecoderLayer(4, 2, 8, 0.0),
        SEQUENCE,
        twice,
    ),
    "PReLU": (lambda: T.PReLU(4), lambda: P.PReLU(4), CELL, None),
    "Bilinear": (lambda: T.Bilinear(4, 4, 3), lambda: P.Bilinear(4, 4, 3), CELL, twice),
    "weight_norm": (
        lambda: torch.nn.utils.parametrizations.weight_norm(T.Conv1d(4, 6, 3)),
        lambda: P.utils.weight_norm(P.Conv1D(4, 6, 3)),
        LINE,
        None,
    ),
    "weight_norm of a square matrix": (
        lambda: torch.nn.utils.parametrizations.weight_norm(T.Linear(4, 4)),
        lambda: P.utils.weight_norm(P.Linear(4, 4), dim=1),
        CELL,
        None,
    ),
}


def first(output):
    while isinstance(output, (tuple, list)):
        output = output[0]
    return output


@pytest.fixture
def _double():
    """Build and run in float64: cells of Paddle make their first state in the default dtype."""
    torch.set_default_dtype(torch.float64)
    paddle.set_default_dtype("float64")
    yield
    torch.set_default_dtype(torch.float32)
    paddle.set_default_dtype("float32")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_double")
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("direction", ["to paddle", "to torch"])
def test_outputs_and_gradients_are_the_same_afterwards(name, direction):
    make_torch, make_paddle, shape, call = LAYERS[name]
    torch.manual_seed(0)
    paddle.seed(0)
    ours, theirs = make_torch(), make_paddle()
    copy_weights(*((ours, theirs) if direction == "to paddle" else (theirs, ours)))
    x = np.random.default_rng(0).normal(size=shape)
    run = call or (lambda layer, x: layer(x))
    one, other = torch.tensor(x, requires_grad=True), paddle.to_tensor(x, stop_gradient=False)
    y, z = first(run(ours, one)), first(run(theirs, other))
    np.testing.assert_allclose(y.detach().numpy(), z.numpy(), rtol=1e-7, atol=1e-9)
    (y * y * y).sum().backward()
    (z * z * z).sum().backward()
    np.testing.assert_allclose(one.grad.numpy(), other.grad.numpy(), rtol=1e-6, atol=1e-8)


def test_a_weight_norm_over_other_axes_is_refused():
    ours = torch.nn.utils.parametrizations.weight_norm(T.Linear(4, 4))
    theirs = P.utils.weight_norm(P.Linear(4, 4))
    before = theirs.weight_v.numpy().copy()
    with pytest.raises(ValueError, match="dim=1 does the same"):
        copy_weights(ours, theirs)
    assert (theirs.weight_v.numpy() == before).all()


def test_parameters_of_the_users_own():
    ours, theirs = T.Linear(3, 2), P.Linear(3, 2)
    ours.token = T.Parameter(torch.randn(1, 5))
    ours.matrix = T.Parameter(torch.randn(3, 3))
    theirs.token = theirs.create_parameter([1, 5])
    theirs.matrix = theirs.create_parameter([3, 3])
    with pytest.raises(ValueError, match="matrix is a square matrix"):
        copy_weights(ours, theirs)
    copy_weights(ours, theirs, transposed={"matrix": False})
    assert (theirs.matrix.numpy() == ours.matrix.detach().numpy()).all()
    assert (theirs.token.numpy() == ours.token.detach().numpy()).all()
    copy_weights(ours, theirs, transposed={"matrix": True})
    assert (theirs.matrix.numpy() == ours.matrix.detach().numpy().T).all()


def test_what_is_skipped_stays():
    ours, theirs = (
        T.Sequential(T.Linear(3, 3), T.Linear(3, 7)),
        P.Sequential(P.Linear(3, 3), P.Linear(3, 2)),
    )
    before = theirs[1].weight.numpy().copy()
    copy_weights(ours, theirs, skip=["1"])
    assert (theirs[0].weight.numpy() == ours[0].weight.detach().numpy().T).all()
    assert (theirs[1].weight.numpy() == before).all()
    with pytest.raises(ValueError, match="skip has '5'"):
        copy_weights(ours, theirs, skip=["5"])
