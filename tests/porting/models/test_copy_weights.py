"""`copy_weights`: each layer in both directions, by what the models compute; refused, nothing is copied."""

import numpy as np
import paddle
import pytest
import torch

from rrelu_compat.porting import copy_weights

IMAGE, ROWS, LINE, VOLUME = (2, 4, 6, 6), (5, 4), (2, 4, 9), (2, 4, 5, 5, 5)

# name: PyTorch's layer, Paddle's, shape of an input
LAYERS = {
    "Linear": (lambda: torch.nn.Linear(4, 3), lambda: paddle.nn.Linear(4, 3), ROWS),
    "Linear, square": (lambda: torch.nn.Linear(4, 4), lambda: paddle.nn.Linear(4, 4), ROWS),
    "Linear without bias": (
        lambda: torch.nn.Linear(4, 3, bias=False),
        lambda: paddle.nn.Linear(4, 3, bias_attr=False),
        ROWS,
    ),
    "compat.Linear": (
        lambda: torch.nn.Linear(4, 4),
        lambda: paddle.compat.nn.Linear(4, 4),
        ROWS,
    ),
    "Conv1d": (lambda: torch.nn.Conv1d(4, 3, 3), lambda: paddle.nn.Conv1D(4, 3, 3), LINE),
    "Conv2d": (lambda: torch.nn.Conv2d(4, 3, 3), lambda: paddle.nn.Conv2D(4, 3, 3), IMAGE),
    "Conv2d in groups": (
        lambda: torch.nn.Conv2d(4, 4, 3, groups=2, bias=False),
        lambda: paddle.nn.Conv2D(4, 4, 3, groups=2, bias_attr=False),
        IMAGE,
    ),
    "Conv3d": (lambda: torch.nn.Conv3d(4, 3, 3), lambda: paddle.nn.Conv3D(4, 3, 3), VOLUME),
    "ConvTranspose1d": (
        lambda: torch.nn.ConvTranspose1d(4, 3, 3),
        lambda: paddle.nn.Conv1DTranspose(4, 3, 3),
        LINE,
    ),
    "ConvTranspose2d": (
        lambda: torch.nn.ConvTranspose2d(4, 3, 3),
        lambda: paddle.nn.Conv2DTranspose(4, 3, 3),
        IMAGE,
    ),
    "ConvTranspose3d": (
        lambda: torch.nn.ConvTranspose3d(4, 3, 3),
        lambda: paddle.nn.Conv3DTranspose(4, 3, 3),
        VOLUME,
    ),
    "BatchNorm1d": (lambda: torch.nn.BatchNorm1d(4), lambda: paddle.nn.BatchNorm1D(4), ROWS),
    "BatchNorm2d": (lambda: torch.nn.BatchNorm2d(4), lambda: paddle.nn.BatchNorm2D(4), IMAGE),
    "BatchNorm2d, plain": (
        lambda: torch.nn.BatchNorm2d(4, affine=False),
        lambda: paddle.nn.BatchNorm2D(4, weight_attr=False, bias_attr=False),
        IMAGE,
    ),
    "BatchNorm3d": (lambda: torch.nn.BatchNorm3d(4), lambda: paddle.nn.BatchNorm3D(4), VOLUME),
    "BatchNorm": (lambda: torch.nn.BatchNorm2d(4), lambda: paddle.nn.BatchNorm(4), IMAGE),
    "InstanceNorm1d": (
        lambda: torch.nn.InstanceNorm1d(4, affine=True),
        lambda: paddle.nn.InstanceNorm1D(4),
        LINE,
    ),
    "InstanceNorm2d": (
        lambda: torch.nn.InstanceNorm2d(4, affine=True),
        lambda: paddle.nn.InstanceNorm2D(4),
        IMAGE,
    ),
    "LayerNorm": (lambda: torch.nn.LayerNorm(4), lambda: paddle.nn.LayerNorm(4), ROWS),
    "LayerNorm of two axes": (
        lambda: torch.nn.LayerNorm((6, 6)),
        lambda: paddle.nn.LayerNorm((6, 6)),
        IMAGE,
    ),
    "GroupNorm": (lambda: torch.nn.GroupNorm(2, 4), lambda: paddle.nn.GroupNorm(2, 4), IMAGE),
    "Embedding": (lambda: torch.nn.Embedding(7, 4), lambda: paddle.nn.Embedding(7, 4), None),
}


def randomized(model):
    """Fill every parameter and statistic with numbers of its own."""
    random = np.random.default_rng(3)
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                values = random.uniform(0.5, 1.5, tuple(tensor.shape))
                if isinstance(model, torch.nn.Module):
                    tensor.copy_(torch.from_numpy(values))
                else:
                    paddle.assign(paddle.to_tensor(values).astype(tensor.dtype), tensor)
    return model


