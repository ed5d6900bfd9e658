"""`copy_weights`: parameters and statistics from a PyTorch model into a Paddle one, or back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.correspondence import (
    KINDS,
    NO_COUNTERPART,
    Kind,
    is_transposed,
    kind_of,
    other_way,
)
from rrelu_compat.porting.models.frameworks import Framework, framework_of
from rrelu_compat.porting.models.layers import layers_of, paths_that_correspond

if TYPE_CHECKING:
    from numpy.typing import NDArray


def copy_weights(source: Any, target: Any, *, names: Mapping[str, str] | None = None) -> None:
    """Copy the parameters and running statistics of a model into its port to the other framework.

    Copies Linear (Paddle keeps its weight transposed), Conv, ConvTranspose, BatchNorm (also its running
    mean and variance, whose names differ), InstanceNorm, LayerNorm, GroupNorm and Embedding. Layers
    correspond by their path in the model, ``features.0.conv``.

    Parameters
    ----------
    source, target : torch.nn.Module or paddle.nn.Layer
        One of each, in either order; data-parallel and compiled wrappers are looked through.
    names : mapping of str to str, optional
        Path of a layer in `source` to its path in `target`, for those whose paths differ.

    Raises
    ------
    TypeError
        If `source` and `target` are not one model of each framework.
    ValueError
        If something can't be copied: another kind of layer with parameters, a layer without its
        counterpart, other shapes or dtypes, parameters that only one of the models shares between
        layers. Nothing has been copied then, and the message lists everything that is wrong.

    Examples
    --------
    >>> import paddle, torch
    >>> source, target = torch.nn.Linear(2, 3), paddle.nn.Linear(2, 3)
    >>> copy_weights(source, target)
    >>> bool((target.weight.numpy() == source.weight.detach().numpy().T).all())
    True
    """
    here, there = framework_of(source, "source"), framework_of(target, "target")
    if here.name == there.name:
        raise TypeError(
            f"source and target are both {here.name} models: one of each framework is allowed "
            "(load_state_dict copies within a framework)"
        )
    sources = layers_with_weights(source, here)
    targets = layers_with_weights(target, there)
    renamed = _renamed(sources, targets, names or {})
    problems = [
        f"{path!r} of source ({_title(layer)}) has no counterpart {path!r} in target"
        + (", which names gives to another layer" if path in targets else "")
        for path, layer in sources.items()
        if path not in renamed
    ]
    problems += [
        f"{path!r} of target ({_title(layer)}) has no counterpart in source"
        for path, layer in targets.items()
        if path not in renamed.values()
    ]
    copies: list[tuple[Any, NDArray[Any]]] = []
    shared: dict[int, int] = {}
    for path, layer in sources.items():
        if path in renamed:
            try:
                for one, other, array in _pairs(here, there, layer, targets[renamed[path]]):
                    if shared.setdefault(id(one), id(other)) != id(other):
                        raise ValueError("shares a parameter with another layer, in source only")
                    copies.append((other, array))
            except ValueError as error:
                problems.append(f"{path!r}: {error}")
    if len(set(shared.values())) < len(shared):
        problems.append("layers of target share a parameter that they do not share in source")
    if problems:
        raise ValueError("nothing was copied:\n  " + "\n  ".join(problems))
    _assign(there, copies)


def _assign(framework: Framework, copies: list[tuple[Any, NDArray[Any]]]) -> None:
    before: list[tuple[Any, NDArray[Any]]] = []
    try:
        for tensor, array in copies:
            before.append((tensor, framework.to_numpy(tensor)))
            framework.assign(tensor, array)
    except Exception as error:
        for tensor, array in before[:-1]:
            framework.assign(tensor, array)
        raise ValueError(f"nothing was copied: target can't be written to: {error}") from error


def layers_with_weights(model: Any, framework: Framework) -> dict[str, Any]:
    """Return the layers that hold parameters or buffers of their own, by path."""
    return {
        path: layer
        for path, layer in layers_of(framework.unwrapped(model), framework).items()
        if weights_of(layer, framework)
    }


def weights_of(layer: Any, framework: Framework) -> dict[str, Any]:
    """Return the parameters and buffers of `layer` itself that a counterpart has as well."""
    own = {**framework.parameters(layer), **framework.buffers(layer)}
    return {name: tensor for name, tensor in own.items() if name not in NO_COUNTERPART}


def _renamed(
    sources: Mapping[str, Any], targets: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, str]:
    """Return the path in `target` of each layer of `source` that has one."""
    if not isinstance(names, Mapping):
        raise TypeError(
            f"names={names!r}: a mapping of paths in source to paths in target is allowed"
        )
    for path, other in names.items():
        if path not in sources:
            raise ValueError(f"names has {path!r}: source has {sorted(sources)}")
        if other not in targets:
            raise ValueError(f"names has {path!r}: {other!r}: target has {sorted(targets)}")
    return paths_that_correspond(sources, targets, names)


def _title(layer: object) -> str:
    return f"{type(layer).__module__.partition('.')[0]} {type(layer).__name__}"


def _pairs(
    here: Framework, there: Framework, layer: Any, other: Any
) -> list[tuple[Any, Any, NDArray[Any]]]:
    """Return (source tensor, target tensor, values for the target) for each weight of a layer."""
    kind = _kind_of_both(layer, other)
    sources, targets = weights_of(layer, here), weights_of(other, there)
    by_name = {pair[here.name == "paddle"]: pair[there.name == "paddle"] for pair in kind.tensors}
    if unknown := sorted(set(sources) - set(by_name)):
        raise ValueError(f"{_title(layer)} has {unknown}, which no {kind.name} layer has")
    expected = {by_name[name] for name in sources}
    if expected != set(targets):
        raise ValueError(
            f"source has {sorted(sources)}, target {sorted(targets)}: "
            "one has an option (bias, affine, running statistics) that the other has not"
        )
    paddle_layer = layer if here.name == "paddle" else other
    pairs = []
    for name, tensor in sources.items():
        target = targets[by_name[name]]
        for framework, one, where in ((here, tensor, "source"), (there, target, "target")):
            if not framework.has_values(one):
                raise ValueError(
                    f"{name} has no values in {where}: run a lazy layer once, move one on 'meta' to a device"
                )
        if here.dtype(tensor) != there.dtype(target):
            raise ValueError(
                f"{name} is {here.dtype(tensor)} in source and {there.dtype(target)} in target: "
                "convert one of the models first"
            )
        array, shape = here.to_numpy(tensor), tuple(target.shape)
        values = other_way(kind, name, paddle_layer, array, shape)
        if values is None:
            turned = " (transposed)" if is_transposed(kind, name, paddle_layer) else ""
            raise ValueError(
                f"{name} is {array.shape} in source{turned} and {shape} in target, a {_title(other)}"
            )
        pairs.append((tensor, target, values))
    return pairs


def _kind_of_both(layer: object, other: object) -> Kind:
    kind, counterpart = kind_of(layer), kind_of(other)
    if kind is None or counterpart is None:
        unknown = layer if kind is None else other
        raise ValueError(
            f"{_title(unknown)} is not a layer that can be copied: "
            f"{', '.join(known.name for known in KINDS)} are"
        )
    if kind is not counterpart:
        raise ValueError(f"{_title(layer)} in source is {_title(other)} in target")
    return kind
