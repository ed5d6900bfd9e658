"""`compare` names the layer and a fitting cause for faults that porters make."""

import re

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import compare

random = np.random.default_rng(0)
ROWS, IMAGES = random.normal(size=(6, 4)), random.normal(size=(2, 4, 8, 8))
WORDS = np.array([0, 1, 2])


def chain(*layers):
    """Return what makes a Sequential of ``kit.NAME(*arguments, **keywords)``; (name, torch's, paddle's)."""

    def make(kit):
        made = []
        for name, *arguments in layers:
            own = arguments[kit.name == "paddle"] if len(arguments) == 2 else arguments[0]
            positional, keywords = (own[:-1], own[-1]) if isinstance(own[-1], dict) else (own, {})
            made.append(getattr(kit, name)(*positional, **keywords))
        return kit.Sequential(*made)

    return make


# What differs, the input, where the models part, and what the cause says.
SETTINGS = {
    "Softmax": (chain(("Softmax", (1,), (0,))), ROWS, "output", "dim 1 in torch, 0 in Paddle"),
    "GELU": (chain(("GELU", ("none",), (True,))), ROWS, "output", "approximate False in torch"),
    "epsilon": (chain(("LayerNorm", (4,), (4, 1e-6))), ROWS, "output", "eps 1e-05 in torch, 1e-06"),
    "groups of a norm": (chain(("GroupNorm", (2, 4), (4, 4))), IMAGES, "output", "num_groups 2"),
    "ceil_mode": (
        chain(("MaxPool2d", (3, 2, {"ceil_mode": True}), (3, 2, {}))),
        IMAGES,
        "output",
        r"ceil_mode True .*\(2, 4, 4, 4\) in PyTorch, \(2, 4, 3, 3\)",
    ),
    "count_include_pad": (
        chain(("AvgPool2d", (3, 2, 1, {}))),
        IMAGES,
        "output",
        "count_include_pad True in torch, False in Paddle",
    ),
    "align_corners": (
        chain(
            (
                "Upsample",
                ({"scale_factor": 2, "mode": "bilinear", "align_corners": True},),
                ({"scale_factor": 2, "mode": "bilinear"},),
            )
        ),
        IMAGES,
        "output",
        "align_corners True in torch, False in Paddle",
    ),
    "align_mode": (
        chain(
            (
                "Upsample",
                ({"scale_factor": 2, "mode": "bilinear"},),
                ({"scale_factor": 2, "mode": "bilinear", "align_mode": 1},),
            )
        ),
        IMAGES,
        "output",
        "align_mode 0 in torch, 1 in Paddle",
    ),
    "padding_mode": (
        chain(
            (
                "Conv2d",
                (4, 4, 3, {"padding": 1, "padding_mode": "reflect"}),
                (4, 4, 3, {"padding": 1}),
            )
        ),
        IMAGES,
        "output",
        "padding_mode reflect in torch, zeros in Paddle",
    ),
    "dilation": (
        chain(("Conv2d", (4, 4, 3, {"padding": 2, "dilation": 2}), (4, 4, 3, {"padding": 1}))),
        IMAGES,
        "output",
        "padding 2 in torch, 1 in Paddle; dilation 2 in torch, 1",
    ),
    "bounds exchanged": (
        chain(("RReLU", (0.1, 0.2), (0.3, 0.4)), ("RReLU", (0.3, 0.4), (0.1, 0.2))),
        ROWS,
        "output",
        r"bounds are \(0.1, 0.2\) in PyTorch and \(0.3, 0.4\)",
    ),
    "padding_idx": (
        chain(("Embedding", (4, 4, {"padding_idx": 0}), (4, 4, {}))),
        WORDS,
        "gradient of weight",
        "padding_idx 0 in torch, none in Paddle",
    ),
    "momentum": (
        chain(("BatchNorm1d", (4,), (4, 0.1))),
        ROWS,
        "running_mean",
        "momentum 0.1 in torch, 0.9 in Paddle",
    ),
    "global statistics": (
        chain(("BatchNorm1d", (4,), (4, {"use_global_stats": True}))),
        ROWS,
        "output",
        "use_global_stats False in torch, True in Paddle",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name, both):
    make, x, quantity, cause = SETTINGS[name]
    first = compare(*both(make), x, seed=3).first
    assert first is not None
    assert (first.layer, first.quantity) == ("0", quantity)
    assert re.search(cause, first.cause), first.cause


def test_dropout_that_scales_in_evaluation(both):
    make = chain(("Dropout", (0.5,), (0.5, {"mode": "downscale_in_infer"})))
    first = compare(*both(make), ROWS, seed=3, training=False).first
    assert first is not None
    assert "mode upscale_in_train in torch, downscale_in_infer in Paddle" in first.cause
    right = chain(("Linear", (4, 4)), ("Dropout", (0.5,)))
    assert compare(*both(right), ROWS, seed=3, training=False).notes == ()


def test_the_padding_row_that_is_not_zero(both):
    ours, theirs = both(chain(("Embedding", (4, 4, {"padding_idx": 2}))))
    compare(ours, theirs, WORDS, seed=3).assert_close()
    with torch.no_grad():
        ours[0].weight[2] = 1
    theirs[0].weight.set_value(ours[0].weight.detach().numpy())
    first = compare(ours, theirs, WORDS, seed=3).first
    assert first is not None
    assert "its row padding_idx=2 is not zero" in first.cause


# --- faults in the code of a model


def net(forward, shared=False):
    """Two linear layers, two activations and a head; ``forward(self, kit, x)`` uses them."""

    def make(kit):
        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b, self.act = kit.Linear(4, 4), kit.Linear(4, 4), kit.RReLU()
                self.second = self.act if shared else kit.RReLU()
                self.head, self.pair = kit.Linear(4, 2), kit.Linear(8, 2)

            def forward(self, x):
                return forward(self, kit, x)

        return Net()

    return make


def straight(self, kit, x):
    return self.head(self.act(self.b(self.a(x))))


def other_order(self, kit, x):
    return self.head(self.act(self.a(self.b(x))))


def twice(self, kit, x):
    return self.head(self.act(self.act(self.b(self.a(x)))))


def besides(self, kit, x):
    return self.b(straight(self, kit, x).sum() * x)


def own(self, kit, x):
    return self.head(kit.rrelu(self.a(x), 0.1, 0.3, training=self.training))


def own_with_bounds(self, kit, x):
    return self.head(kit.rrelu(self.a(x), 0.1, 0.4, training=self.training))


def native(self, kit, x):
    return self.head(kit.F.rrelu(self.a(x), 0.1, 0.3, training=self.training))


def dropped(self, kit, x):
    return self.head(kit.F.dropout(self.a(x), 0.5, training=self.training))


def joined(self, kit, x):
    return self.pair(kit.joined([self.a(x), self.b(x)], 1))


def joined_otherwise(self, kit, x):
    return self.pair(kit.joined([self.b(x), self.a(x)], 1))


def with_second(self, kit, x):
    return self.head(self.second(self.a(self.act(x))))


def branch(self, kit, x):
    return self.head(self.a(x) + self.b(x))


def branch_detached(self, kit, x):
    return self.head(self.a(x) + self.b(x).detach())


CODE = [
    (straight, other_order, "a", "input", "Paddle's model calls 'b' where PyTorch's calls 'a'"),
    (straight, twice, "head", "input", "after 'act': Paddle's model calls 'act' where .* 'head'"),
    (twice, straight, "act", "input", r"calls it 1 time\(s\), PyTorch's 2"),
    (straight, besides, "", "output", "Paddle's model calls 'b' besides"),
    (joined, joined_otherwise, "pair", "input", "calls 'b' where PyTorch's calls 'a'"),
    (own, own_with_bounds, "head", "input", "a functional RReLU is there: its bounds"),
    (
        own,
        native,
        "head",
        "input",
        r"drew 1 time\(s\) up to here in PyTorch and 0 time\(s\) in Paddle",
    ),
    (
        native,
        native,
        "head",
        "input",
        "own random numbers are drawn there in PyTorch and in Paddle",
    ),
    (branch, branch_detached, "b", "gradient of weight", "no gradient reaches it in Paddle"),
    (branch_detached, branch, "b", "gradient of weight", "no gradient reaches it in PyTorch"),
]


@pytest.mark.parametrize(
    ("original", "port", "layer", "quantity", "cause"),
    CODE,
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_code(original, port, layer, quantity, cause, both):
    first = compare(*both(net(original), port=net(port)), ROWS, seed=3).first
    assert first is not None
    assert (first.layer, first.quantity) == (layer, quantity)
    assert re.search(cause, first.cause), first.cause


def test_functional_dropout_draws_the_same_in_both(both):
    ours, theirs = both(net(dropped))
    result = compare(ours, theirs, ROWS, seed=3)
    assert result.agree
    assert result.unaligned == ()


@pytest.mark.parametrize(
    ("shared", "cause"),
    [
        (
            "PyTorch",
            r"calls it 1 time\(s\), PyTorch's 2; 'second' \(RReLU\) is in the Paddle model only",
        ),
        ("Paddle", r"'second' \(RReLU\) is in the PyTorch model only"),
    ],
)
def test_a_layer_that_one_model_shares(shared, cause, both):
    result = compare(
        *both(net(with_second, shared == "PyTorch"), port=net(with_second, shared == "Paddle")),
        ROWS,
        seed=3,
    )
    assert result.first is not None
    assert re.search(cause, result.first.cause), result.first.cause
    assert any("'second'" in text and "can't be made the same" in text for text in result.unaligned)


def doubled_gradient_of_weight(port):
    port.head.weight.register_hook(lambda gradient: gradient * 2)


def doubled_gradient(port):
    def on_output(layer, inputs, output):
        output.register_hook(lambda gradient: gradient * 2)

    port.b.register_forward_post_hook(on_output)


@pytest.mark.parametrize(
    ("fault", "layer", "quantity"),
    [
        (doubled_gradient_of_weight, "head", "gradient of weight"),
        (doubled_gradient, "act", "input gradient"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_scaled_gradients(fault, layer, quantity, both):
    ours, theirs = both(net(straight))
    fault(theirs)
    first = compare(ours, theirs, ROWS, seed=3).first
    assert first is not None
    assert (first.layer, first.quantity) == (layer, quantity)
    assert "hooks" in first.cause


OPTIMIZERS = {
    "weight decay": (
        lambda parameters: torch.optim.AdamW(parameters, 0.01, weight_decay=0.01),
        lambda parameters: paddle.optimizer.AdamW(0.01, parameters=parameters, weight_decay=0.0),
    ),
    "learning rate": (
        lambda parameters: torch.optim.Adam(parameters, 0.01),
        lambda parameters: paddle.optimizer.Adam(0.0101, parameters=parameters),
    ),
    "momentum": (
        lambda parameters: torch.optim.SGD(parameters, 0.01, momentum=0.9),
        lambda parameters: paddle.optimizer.Momentum(0.01, 0.8, parameters=parameters),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_settings_of_the_optimizer(name, both):
    result = compare(*both(net(straight)), ROWS, seed=3, steps=3, optimizer=OPTIMIZERS[name])
    assert result.first is not None
    assert result.first.quantity in ("weight", "bias")
    assert result.first.step == (2 if name == "momentum" else 1)
    assert "optimizers do not" in result.first.cause


def test_a_long_message_is_shortened(both):
    ours, theirs = both(net(straight))

    def fail(x):
        raise ValueError("first" + 10_000 * "x" + "last")

    theirs.b.forward = fail
    first = compare(ours, theirs, ROWS, seed=3).first
    assert first is not None
    assert re.search(r"ValueError: firstx+ \.\.\. x+last$", first.cause)
    assert len(first.cause) < 1000