def outputs(ours, theirs, shape):
    random = np.random.default_rng(4)
    x = random.integers(0, 7, (3, 2)) if shape is None else random.normal(size=shape)
    ours.eval()
    theirs.eval()
    return (
        ours(torch.from_numpy(x)).detach().numpy(),
        theirs(paddle.to_tensor(x)).numpy(),
    )


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("direction", ["to paddle", "to torch"])
def test_both_compute_the_same_afterwards(name, direction):
    make_torch, make_paddle, shape = LAYERS[name]
    ours = torch.nn.Sequential(make_torch()).double()
    theirs = paddle.nn.Sequential(make_paddle()).to(dtype="float64")
    if direction == "to paddle":
        copy_weights(randomized(ours), theirs)
    else:
        copy_weights(randomized(theirs), ours)
    one, other = outputs(ours, theirs, shape)
    # Paddle keeps epsilon as float32, also in float64.
    np.testing.assert_allclose(one, other, rtol=1e-6 if "Norm" in name else 1e-12)


def test_there_and_back_is_exact():
    ours = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)
    )
    theirs = paddle.nn.Sequential(
        paddle.nn.Conv2D(1, 4, 3), paddle.nn.BatchNorm2D(4), paddle.nn.Linear(4, 2)
    )
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2)
    )
    copy_weights(randomized(ours), theirs)
    copy_weights(theirs, twin)
    for key, value in ours.state_dict().items():
        assert key.endswith("num_batches_tracked") or torch.equal(value, twin.state_dict()[key])


def test_bfloat16_is_copied_exactly():
    ours, theirs = torch.nn.Linear(4, 3).bfloat16(), paddle.nn.Linear(4, 3).to(dtype="bfloat16")
    copy_weights(ours, theirs)
    assert (theirs.weight.astype("float32").numpy() == ours.weight.detach().float().numpy().T).all()


class TorchTied(torch.nn.Module):
    """A layer used under two names, and in a list."""

    def __init__(self):
        super().__init__()
        self.a = torch.nn.Linear(3, 3)
        self.b = torch.nn.ModuleList([self.a, torch.nn.Linear(3, 2)])


class PaddleTied(paddle.nn.Layer):
    """The same in Paddle."""

    def __init__(self):
        super().__init__()
        self.a = paddle.nn.Linear(3, 3)
        self.b = paddle.nn.LayerList([self.a, paddle.nn.Linear(3, 2)])


def test_shared_layers():
    ours, theirs = TorchTied(), PaddleTied()
    copy_weights(ours, theirs)
    assert (theirs.b[0].weight.numpy() == ours.a.weight.detach().numpy().T).all()
    assert (theirs.b[1].weight.numpy() == ours.b[1].weight.detach().numpy().T).all()


def test_paths_that_differ():
    ours = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    theirs = paddle.nn.Sequential(("one", paddle.nn.Linear(3, 3)), ("two", paddle.nn.Linear(3, 3)))
    copy_weights(ours, theirs, names={"0": "two", "1": "one"})
    assert (theirs[0].weight.numpy() == ours[1].weight.detach().numpy().T).all()
    with pytest.raises(ValueError, match="names has '5': 'one', which source has not"):
        copy_weights(ours, theirs, names={"5": "one"})
    with pytest.raises(ValueError, match="names has '0': 'three', which target has not"):
        copy_weights(ours, theirs, names={"0": "three"})


def test_wrapped_models():
    ours = torch.nn.DataParallel(torch.nn.Linear(3, 2))
    theirs = paddle.DataParallel(paddle.nn.Linear(3, 2))
    copy_weights(ours, theirs)
    assert (theirs._layers.weight.numpy() == ours.module.weight.detach().numpy().T).all()


class TorchTiedParameter(torch.nn.Module):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight


class PaddleTiedParameter(paddle.nn.Layer):
    """Two layers with one weight."""

    def __init__(self):
        super().__init__()
        self.a, self.b = paddle.nn.Linear(3, 3), paddle.nn.Linear(3, 3)
        self.b.weight = self.a.weight


class PaddleUntied(paddle.nn.Layer):
    """Two layers with two weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = paddle.nn.Linear(3, 3), paddle.nn.Linear(3, 3)


class TorchUntied(torch.nn.Module):
    """Two layers with two weights."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)


def test_tied_parameters():
    ours, theirs = TorchTiedParameter(), PaddleTiedParameter()
    copy_weights(ours, theirs)
    assert (theirs.b.weight.numpy() == ours.a.weight.detach().numpy().T).all()


T, P = torch.nn, paddle.nn


def test_names_that_take_the_place_of_another_layer():
    ours, theirs = (
        T.Sequential(T.Linear(2, 2), T.Linear(2, 2)),
        P.Sequential(P.Linear(2, 2), P.Linear(2, 2)),
    )
    with pytest.raises(ValueError, match=r"'1' of source .* which names gives to another layer"):
        copy_weights(ours, theirs, names={"0": "1"})
    with pytest.raises(TypeError, match=r"names must map .*got names=\['0'\]"):
        copy_weights(ours, theirs, names=["0"])


