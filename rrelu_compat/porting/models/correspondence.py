"""Which layers of the two frameworks are the same thing, and how their parameters correspond."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Kind(NamedTuple):
    """A kind of layer; `tensors` pairs PyTorch's names of its parameters and buffers with Paddle's."""

    name: str
    torch: tuple[str, ...]
    paddle: tuple[str, ...]
    tensors: tuple[tuple[str, str], ...]


_AFFINE = (("weight", "weight"), ("bias", "bias"))

KINDS = (
    Kind("Linear", ("Linear",), ("Linear",), _AFFINE),
    Kind("Conv", ("Conv1d", "Conv2d", "Conv3d"), ("Conv1D", "Conv2D", "Conv3D"), _AFFINE),
    Kind(
        "ConvTranspose",
        ("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
        _AFFINE,
    ),
    Kind(
        "BatchNorm",
        ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm"),
        ("BatchNorm", "BatchNorm1D", "BatchNorm2D", "BatchNorm3D", "SyncBatchNorm"),
        (*_AFFINE, ("running_mean", "_mean"), ("running_var", "_variance")),
    ),
    Kind(
        "InstanceNorm",
        ("InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"),
        ("InstanceNorm1D", "InstanceNorm2D", "InstanceNorm3D"),
        (("weight", "scale"), ("bias", "bias")),
    ),
    Kind("LayerNorm", ("LayerNorm",), ("LayerNorm",), _AFFINE),
    Kind("GroupNorm", ("GroupNorm",), ("GroupNorm",), _AFFINE),
    Kind("Embedding", ("Embedding",), ("Embedding",), (("weight", "weight"),)),
)

# PyTorch counts the batches of a BatchNorm layer, Paddle does not.
NO_COUNTERPART = frozenset({"num_batches_tracked"})


def kind_of(layer: object) -> Kind | None:
    """Return the kind of a layer of either framework, None if it is none of `KINDS`."""
    for ancestor in type(layer).__mro__:
        root = ancestor.__module__.partition(".")[0]
        if root in ("torch", "paddle"):
            for kind in KINDS:
                if ancestor.__name__ in (kind.torch if root == "torch" else kind.paddle):
                    return kind
    return None


def is_transposed(kind: Kind, name: str, paddle_layer: object) -> bool:
    """Whether Paddle keeps it transposed: the weight of a linear layer, but not in ``paddle.compat``."""
    return (
        kind.name == "Linear"
        and name == "weight"
        and not any(
            ancestor.__module__.startswith("paddle.compat")
            for ancestor in type(paddle_layer).__mro__
        )
    )


def other_way(
    kind: Kind, name: str, paddle_layer: Any, array: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Return a parameter as the other framework lays it out, None if it can't have `shape` there."""
    if is_transposed(kind, name, paddle_layer) and array.ndim == 2:
        array = array.T
    if kind.name == "LayerNorm" and array.size == np.prod(shape, dtype=int):
        array = array.reshape(shape)  # Paddle keeps them flat
    return np.ascontiguousarray(array) if array.shape == shape else None
