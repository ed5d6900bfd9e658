"""`proven` is said only where nothing is missing; `open` says what is, and a difference hides nothing."""

import gc

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import compare, copy_weights
from rrelu_compat.porting.models.comparing.recording import Recording

random = np.random.default_rng(0)
ROWS = random.normal(size=(6, 4))


def net(kit):
    class Net(kit.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.act, self.head = kit.Linear(4, 4), kit.RReLU(), kit.Linear(4, 2)

        def forward(self, x):
            return self.head(self.act(self.fc(x)))

    return Net()


def missing(result, name):
    assert result.agree
    assert not result.proven
    assert any(text.startswith(f"{name}: ") for text in result.open), result.open
    if name not in ("evaluation", "dtype", "forward only"):  # what was asked for
        with pytest.raises(AssertionError, match=name):
            result.assert_close()


def test_a_right_port_is_proven(both):
    result = compare(*both(net), ROWS, seed=3, steps=3)
    result.assert_close()
    assert result.proven
    assert result.open == ()


def test_inputs_that_are_not_finite(both):
    missing(compare(*both(net), np.full((6, 4), np.nan), seed=3), "not finite")


def test_evaluation_and_single_precision(both):
    missing(compare(*both(net), ROWS, seed=3, training=False), "evaluation")
    missing(compare(*both(net, "float32"), ROWS, seed=3), "dtype")
    missing(compare(*both(net), ROWS, seed=3, backward=False), "forward only")


def test_a_layer_left_in_evaluation_in_both(both):
    ours, theirs = both(net)
    ours.act.eval()
    theirs.act.eval()
    missing(compare(ours, theirs, ROWS, seed=3), "not exercised")


def test_gradients_that_are_zero(both):
    missing(compare(*both(net), ROWS, seed=3, loss=lambda y: (y * 0).sum()), "no gradient")


def test_slopes_that_no_negative_value_met(both):
    def make(lower, upper):
        return lambda kit: kit.Sequential(
            kit.nn.Softplus(), kit.RReLU(lower, upper), kit.Linear(4, 2)
        )

    missing(compare(*both(make(0.1, 0.2)), ROWS, seed=3), "not exercised")
    result = compare(*both(make(0.1, 0.2), port=make(0.3, 0.9)), ROWS, seed=3)
    missing(result, "settings")
    assert any("bounds (0.1, 0.2) in torch, (0.3, 0.9) in Paddle" in text for text in result.open)


def test_a_layer_that_is_not_called(both):
    def make(kit):
        model = net(kit)
        model.more = kit.Linear(4, 4)
        return model

    missing(compare(*both(make), ROWS, seed=3), "not called")


def test_outputs_that_cannot_be_looked_into(both):
    class Box:
        __slots__ = ("hidden",)

        def __call__(self):
            return self.hidden

    def make(kit):
        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                self.fc, self.act = kit.Linear(4, 4), kit.RReLU()

            def forward(self, x):
                box = Box()
                box.hidden = self.act(self.fc(x))
                return box

        return Net()

    missing(compare(*both(make), ROWS, seed=3, loss=lambda box: box().sum()), "not compared")


def test_outputs_in_objects_are_looked_into(both):
    class Out:
        def __init__(self, value):
            self.value = value

    def make(factor):
        def of(kit):
            class Net(kit.Module):
                def __init__(self):
                    super().__init__()
                    self.fc = kit.Linear(4, 4)

                def forward(self, x):
                    return Out(self.fc(x) * factor)

            return Net()

        return of

    result = compare(
        *both(make(1.0), port=make(1.5)), ROWS, seed=3, loss=lambda out: (out.value * 0).sum()
    )
    assert result.first is not None
    assert (result.first.layer, result.first.quantity) == ("", "output")


def test_outputs_in_a_dict_of_another_order(both):
    def make(order):
        def of(kit):
            class Net(kit.Module):
                def __init__(self):
                    super().__init__()
                    self.fc, self.act = kit.Linear(4, 4), kit.RReLU()

                def forward(self, x):
                    h = self.fc(x)
                    found = {"out": self.act(h), "aux": h * 2}
                    return {key: found[key] for key in order}

            return Net()

        return of

    result = compare(*both(make(("out", "aux")), port=make(("aux", "out"))), ROWS, seed=3)
    result.assert_close()


def test_one_output_or_one_call_more(both):
    def more(kit):
        model = net(kit)
        forward = model.forward
        model.forward = lambda x: (forward(x), x)
        return model

    def again(kit):
        model = net(kit)
        forward = model.forward
        model.forward = lambda x: (model.fc(x), forward(x))[1]
        return model

    loss = (lambda y: y.sum(), lambda y: (y[0] if isinstance(y, tuple) else y).sum())
    result = compare(*both(net, port=more), ROWS, seed=3, loss=loss)
    assert not result.agree
    assert any("returns 2 tensor(s), PyTorch's 1" in place.cause for place in result.differences)
    result = compare(*both(net, port=again), ROWS, seed=3, loss=loss)
    assert not result.agree


def test_a_parameter_of_ones_own_that_is_detached(both):
    def make(detached):
        def of(kit):
            class Scaled(kit.nn.Linear):
                def __init__(self):
                    super().__init__(4, 4)
                    if kit.name == "torch":
                        self.scale = torch.nn.Parameter(torch.ones(4))
                    else:
                        self.scale = self.create_parameter([4])
                        self.scale.set_value(paddle.ones([4]))

                def forward(self, x):
                    scale = self.scale.detach() if detached else self.scale
                    return super().forward(x) * scale

            return kit.Sequential(Scaled(), kit.RReLU())

        return of

    compare(*both(make(False)), ROWS, seed=3, steps=2).assert_close()
    first = compare(*both(make(False), port=make(True)), ROWS, seed=3).first
    assert first is not None
    assert (first.layer, first.quantity) == ("0", "gradient of scale")


def test_an_exception_is_never_forgotten(both):
    def make(kit):
        return kit.Sequential(
            getattr(kit.nn, "Conv1d" if kit.name == "torch" else "Conv1D")(3, 4, 1),
            kit.GroupNorm(2, 4),
            kit.RReLU(inplace=True),
        )

    for planted in (0.0, 1e-6):
        ours, theirs = both(make)
        with torch.no_grad():
            ours[0].bias += planted
        result = compare(ours, theirs, random.normal(size=(2, 3, 5)), seed=7)
        raised = [place for place in result.differences if place.quantity == "exception"]
        assert raised
        assert "Paddle's model raised" in str(result)


def test_one_difference_hides_nothing(both):
    ours, theirs = both(net)
    theirs.fc.bias.set_value(theirs.fc.bias + 1e-3)
    theirs.act.upper = 0.9
    result = compare(ours, theirs, ROWS, seed=3, steps=2)
    assert result.first is not None
    assert result.first.layer == "fc"
    causes = {place.layer: place.cause for place in reversed(result.differences) if place.step == 1}
    assert "bounds are" in causes["act"]
    assert "head" not in {place.layer for place in result.differences if place.quantity == "output"}


@pytest.mark.parametrize("values", [2, 3])
def test_norms_of_few_values_are_no_fault(values, both):
    def make(kit):
        return kit.Sequential(
            *[
                layer
                for _ in range(8)
                for layer in (kit.Linear(16, 16), kit.BatchNorm1d(16), kit.RReLU())
            ]
        )

    for seed in range(4):
        x = np.random.default_rng(seed).normal(size=(values, 16))
        compare(*both(make, seed=seed), x, seed=1, steps=3).assert_close()


def test_recordings_are_let_go(both):
    def alive():
        gc.collect()
        return sum(type(found) is Recording for found in gc.get_objects())

    ours, theirs = both(net)
    before = alive()  # what pytest keeps of a test that failed
    for _ in range(3):
        compare(ours, theirs, ROWS, seed=3)
    assert alive() == before


SINGLE = {
    "Hardsigmoid": (lambda t: t.Hardsigmoid(), lambda p: p.Hardsigmoid()),
    "ELU": (lambda t: t.ELU(0.7), lambda p: p.ELU(0.7)),
    "SELU": (lambda t: t.SELU(), lambda p: p.SELU()),
    "Softshrink": (lambda t: t.Softshrink(0.3), lambda p: p.Softshrink(0.3)),
    "AvgPool": (lambda t: t.AvgPool2d(3, 2, 1), lambda p: p.AvgPool2D(3, 2, 1, exclusive=False)),
    "AvgPool of what is inside": (
        lambda t: t.AvgPool2d(3, 2, 1, count_include_pad=False),
        lambda p: p.AvgPool2D(3, 2, 1),
    ),
    "AdaptiveAvgPool": (
        lambda t: t.AdaptiveAvgPool2d((3, 2)),
        lambda p: p.AdaptiveAvgPool2D((3, 2)),
    ),
    "corners": (
        lambda t: t.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        lambda p: p.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    ),
    "size": (
        lambda t: t.Upsample(size=(5, 5), mode="bilinear"),
        lambda p: p.Upsample(size=[5, 5], mode="bilinear"),
    ),
    "larger": (
        lambda t: t.Upsample(size=(13, 10), mode="bilinear"),
        lambda p: p.Upsample(size=[13, 10], mode="bilinear"),
    ),
}


@pytest.mark.parametrize("name", SINGLE)
def test_what_paddle_computes_in_single_precision_is_no_fault(name, both):
    of_torch, of_paddle = SINGLE[name]

    def make(kit):
        layer = of_torch(torch.nn) if kit.name == "torch" else of_paddle(paddle.nn)
        return kit.Sequential(kit.Conv2d(2, 2, 1), layer, kit.RReLU())

    ours, theirs = both(make)
    before = dict(vars(ours[1]))
    result = compare(ours, theirs, random.normal(size=(2, 2, 7, 7)), seed=1, steps=2)
    result.assert_close() if name != "Hardsigmoid" else result.assert_close(allow="not exercised")
    assert any("made the same for the run" in note for note in result.notes)
    assert dict(vars(ours[1])) == before


def test_copied_names_are_understood_in_either_direction(both):
    def other(kit):
        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                self.linear, self.last, self.out = kit.Linear(4, 4), kit.RReLU(), kit.Linear(4, 2)

            def forward(self, x):
                return self.out(self.last(self.linear(x)))

        return Net()

    ours, theirs = both(net, port=other, copy=False)
    names = {"linear": "fc", "last": "act", "out": "head"}
    copy_weights(theirs, ours, names=names)
    compare(ours, theirs, ROWS, seed=3, names=names).assert_close()