def test_the_model_is_the_layer_and_layouts_are_kept():
    ours, theirs = T.Conv2d(2, 3, 3).to(memory_format=torch.channels_last), P.Conv2D(2, 3, 3)
    ours.weight.requires_grad, theirs.weight.stop_gradient = False, True
    copy_weights(ours, theirs)
    assert (theirs.weight.numpy() == ours.weight.detach().numpy()).all()
    copy_weights(theirs, ours)
    assert ours.weight.is_contiguous(memory_format=torch.channels_last)
    assert (ours.weight.requires_grad, theirs.weight.stop_gradient) == (False, True)
    assert (ours.bias.requires_grad, theirs.bias.stop_gradient) == (True, False)


def test_layers_in_plain_lists_and_compiled_parts():
    ours, theirs = T.Sequential(torch.compile(T.Linear(2, 3))), P.Sequential(P.Linear(2, 3))
    ours.more, theirs.more = [T.Linear(3, 3)], [P.Linear(3, 3)]
    copy_weights(ours, theirs)
    assert (theirs[0].weight.numpy() == ours[0].weight.detach().numpy().T).all()
    assert (theirs.more[0].weight.numpy() == ours.more[0].weight.detach().numpy().T).all()


@pytest.mark.parametrize("bad", [T.LazyLinear(3), T.Linear(2, 3, device="meta")])
@pytest.mark.parametrize("direction", ["source", "target"])
def test_layers_without_values(bad, direction):
    ours = T.Sequential(T.Linear(2, 2), bad)
    theirs = P.Sequential(P.Linear(2, 2), P.Linear(2, 3))
    with pytest.raises(ValueError, match=f"'1': weight has no values in {direction}"):
        copy_weights(*((ours, theirs) if direction == "source" else (theirs, ours)))


def test_a_target_that_cannot_be_written_to_is_left_alone():
    ours, theirs = (
        T.Sequential(T.Linear(2, 3), T.Linear(3, 3)),
        P.Sequential(P.Linear(2, 3), P.Linear(3, 3)),
    )
    ours[1].weight = T.Parameter(torch.randn(1, 3).expand(3, 3))
    before = ours[0].weight.detach().clone()
    with pytest.raises(ValueError, match="nothing was copied: target can't be written to"):
        copy_weights(theirs, ours)
    assert torch.equal(ours[0].weight, before)


REFUSED = {
    "a kind that differs": (T.Linear(3, 3), P.LayerNorm(3), "torch Linear .* is paddle LayerNorm"),
    "a bias too many": (T.Linear(3, 2), P.Linear(3, 2, bias_attr=False), "has an option"),
    "no running statistics": (
        T.BatchNorm2d(3, track_running_stats=False),
        P.BatchNorm2D(3),
        "has an option",
    ),
    "other shapes": (T.Linear(3, 2), P.Linear(4, 2), r"\(2, 3\) in source \(transposed\)"),
    "another order of axes": (T.Conv2d(2, 3, 3), P.Conv2DTranspose(2, 3, 3), "is paddle Conv2D"),
    "another dtype": (T.Linear(3, 2).double(), P.Linear(3, 2), "float64 in source and float32"),
    "one more": (T.Identity(), P.Linear(3, 2), r"of target \(paddle Linear\) has no counterpart"),
    "one less": (T.Linear(3, 2), P.Identity(), r"of source \(torch Linear\) has no counterpart"),
    "own parameters": (
        T.utils.parametrizations.weight_norm(T.Linear(3, 2)),
        P.Linear(3, 2),
        "parametrizations",
    ),
    "older weight_norm": (
        T.utils.weight_norm(T.Linear(3, 2)),
        P.utils.weight_norm(P.Linear(3, 2)),
        "weight_g",
    ),
    "a lazy norm": (T.LazyBatchNorm2d(), P.BatchNorm2D(3), "is paddle BatchNorm2D"),
    "sharing lost": (TorchTiedParameter(), PaddleUntied(), "in source only"),
    "sharing added": (TorchUntied(), PaddleTiedParameter(), "do not share in source"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_nothing_copied(name):
    bad_torch, bad_paddle, message = REFUSED[name]
    ours = T.Sequential(T.Linear(2, 2), bad_torch)
    theirs = P.Sequential(P.Linear(2, 2), bad_paddle)
    before = {key: value.numpy().copy() for key, value in theirs.state_dict().items()}
    with pytest.raises(ValueError, match=message) as caught:
        copy_weights(ours, theirs)
    assert str(caught.value).startswith("nothing was copied:")
    for key, value in theirs.state_dict().items():
        assert (value.numpy() == before[key]).all()


def test_everything_that_is_wrong_is_listed():
    ours = T.Sequential(T.Linear(2, 2), T.PReLU(3), T.Linear(2, 3))
    theirs = P.Sequential(P.Linear(2, 3), P.PReLU(2), P.Linear(2, 2))
    with pytest.raises(ValueError, match="nothing was copied") as caught:
        copy_weights(ours, theirs)
    assert [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]] == [
        "'0'",
        "'1'",
        "'2'",
    ]


def test_models_of_one_framework():
    with pytest.raises(TypeError, match="got two torch models"):
        copy_weights(T.Linear(2, 2), T.Linear(2, 2))
    with pytest.raises(TypeError, match=r"target must be .*, got builtins\.dict"):
        copy_weights(T.Linear(2, 2), {})
