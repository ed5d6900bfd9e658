"""`copy_weights`: parameters and statistics from a PyTorch model into a Paddle one, or back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.correspondence import (
    is_ambiguous,
    kind_of,
    links_of,
    own_tensors,
)
from rrelu_compat.porting.models.frameworks import Framework, framework_of
from rrelu_compat.porting.models.layers import layers_of
from rrelu_compat.porting.models.pairing import (
    Names,
    close_to,
    corresponding,
    inner_paths,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.correspondence import Link

#: An error lists this many lines at most.
_MOST = 25


def copy_weights(
    source: Any,
    target: Any,
    *,
    names: Mapping[str, str] | None = None,
    skip: Sequence[str] = (),
    transposed: Mapping[str, bool] | None = None,
) -> None:
    """Copy the parameters and buffers of a model into its port to the other framework.

    Knows Linear (Paddle keeps its weight transposed), Conv, ConvTranspose, BatchNorm (also its running
    mean and variance, whose names differ), InstanceNorm, LayerNorm, GroupNorm, Embedding, LSTM, GRU and
    RNN with their cells, MultiheadAttention (Paddle keeps three matrices where PyTorch has one), what is
    made of these as Transformer layers are, PReLU, Bilinear, ``weight_norm`` and ``spectral_norm``.
    Parameters and buffers of other layers go by name and shape. Layers correspond by their path in the
    model, ``features.0.conv``.

    Parameters
    ----------
    source, target : torch.nn.Module or paddle.nn.Layer
        One of each, in either order; data-parallel and compiled wrappers are looked through.
    names : mapping of str to str, optional
        Path of a layer in `source` to its path in `target`, for those whose paths differ; a prefix of
        paths, or ``*`` for one part, does for many.
    skip : sequence of str, optional
        Paths of layers in `source` or `target` that stay as they are, with all that is in them: another
        head, for example.
    transposed : mapping of str to bool, optional
        For square matrices of layers that are not known here, by ``path.name`` in the PyTorch model:
        whether Paddle keeps them transposed. Nobody can tell it from their shape.

    Raises
    ------
    TypeError
        If `source` and `target` are not one model of each framework.
    ValueError
        If something can't be copied: a layer or a parameter without its counterpart, other shapes or
        dtypes, parameters that only one of the models shares between layers. Nothing has been copied
        then, and the message lists what is wrong.

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
            f"source and target must be models of two frameworks, got two {here.name} models "
            "(load_state_dict copies within a framework)"
        )
    sources = layers_of(here.unwrapped(source), here)
    targets = layers_of(there.unwrapped(target), there)
    for argument in skip:
        if argument not in sources and argument not in targets:
            raise ValueError(
                f"skip has {argument!r}, which neither model has" + close_to(argument, sources)
            )
    renamed = corresponding(sources, targets, names or {}, ("source", "target"))
    problems = _Problems()
    copies: list[tuple[Any, NDArray[Any]]] = []
    shared: dict[tuple[int, str], tuple[int, str]] = {}
    named = set(renamed.values())
    for path, layer, other_path, framework, where in (
        *((path, layer, renamed.get(path), here, "source") for path, layer in sources.items()),
        *(
            (path, layer, path if path in named else None, there, "target")
            for path, layer in targets.items()
        ),
    ):
        inside = inner_paths(framework, sources if where == "source" else targets)
        if _skipped(path, skip) or path in inside or not own_tensors(framework, layer):
            continue
        if other_path is None:
            other = "target" if where == "source" else "source"
            like = f" {path!r}" if where == "source" else ""
            text = f"of {where} ({_title(layer)}) has no counterpart{like} in {other}"
            if where == "source" and path in named:
                text += ", which names gives to another layer"
            problems.add(f"{path!r} {text}")
    for path, other_path in renamed.items():
        if _skipped(path, skip) or _skipped(other_path, skip):
            continue
        if path in inner_paths(here, sources) or other_path in inner_paths(there, targets):
            continue
        layer, other = sources[path], targets[other_path]
        if bool(own_tensors(here, layer)) != bool(own_tensors(there, other)):
            one, where, elsewhere = (
                (layer, "source", "target")
                if own_tensors(here, layer)
                else (other, "target", "source")
            )
            problems.add(f"{path!r} of {where} ({_title(one)}) has no counterpart in {elsewhere}")
            continue
        try:
            torch_path = path if here.name == "torch" else other_path
            said = {
                name.removeprefix(f"{torch_path}.").lstrip("."): value
                for name, value in (transposed or {}).items()
                if name.rpartition(".")[0] == torch_path
            }
            for one, two, key in _pairs(here, there, layer, other, said, copies):
                if shared.setdefault((id(one), key), (id(two), key)) != (id(two), key):
                    raise ValueError("shares a parameter with another layer, in source only")
        except ValueError as error:
            problems.add(f"{path!r}: {error}")
    if len(set(shared.values())) < len(shared):
        problems.add("layers of target share a parameter that they do not share in source")
    problems.check()
    _assign(there, copies)


class _Problems:
    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, line: str) -> None:
        self._lines.append(line)

    def check(self) -> None:
        if self._lines:
            rest = len(self._lines) - _MOST
            lines = self._lines[:_MOST] + ([f"... and {rest} more"] if rest > 0 else [])
            if any("no counterpart" in line for line in self._lines):
                lines.append(
                    "rrelu_compat.porting.propose_names(source, target, inputs) pairs layers whose paths "
                    "differ by the order of execution"
                )
            raise ValueError("nothing was copied:\n  " + "\n  ".join(lines))


