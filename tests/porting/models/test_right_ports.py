"""`compare` agrees on right ports of many kinds of networks, whatever the optimizer and the caller do."""

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import compare

random = np.random.default_rng(0)


def residual(kit):
    """Blocks that share an activation with what is around them."""

    class Block(kit.Module):
        def __init__(self, act):
            super().__init__()
            self.conv1, self.norm1 = kit.Conv2d(4, 4, 3, padding=1), kit.BatchNorm2d(4)
            self.conv2, self.norm2 = kit.Conv2d(4, 4, 3, padding=1), kit.BatchNorm2d(4)
            self.act = act

        def forward(self, x):
            y = self.act(self.norm1(self.conv1(x)))
            return self.act(self.norm2(self.conv2(y)) + x)

    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.act = kit.Conv2d(1, 4, 3, padding=1), kit.RReLU(0.1, 0.5)
            self.blocks = kit.Sequential(Block(self.act), Block(kit.RReLU()))
            self.head = kit.Linear(4, 3)

        def forward(self, x):
            x = self.blocks(self.act(self.stem(x)))
            return self.head(self.act(x.mean([2, 3])))

    return Net()


def autoencoder(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            norm = {"affine": True} if kit.name == "torch" else {}
            self.encoder = kit.Sequential(
                kit.Conv2d(1, 4, 3, stride=2, padding=1), kit.GroupNorm(2, 4), kit.RReLU()
            )
            self.decoder = kit.Sequential(
                kit.ConvTranspose2d(4, 3, 4, stride=2, padding=1),
                kit.InstanceNorm2d(3, **norm),
                kit.RReLU(),
                kit.Conv2d(3, 1, 1),
            )

        def forward(self, x):
            code = self.encoder(x)
            return self.decoder(code), code

    return Net()


def words(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.words, self.norm = kit.Embedding(10, 6, padding_idx=0), kit.LayerNorm(6)
            self.act, self.out = kit.RReLU(), kit.Linear(6, 3)

        def forward(self, x):
            return self.out(self.act(self.norm(self.words(x))).mean(1))

    return Net()


def two_inputs(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = kit.Linear(3, 4), kit.Linear(2, 4)
            self.act, self.out = kit.RReLU(), kit.Linear(8, 2)

        def forward(self, x, y):
            h = self.act(kit.joined([self.one(x), self.two(y)], 1))
            return {"out": self.out(h), "more": [h, (h.mean(),)]}

    return Net()


def attention(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.query, self.key, self.value = (kit.Linear(8, 8) for _ in range(3))
            self.out, self.norm1, self.norm2 = kit.Linear(8, 8), kit.LayerNorm(8), kit.LayerNorm(8)
            self.feed = kit.Sequential(kit.Linear(8, 16), kit.RReLU(), kit.Linear(16, 8))

        def heads(self, x):
            return kit.swapped_axes(x.reshape([2, 4, 2, 4]), 1, 2)

        def forward(self, x):
            query, key, value = (
                self.heads(layer(x)) for layer in (self.query, self.key, self.value)
            )
            weight = kit.F.softmax(kit.all.matmul(query, kit.swapped_axes(key, 2, 3)) / 2, -1)
            y = kit.swapped_axes(kit.all.matmul(weight, value), 1, 2).reshape([2, 4, 8])
            x = self.norm1(x + self.out(y))
            return self.norm2(x + self.feed(x))

    return Net()


def inplace_first(kit):
    return kit.Sequential(kit.RReLU(inplace=True), kit.Linear(4, 2))


def loop(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.act = kit.Linear(4, 4), kit.RReLU(0.2, 0.6)

        def forward(self, x):
            for _ in range(4):
                x = self.act(self.linear(x)) - 0.1
            return (x * x).mean()

    return Net()


def plain_list(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.layers = [kit.Linear(4, 4), kit.RReLU(), kit.Linear(4, 4)]
            self.more, self.head = {"act": kit.RReLU(0.1, 0.2)}, kit.Linear(4, 1)

        def forward(self, x):
            for layer in self.layers:
                x = layer(x)
            return self.head(self.more["act"](x))

    return Net()


def tied_and_frozen(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.a, self.act, self.b = kit.Linear(4, 4), kit.RReLU(), kit.Linear(4, 4)
            self.b.weight = self.a.weight
            self.drop, self.still = kit.Dropout(0.0), kit.Linear(4, 4)
            kit.freeze(self.still)

        def forward(self, x):
            return self.still(self.drop(self.b(self.act(self.a(x)))))

    return Net()


def functional(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = kit.Linear(4, 4), kit.Linear(4, 2)

        def forward(self, x):
            x = self.a(kit.rrelu(x, 0.1, 0.3, training=self.training))
            return self.b(kit.rrelu(x, training=True) + kit.rrelu(x, training=False))

    return Net()


def norms_of_rows(kit):
    return kit.Sequential(
        kit.Linear(4, 5),
        kit.BatchNorm1d(5),
        kit.RReLU(inplace=True),
        kit.Linear(5, 2),
        kit.BatchNorm1d(2),
    )


IMAGES, ROWS = random.normal(size=(3, 1, 8, 8)), random.normal(size=(7, 4))
NETWORKS = {
    residual: IMAGES,
    autoencoder: IMAGES,
    words: random.integers(0, 10, (4, 5)),
    two_inputs: (random.normal(size=(5, 3)), random.normal(size=(5, 2))),
    attention: random.normal(size=(2, 4, 8)),
    inplace_first: ROWS,
    loop: ROWS,
    plain_list: ROWS,
    tied_and_frozen: ROWS,
    functional: ROWS,
    norms_of_rows: ROWS,
}
OPTIMIZERS = {
    "SGD": None,
    "Adam": (
        lambda parameters: torch.optim.Adam(parameters, 1e-2),
        lambda parameters: paddle.optimizer.Adam(1e-2, parameters=parameters),
    ),
    "AdamW": (
        lambda parameters: torch.optim.AdamW(parameters, 1e-2, weight_decay=0.01),
        lambda parameters: paddle.optimizer.AdamW(1e-2, parameters=parameters, weight_decay=0.01),
    ),
    "Momentum": (
        lambda parameters: torch.optim.SGD(parameters, 1e-2, momentum=0.9),
        lambda parameters: paddle.optimizer.Momentum(1e-2, 0.9, parameters=parameters),
    ),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_a_right_port_agrees(make, dtype, optimizer, both):
    result = compare(
        *both(make, dtype), NETWORKS[make], seed=3, steps=3, optimizer=OPTIMIZERS[optimizer]
    )
    result.assert_close()
    assert result.proven == (dtype == "float64")
    assert result.unaligned == ()
    assert len(set(result.losses)) == 3


def test_a_batch_of_none(both):
    result = compare(*both(functional), np.zeros((0, 4)), seed=3, steps=2)
    assert result.agree
    assert not result.proven
    assert result.open == ("no gradient: all gradients are zero",)


# --- what was compiled, converted or switched off


def compiled(part):
    return torch.compile(part, backend="eager")


def compiled_and_run(model):
    model.compile(backend="eager")
    state = {key: value.clone() for key, value in model.state_dict().items()}
    model(torch.from_numpy(IMAGES))
    model.load_state_dict(state)
    return model


def converted(part):
    return paddle.jit.to_static(part, full_graph=True)


def first_block(change):
    def changed(model):
        model.blocks[0] = change(model.blocks[0])
        return model

    return changed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("of_torch", "of_paddle"),
    [
        (compiled, None),
        (compiled_and_run, None),
        (first_block(compiled), None),
        (first_block(torch.nn.DataParallel), first_block(paddle.DataParallel)),
        (None, converted),
        (None, first_block(converted)),
    ],
    ids=["compiled", "compiled and run", "compiled part", "wrapped part", "converted", "part"],
)
def test_compiled_and_converted_parts_are_seen_into(of_torch, of_paddle, both):
    ours, theirs = both(residual)
    expected = {(row.layer, row.quantity) for row in compare(ours, theirs, IMAGES, seed=3).rows}
    ours = ours if of_torch is None else of_torch(ours)
    theirs = theirs if of_paddle is None else of_paddle(theirs)
    result = compare(ours, theirs, IMAGES, seed=3, steps=2)
    result.assert_close()
    assert {(row.layer, row.quantity) for row in result.rows} == expected
    assert result.aligned == ("act", "blocks.1.act")
    assert paddle.jit.dy2static.program_translator.ProgramTranslator().enable_to_static


def test_nothing_is_compiled_for_a_comparison(both):
    ours, theirs = both(functional)
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph

    ours.compile(backend=backend)
    compare(ours, theirs, ROWS, seed=3).assert_close()
    assert graphs == []


@pytest.mark.parametrize(
    "context", [torch.no_grad, torch.inference_mode, paddle.no_grad], ids=lambda c: c.__name__
)
def test_gradients_switched_off_by_the_caller(context, both):
    ours, theirs = both(loop)
    with context():
        result = compare(ours, theirs, ROWS, seed=3)
        grads = torch.is_grad_enabled(), paddle.is_grad_enabled()
    result.assert_close()
    assert any(row.quantity == "gradient of weight" for row in result.rows)
    assert grads == (
        context not in (torch.no_grad, torch.inference_mode),
        context != paddle.no_grad,
    )


# --- inputs


@pytest.mark.parametrize(
    "convert",
    [
        np.ndarray.tolist,
        lambda x: (x,),
        lambda x: [x],
        torch.from_numpy,
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: paddle.to_tensor(x, stop_gradient=False),
        lambda x: torch.tensor(x).bfloat16(),
        lambda x: paddle.to_tensor(x).astype("bfloat16"),
    ],
    ids=["numbers", "tuple", "list", "torch", "requires_grad", "paddle", "bfloat16", "bfloat16 "],
)
def test_inputs_of_many_types(convert, both):
    x = np.array([[1.0, -2.0, 0.5, -0.25], [3.0, -1.5, -8.0, 4.0]])  # exact in bfloat16
    ours, theirs = both(loop)
    given = convert(x)
    result = compare(ours, theirs, given, seed=3)
    result.assert_close()
    assert result.losses == compare(ours, theirs, x, seed=3).losses
    assert getattr(given, "grad", None) is None


def test_a_list_of_integers(both):
    result = compare(*both(words), [[1, 2], [0, 4]], seed=3)
    result.assert_close()
