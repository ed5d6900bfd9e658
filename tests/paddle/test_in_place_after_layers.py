"""In place after every layer of Paddle: refused in the forward where Paddle would raise in backward."""

from __future__ import annotations

import inspect

import numpy as np
import paddle
import pytest
from paddle.nn import functional

from rrelu_compat import Generator
from rrelu_compat.paddle import RReLU, rrelu_

nn = paddle.nn
SHAPES = ([2, 4, 6], [2, 4, 6, 6], [2, 4, 6, 6, 6], [4, 4], [4])
# What the constructors are tried with.
ARGUMENTS = (
    (), (4,), (2, 4), (4, 4), (4, 4, 3), (4, 4, 1), (2,), (1, 1), (6,), ([6, 6],), (4, 2), (2, 2), (1, 4, 8),
    ([6],), ([2, 2], [3, 3]), (1, [2, 2]), (3, 4), (6, 4), (6, 2), ([4, 4],), (6, 2, 8), ([3, 4], [2, 2]),
)  # fmt: skip
# No layer of one tensor: containers, bases, several inputs of other kinds, or for GPUs alone.
NOT_RUN = {
    "AdaptiveLogSoftmaxWithLoss", "Bilinear", "BiRNN", "CTCLoss", "Embedding", "HSigmoidLoss", "Layer",
    "LayerDict", "LayerList", "MaxUnPool1D", "MaxUnPool2D", "MaxUnPool3D", "MaxUnpool1d", "MaxUnpool2d",
    "MaxUnpool3d", "Module", "ModuleDict", "ModuleList", "MultiLabelMarginLoss", "MultiMarginLoss",
    "NLLLoss", "ParameterDict", "ParameterList", "RNN", "RNNCellBase", "RNNTLoss", "SyncBatchNorm",
    "Transformer", "TransformerDecoder", "TransformerDecoderLayer", "TransformerEncoder", "Upsample",
    "CrossEntropyLoss", "Sequential",
}  # fmt: skip


def fresh(shape):
    x = paddle.linspace(0.3, 0.7, int(np.prod(shape))).reshape(shape)
    x.stop_gradient = False
    return x * 1.0


def first(y):
    return y if isinstance(y, paddle.Tensor) else first(y[0])


def recorded(y):
    return not y.stop_gradient and not y.is_leaf and y.dtype == paddle.float32


def paddle_raises(y):
    """Whether Paddle's backward misses what its own in-place function wrote over."""
    y.scale_(1.5)
    try:
        y.sum().backward()
    except RuntimeError as error:
        said = str(error)
    else:
        return False
    assert "modified by an inplace operation" in said
    return True


def refused(y):
    before, drawn = y.numpy(), Generator(1)
    try:
        rrelu_(y, generator=drawn)
    except ValueError as error:
        said = str(error)
    else:
        return False
    assert "inplace=False" in said
    assert np.array_equal(y.numpy(), before, equal_nan=True)
    assert drawn.call == 0
    return True


def judge(run):
    """Return (Paddle raises in backward, ours in the forward) of an output; None if it has no gradient."""
    y = first(run())
    if not recorded(y):
        return None
    return paddle_raises(y), refused(first(run()))


def judged(function):
    """Return the verdicts over inputs of several shapes; those it can't take are passed over."""
    found = []
    for shape in SHAPES:
        for count in (1, 2, 3):
            try:
                y = first(function(*(fresh(shape) for _ in range(count))))
            except Exception:  # takes other inputs
                continue
            if isinstance(y, paddle.Tensor) and recorded(y):
                verdict = judge(lambda s=shape, n=count: function(*(fresh(s) for _ in range(n))))
                found.append((shape, verdict))
    return found


LAYERS = sorted(
    name
    for name, found in vars(nn).items()
    if inspect.isclass(found) and issubclass(found, nn.Layer) and name not in NOT_RUN
)


def made(name):
    for arguments in ARGUMENTS:
        try:
            yield getattr(nn, name)(*arguments)
        except Exception:  # takes other arguments
            continue


@pytest.mark.parametrize("name", LAYERS)
def test_in_place_after_a_layer(name):
    found = [verdict for layer in made(name) for verdict in judged(layer)]
    assert found, "the layer was not run: give its arguments, or name it in NOT_RUN"
    assert [v for v in found if v[1][0] != v[1][1]] == []


FUNCTIONS = {
    name: found
    for name, found in vars(functional).items()
    if inspect.isfunction(found) and not name.startswith("_") and not name.endswith("_")
} | {
    name: getattr(paddle, name, getattr(functional, name, None))
    for name in (
    "abs", "acos", "add", "amax", "amin", "asin", "atan", "ceil", "clip", "cos", "cosh", "cummax",
    "cummin", "cumprod", "cumsum", "digamma", "dist", "divide", "erf", "erfinv", "exp", "expm1",
    "floor", "fmax", "fmin", "i0", "i0e", "i1", "i1e", "inverse", "kron", "lerp", "lgamma", "log",
    "log10", "log1p", "log2", "logcumsumexp", "logit", "logsumexp", "matmul", "max", "maximum", "mean",
    "median", "min", "minimum", "mm", "multiply", "nanmedian", "neg", "norm", "pow", "prod",
    "reciprocal", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "square", "stack", "std",
    "subtract", "sum", "tanh", "tril", "triu", "trunc", "var", "where",
    )
}  # fmt: skip


def test_in_place_after_functions():
    found = {name: judged(function) for name, function in FUNCTIONS.items()}
    if tuple(map(int, paddle.__version__.split(".")[:2])) < (3, 2):
        found.pop("nanmedian")  # kept nothing there
    wrong = {name: [v for v in f if v[1][0] != v[1][1]] for name, f in found.items()}
    assert {name: verdicts for name, verdicts in wrong.items() if verdicts} == {}
    assert sum(map(bool, found.values())) >= 110  # the others take inputs of other kinds


VIEWS = {
    "flatten": paddle.flatten,
    "reshape": lambda y: y.reshape([-1]),
    "transpose": lambda y: y.transpose([1, 0, 2]),
    "part": lambda y: y[0],
    "two views": lambda y: y[0].t(),
    "squeeze": lambda y: y[:1].squeeze(0),
    "unsqueeze": lambda y: y.unsqueeze(0),
    "view": lambda y: y.view([8, 6]),
    "diagonal": paddle.diagonal,
    "copied": lambda y: y.transpose([1, 0, 2]).reshape([-1]),
    "assign": paddle.assign,
    "ours": RReLU(),
    "ours twice": lambda y: RReLU()(RReLU()(y)),
    "ours, half a view": lambda y: RReLU()(y).transpose([1, 0, 2]),
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("operation", ["tanh", "abs"])
def test_in_place_on_a_view_of_a_result(operation, view, large):
    shape = [2, 4, 1000 if large else 6]
    reshaped = VIEWS[view] if view != "view" else lambda y: y.view([8, -1])
    raised, ours = judge(lambda: reshaped(getattr(paddle, operation)(fresh(shape))))
    assert raised is ours


def test_the_error_names_the_operation():
    y = nn.GroupNorm(2, 4)(fresh([2, 4, 6]))
    with pytest.raises(ValueError, match=r"output of GroupNorm.*inplace=False"):
        RReLU(inplace=True)(y)
    with paddle.no_grad():
        RReLU(inplace=True)(y)