def _skipped(path: str, skip: Sequence[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in skip)


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


def _title(layer: object) -> str:
    return f"{type(layer).__module__.partition('.')[0]} {type(layer).__name__}"


def _pairs(
    here: Framework,
    there: Framework,
    layer: Any,
    other: Any,
    transposed: Mapping[str, bool],
    copies: list[tuple[Any, NDArray[Any]]],
) -> list[tuple[Any, Any, str]]:
    """Add (target tensor, values) to `copies`; return (source tensor, target tensor, which part)."""
    kind, counterpart = kind_of(layer), kind_of(other)
    if kind is not counterpart and (own_tensors(here, layer) or own_tensors(there, other)):
        raise ValueError(f"{_title(layer)} in source is {_title(other)} in target")
    to_paddle = there.name == "paddle"
    torch_layer, paddle_layer = (layer, other) if to_paddle else (other, layer)
    torch, paddle = (here, there) if to_paddle else (there, here)
    ours, theirs = own_tensors(torch, torch_layer), own_tensors(paddle, paddle_layer)
    _check_norm(ours, theirs, torch_layer, paddle_layer)
    links, left, right = links_of(ours, theirs, torch_layer, paddle_layer, transposed)
    if left or right:
        names = sorted(own_tensors(here, layer)), sorted(own_tensors(there, other))
        raise ValueError(
            f"source has {names[0]}, target {names[1]}: "
            "one has an option (bias, affine, running statistics) that the other has not"
        )
    found = []
    wholes: dict[int, NDArray[Any]] = {}
    for link in links:
        one, two = (link.torch, link.paddle) if to_paddle else (link.paddle, link.torch)
        _check_values(here, there, link, one, two)
        if is_ambiguous(link, torch_layer, paddle_layer) and link.name not in transposed:
            raise ValueError(
                f"{link.name} is a square matrix of {_title(layer)}, of which nobody can tell whether Paddle "
                f"keeps it transposed: say it with transposed={{'path.{link.name}': False}}"
            )
        if to_paddle:
            values = link.to_paddle(torch.to_numpy(link.torch))
        else:
            whole = wholes.get(id(two), torch.to_numpy(link.torch))
            values = link.to_torch(paddle.to_numpy(link.paddle), whole)
            if values is not None:
                wholes[id(two)] = values
        if values is None:
            turned = " (transposed)" if link.transposed else ""
            raise ValueError(
                f"{link.name} is {tuple(one.shape)} in source{turned} and {tuple(two.shape)} in target, "
                f"a {_title(other)}"
            )
        copies.append((two, values))
        found.append((one, two, str(link.rows)))
    return found


def _check_norm(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], torch_layer: Any, paddle_layer: Any
) -> None:
    """Refuse a weight norm over other axes: in a square matrix the shapes would not tell."""
    kind = kind_of(paddle_layer)
    sizes = next(
        (
            tuple(ours[name].shape)
            for name in ("weight_g", "parametrizations.weight.original0")
            if name in ours
        ),
        None,
    )
    if sizes is None or "weight_g" not in theirs or kind is None or kind.name != "Linear":
        return
    axis = next((axis for axis, size in enumerate(sizes) if size != 1), 0)
    hooks = getattr(paddle_layer, "_forward_pre_hooks", {}).values()
    dims = [hook.dim for hook in hooks if hasattr(hook, "dim") and hasattr(hook, "name")]
    if dims != [1 - axis]:
        raise ValueError(
            f"weight_g: PyTorch's weight_norm has dim={axis}, Paddle's dim={dims}: a linear weight is "
            f"transposed there, so dim={1 - axis} does the same"
        )


def _check_values(here: Framework, there: Framework, link: Link, one: Any, two: Any) -> None:
    for framework, tensor, where in ((here, one, "source"), (there, two, "target")):
        if not framework.has_values(tensor):
            raise ValueError(
                f"{link.name} has no values in {where}: run a lazy layer once, move one on 'meta' to a device"
            )
    if here.dtype(one) != there.dtype(two):
        raise ValueError(
            f"{link.name} is {here.dtype(one)} in source and {there.dtype(two)} in target: "
            "convert one of the models first"
        )


def propose_names(source: Any, target: Any, inputs: Any) -> Names:
    """Pair layers of two models that have no namesake by the order of execution.

    Both models run once, forward, and kind, size of weights and of inputs must be the same.

    Parameters
    ----------
    source, target : torch.nn.Module or paddle.nn.Layer
        One of each, in either order.
    inputs : array, tuple of arrays or dict of arrays
        What the models are called with.

    Returns
    -------
    Names
        A dict of paths in `source` to paths in `target`, for the `names` of `copy_weights` and `compare`;
        prints as Python. What could not be paired is not in it.

    Raises
    ------
    TypeError
        If `source` and `target` are not one model of each framework.

    Examples
    --------
    >>> import numpy as np, paddle, torch
    >>> source = torch.nn.Sequential(torch.nn.Linear(2, 3))
    >>> target = paddle.nn.Sequential(("fc", paddle.nn.Linear(2, 3)))
    >>> propose_names(source, target, np.zeros((1, 2)))
    {'0': 'fc'}
    """
    from rrelu_compat.porting.models.comparing.trial import names_by_order

    here, there = framework_of(source, "source"), framework_of(target, "target")
    if here.name == there.name:
        raise TypeError(
            f"source and target must be models of two frameworks, got two {here.name} models"
        )
    if here.name == "torch":
        return names_by_order(source, target, inputs)
    return Names({other: path for path, other in names_by_order(target, source, inputs).items()})
