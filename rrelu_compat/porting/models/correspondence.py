"""Which layers of the two frameworks are the same thing, and how their parameters correspond."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.frameworks import Framework


class Kind(NamedTuple):
    """A kind of layer and what its classes are called in each framework."""

    name: str
    torch: tuple[str, ...]
    paddle: tuple[str, ...]


KINDS = [
    Kind("Linear", ("Linear",), ("Linear",)),
    Kind("Conv", ("Conv1d", "Conv2d", "Conv3d"), ("Conv1D", "Conv2D", "Conv3D")),
    Kind(
        "ConvTranspose",
        ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    ),
    Kind(
        "BatchNorm",
        ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
        ("BatchNorm", "BatchNorm1D", "BatchNorm2D", "BatchNorm3D", "SyncBatchNorm"),
    ),
    Kind(
        "InstanceNorm",
        ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
        ("InstanceNorm1D", "InstanceNorm2D", "InstanceNorm3D"),
    ),
    Kind("LayerNorm", ("LayerNorm",), ("LayerNorm",)),
    Kind("GroupNorm", ("GroupNorm",), ("GroupNorm",)),
    Kind("RMSNorm", ("RMSNorm",), ("RMSNorm",)),
    Kind("Embedding", ("Embedding",), ("Embedding",)),
    Kind("LSTM", ("LSTM",), ("LSTM",)),
    Kind("GRU", ("GRU",), ("GRU",)),
    Kind("RNN", ("RNN",), ("SimpleRNN",)),
    Kind("LSTMCell", ("LSTMCell",), ("LSTMCell",)),
    Kind("GRUCell", ("GRUCell",), ("GRUCell",)),
    Kind("RNNCell", ("RNNCell",), ("SimpleRNNCell",)),
    Kind(
        "MultiheadAttention", ("MultiheadAttention",), ("MultiHeadAttention", "MultiheadAttention")
    ),
    Kind("PReLU", ("PReLU",), ("PReLU",)),
    Kind("Bilinear", ("Bilinear",), ("Bilinear",)),
]

# PyTorch counts the batches of a BatchNorm layer, Paddle does not.
NO_COUNTERPART = frozenset({"num_batches_tracked"})
# Sublayers that one framework makes where the other has tensors of the layer itself.
_INNER = {
    "torch": ("parametrizations",),
    "paddle": ("q_proj", "k_proj", "v_proj"),
}
_RECURRENT = frozenset({"LSTM", "GRU", "RNN"})
# What Paddle calls PyTorch's tensors; the first that is there.
_OTHER_NAMES = {
    "weight": ("weight", "scale", "_weight"),
    "running_mean": ("running_mean", "_mean"),
    "running_var": ("running_var", "_variance"),
    "parametrizations.weight.original0": ("weight_g",),
    "parametrizations.weight.original1": ("weight_v",),
    "parametrizations.weight.original": ("weight_orig",),
    "parametrizations.weight.0._u": ("weight_u",),
    "parametrizations.weight.0._v": ("weight_v",),
    "q_proj_weight": ("q_proj.weight",),
    "k_proj_weight": ("k_proj.weight",),
    "v_proj_weight": ("v_proj.weight",),
}
_MATRICES = frozenset(
    {
        "weight",
        "weight_v",
        "weight_orig",
        "parametrizations.weight.original",
        "parametrizations.weight.original1",
    }
)


class Link(NamedTuple):
    """A tensor of PyTorch's layer, or `rows` of it, and its counterpart in Paddle's."""

    name: str
    paddle_name: str
    torch: Any
    paddle: Any
    rows: slice | None
    transposed: bool

    def to_paddle(self, values: NDArray[Any]) -> NDArray[Any] | None:
        """Return values of PyTorch's tensor as Paddle lays them out, None if they do not fit."""
        if self.rows is not None:
            values = values[self.rows]
        return _fitted(values, self.transposed, tuple(self.paddle.shape))

    def to_torch(self, values: NDArray[Any], whole: NDArray[Any]) -> NDArray[Any] | None:
        """Return the values `whole` of PyTorch's tensor with Paddle's in their place."""
        shape = tuple(whole.shape) if self.rows is None else whole[self.rows].shape
        part = _fitted(values, self.transposed, shape)
        if part is None or self.rows is None:
            return part
        whole = whole.copy()
        whole[self.rows] = part
        return whole

    def in_torch(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return Paddle's values as PyTorch lays them out; as they are if they do not fit."""
        shape = tuple(self.torch.shape)
        if self.rows is not None:
            shape = (self.rows.stop - self.rows.start, *shape[1:])
        fitted = _fitted(values, self.transposed, shape)
        return values if fitted is None else fitted

    def of_torch(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the part of PyTorch's values that this link is about."""
        return values if self.rows is None else values[self.rows]


def kind_of(layer: object) -> Kind | None:
    """Return the kind of a layer of either framework, None if it is none of `KINDS`."""
    for ancestor in type(layer).__mro__:
        root = ancestor.__module__.partition(".")[0]
        if root in ("torch", "paddle"):
            for kind in KINDS:
                if ancestor.__name__ in (kind.torch if root == "torch" else kind.paddle):
                    return kind
    return None


def own_tensors(framework: Framework, layer: Any) -> dict[str, Any]:
    """Return the parameters and buffers of a layer, those of sublayers that only this framework has too."""
    found = {**framework.parameters(layer), **framework.buffers(layer)}
    kind = kind_of(layer)
    for child, inner in inner_layers(framework, layer).items():
        for name, tensor in {**framework.parameters(inner), **framework.buffers(inner)}.items():
            if all(tensor is not known for known in found.values()):
                whole = f"{child}.{name}"
                if kind is not None and kind.name in _RECURRENT and not name.endswith("_ho"):
                    continue
                found[whole] = tensor
    # What weight_norm and spectral_norm make at each call is no tensor of its own.
    made = {name[:-2] for name in found if name.endswith("_g")}
    made |= {name[:-5] for name in found if name.endswith("_orig")}
    return {
        name: tensor
        for name, tensor in found.items()
        if name not in NO_COUNTERPART and name not in made
    }


def inner_layers(framework: Framework, layer: Any) -> dict[str, Any]:
    """Return, by path in the layer, sublayers that stand for tensors in the other framework."""
    kind = kind_of(layer)
    names: Iterable[str]
    if framework.name == "paddle":
        if kind is None or kind.name not in (*_RECURRENT, "MultiheadAttention"):
            return {}
        names = framework.children(layer)
        if kind.name == "MultiheadAttention":
            names = [name for name in names if name in _INNER["paddle"]]
    else:
        names = [name for name in framework.children(layer) if name in _INNER["torch"]]
    found: dict[str, Any] = {}
    for name in names:
        _add_all(found, framework, name, framework.children(layer)[name])
    return found


def _add_all(found: dict[str, Any], framework: Framework, path: str, layer: Any) -> None:
    found[path] = layer
    for name, child in framework.children(layer).items():
        _add_all(found, framework, f"{path}.{name}", child)


def links_of(
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    torch_layer: Any,
    paddle_layer: Any,
    transposed: Mapping[str, bool] | None = None,
) -> tuple[list[Link], list[str], list[str]]:
    """Return the links between the tensors of two layers, and the names that are left in each.

    `transposed` says it of parameters of the user's own, by PyTorch's name.
    """
    is_linear = _is_linear(torch_layer, paddle_layer)
    left, right = dict(ours), dict(theirs)
    links: list[Link] = []
    for name, tensor in ours.items():
        for other, rows in _other_names(name, tensor, right):
            matrix = is_linear and name in _MATRICES
            turned = matrix or other in ("q_proj.weight", "k_proj.weight", "v_proj.weight")
            turned = turned or other.endswith("weight_ho")
            if transposed and name in transposed:
                turned = transposed[name]
            elif not turned and kind_of(torch_layer) is None and rows is None:
                one, two = tuple(tensor.shape), tuple(right[other].shape)
                turned = len(one) == 2 and one[0] != one[1] and two == one[::-1]
            links.append(Link(name, other, tensor, right.pop(other), rows, turned))
            left.pop(name, None)
    return links, list(left), list(right)


def is_ambiguous(link: Link, torch_layer: Any, paddle_layer: Any) -> bool:
    """Whether it is a square matrix of the user's own, of which nobody can tell if it is transposed."""
    shape = tuple(link.torch.shape)
    return (
        len(shape) == 2
        and shape[0] == shape[1]
        and shape[0] > 1
        and link.rows is None
        and (kind_of(torch_layer) is None or link.name not in _of_kind(torch_layer))
    )


def _of_kind(layer: Any) -> frozenset[str]:
    """Return the names of the tensors that layers of this kind have by themselves, roughly."""
    extra = set(_OTHER_NAMES) | {"bias", "weight_v", "weight_orig", "weight_g"}
    kind = kind_of(layer)
    if kind is not None and (kind.name in _RECURRENT or kind.name.endswith("Cell")):
        extra |= {
            name
            for name in vars(layer).get("_parameters", {})
            if re.match(r"(weight|bias)_[ih]", name)
        }
    if kind is not None and kind.name == "MultiheadAttention":
        extra |= {"in_proj_weight", "bias_k", "bias_v"}
    return frozenset(extra)


def _other_names(
    name: str, tensor: Any, theirs: Mapping[str, Any]
) -> list[tuple[str, slice | None]]:
    """Return the counterparts of a tensor, each with the rows that it is of."""
    split = re.fullmatch(r"in_proj_(weight|bias)", name)
    parts = [f"{letter}_proj.{split[1]}" for letter in "qkv"] if split else []
    if parts and all(part in theirs for part in parts):
        size = tensor.shape[0] // 3
        return [(part, slice(i * size, (i + 1) * size)) for i, part in enumerate(parts)]
    if projected := re.fullmatch(r"weight_hr_l(\d+)(_reverse)?", name):
        cells = ("cell_bw",) if projected[2] else ("cell_fw", "cell")
        candidates = [f"{projected[1]}.{cell}.weight_ho" for cell in cells]
    else:
        candidates = [*_OTHER_NAMES.get(name, ()), name]
    for other in candidates:
        if other in theirs:
            return [(other, None)]
    return []


def _is_linear(torch_layer: Any, paddle_layer: Any) -> bool:
    """Whether Paddle keeps the weight transposed: a linear layer, but not in ``paddle.compat``."""
    kind = kind_of(paddle_layer if paddle_layer is not None else torch_layer)
    return (
        kind is not None
        and kind.name == "Linear"
        and not any(
            ancestor.__module__.startswith("paddle.compat")
            for ancestor in type(paddle_layer).__mro__
        )
    )


def _fitted(values: NDArray[Any], transposed: bool, shape: tuple[int, ...]) -> NDArray[Any] | None:
    if transposed and values.ndim == 2:
        values = values.T
    # Paddle keeps the weights of a layer norm flat, and the bias of Bilinear and norms of weights otherwise.
    if 1 in (values.ndim, len(shape)) and values.size == np.prod(shape, dtype=int):
        values = values.reshape(shape)
    return np.array(values, order="C") if values.shape == shape else None
