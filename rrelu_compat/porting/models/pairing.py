"""Which layers of two models belong together: by path, by `names`, else by order of execution."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models import frameworks
from rrelu_compat.porting.models.correspondence import inner_layers, kind_of, own_tensors
from rrelu_compat.porting.models.layers import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from rrelu_compat.porting.models.frameworks import Framework


class Names(dict[str, str]):
    """Paths in one model and their counterparts in the other; prints as the Python that makes it."""

    def __str__(self) -> str:
        lines = "".join(f"    {path!r}: {other!r},\n" for path, other in self.items())
        return f"{{\n{lines}}}" if lines else "{}"


@dataclass(frozen=True)
class Pair:
    """A layer and its counterpart, with their frameworks' paths."""

    path: str
    torch: Any
    paddle_path: str
    paddle: Any


@dataclass(frozen=True)
class Models:
    """Both models, their layers by path, and the pairs; `guessed` are those paired by order."""

    torch: Framework
    paddle: Framework
    torch_model: Any
    paddle_model: Any
    torch_layers: dict[str, Any]
    paddle_layers: dict[str, Any]
    pairs: dict[str, Pair]
    guessed: Names = field(default_factory=Names)

    def ends(self) -> list[Pair]:
        """Return the model's own pair and those at whose inputs gradients are compared.

        A container's input is that of its first layer, where the gradient belongs. What has no
        sublayers in PyTorch may have some in Paddle, as recurrent layers do.
        """
        return [
            pair
            for pair in self.pairs.values()
            if pair.path == "" or is_end(self.torch, pair.torch)
        ]

    def alone(self, native: bool = False) -> list[str]:
        """Say which layers have no counterpart; with `native`, of the RReLU layers only."""
        paired = {pair.paddle_path for pair in self.pairs.values()}
        only = []
        for where, framework, layers, known in (
            ("PyTorch", self.torch, self.torch_layers, self.pairs.keys()),
            ("Paddle", self.paddle, self.paddle_layers, paired),
        ):
            inside = inner_paths(framework, layers)
            only += [
                (path, where, layer, framework.native)
                for path, layer in layers.items()
                if path not in known and path not in inside
            ]
        return [
            f"{path!r} ({_title(layer)}) is in the {where} model only"
            for path, where, layer, kind in only
            if not native or isinstance(layer, kind)
        ]


def is_end(framework: Framework, layer: Any) -> bool:
    """Whether a layer is looked at as one: it has no sublayers, or none that the other must have."""
    children = framework.children(layer)
    return not children or kind_of(layer) is not None


def inner_paths(framework: Framework, layers: Mapping[str, Any]) -> set[str]:
    """Return the paths of sublayers that stand for tensors in the other framework."""
    return {
        f"{path}.{inner}" if path else inner
        for path, layer in layers.items()
        for inner in inner_layers(framework, layer)
    }


def _title(layer: Any) -> str:
    text = type(layer).__name__
    settings = {
        name: vars(layer)[name]
        for name in (
            "in_features",
            "out_features",
            "in_channels",
            "out_channels",
            "_in_channels",
            "p",
        )
        if name in vars(layer)
    }
    words = ", ".join(f"{name.strip('_')}={value}" for name, value in settings.items())
    return f"{text}({words})" if words else text


def align(torch_model: Any, paddle_model: Any, names: Mapping[str, str]) -> Models:
    """Pair the layers of two models by path and by `names`.

    Raises
    ------
    TypeError
        If the first is no PyTorch module or the second no Paddle layer.
    ValueError
        If `names` has a path that is not there.
    """
    sides = []
    for argument, model, wanted in (
        ("torch_model", torch_model, "torch"),
        ("paddle_model", paddle_model, "paddle"),
    ):
        framework = frameworks.framework_of(model, argument)
        if framework.name != wanted:
            raise TypeError(f"{argument} must be a {wanted} model, got a {framework.name} model")
        inner = framework.unwrapped(model)
        sides.append((framework, inner, layers_of(inner, framework)))
    (torch, torch_inner, torch_layers), (paddle, paddle_inner, paddle_layers) = sides
    if names and not any(_fits(name, torch_layers) for name in names):
        turned = {other: path for path, other in names.items()}  # as `copy_weights` took them
        names = turned if all(_fits(name, paddle_layers) for name in names) else names
    found = corresponding(torch_layers, paddle_layers, names, ("torch_model", "paddle_model"))
    return _with_pairs(
        Models(torch, paddle, torch_inner, paddle_inner, torch_layers, paddle_layers, {}), found
    )


def _with_pairs(models: Models, found: Mapping[str, str], guessed: Names | None = None) -> Models:
    pairs = {
        path: Pair(path, layer, found[path], models.paddle_layers[found[path]])
        for path, layer in models.torch_layers.items()
        if path in found
    }
    return Models(
        models.torch,
        models.paddle,
        models.torch_model,
        models.paddle_model,
        models.torch_layers,
        models.paddle_layers,
        pairs,
        guessed if guessed is not None else models.guessed,
    )


def _fits(name: str, paths: Iterable[str]) -> bool:
    pattern = _pattern(name)
    return any(pattern.match(path) for path in paths)


def _pattern(name: str) -> re.Pattern[str]:
    """A path, the prefix of paths, or either with ``*`` for one part of them."""
    body = re.escape(name).replace(r"\*", r"([^.]+)")
    return re.compile(rf"{body}(\..*)?$" if name else r"(.*)$")


def corresponding(
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    names: Mapping[str, str],
    arguments: tuple[str, str],
) -> dict[str, str]:
    """Return the other path of each path that has one: by `names`, else its like, if that is free.

    A name may be a path, the prefix of paths, or have ``*`` in it for one part of a path.

    Raises
    ------
    TypeError, ValueError
        If `names` is no mapping, or names nothing that is there.
    """
    if not isinstance(names, Mapping):
        raise TypeError(
            f"names must map paths in {arguments[0]} to paths in {arguments[1]}, got names={names!r}"
        )
    found: dict[str, str] = {}
    by_length = sorted(names.items(), key=lambda item: -len(item[0].split(".")))
    for name, other in by_length:
        pattern, used, there = _pattern(name), False, False
        for path in ours:
            match = pattern.match(path)
            if match is None:
                continue
            used = True
            parts = list(match.groups(default=""))
            tail = parts.pop() if name else f".{parts.pop()}"
            target = other
            for part in parts:
                target = target.replace("*", part, 1)
            target = (target + tail).strip(".") if not target else target + tail
            there = there or target in theirs
            if target in theirs and path not in found:
                found[path] = target
        if not used or not there:
            raise ValueError(
                f"names has {name!r}: {other!r}, which {arguments[int(used)]} has not"
                + close_to(name if not used else other, ours if not used else theirs)
            )
    taken = set(found.values())
    for path in ours:
        if path not in found and path in theirs and path not in taken:
            found[path] = path
    _decoders(ours, theirs, found)
    return found


def close_to(name: str, paths: Iterable[str]) -> str:
    """Return ": ... is near" for an error message, or nothing."""
    near = difflib.get_close_matches(name, [path for path in paths if path], 3, 0.5)
    return f"; it has {', '.join(map(repr, near))}" if near else ""


def _decoders(ours: Mapping[str, Any], theirs: Mapping[str, Any], found: dict[str, str]) -> None:
    """Pair the attention to the encoder, which has another name in each framework."""
    other = {"multihead_attn": "cross_attn", "cross_attn": "multihead_attn"}
    for path in ours:
        parent, _, name = path.rpartition(".")
        head, _, deeper = parent.rpartition(".")
        for around, last, rest in ((parent, name, ""), (head, deeper, f".{name}")):
            if last in other and path not in found and around in found:
                target = f"{found[around]}.{other[last]}{rest}".lstrip(".")
                if target in theirs and target not in found.values():
                    found[path] = target


def paired_by_order(models: Models, calls: Callable[[str], Sequence[tuple[str, str]]]) -> Models:
    """Pair what is left in the order of execution, where kind and shape are the same.

    ``calls("torch")`` runs the model and returns the path and a description of each layer as it is
    called.
    """
    left = [path for path in models.torch_layers if path not in models.pairs]
    others = {pair.paddle_path for pair in models.pairs.values()}
    right = [path for path in models.paddle_layers if path not in others]
    inner = (
        inner_paths(models.torch, models.torch_layers),
        inner_paths(models.paddle, models.paddle_layers),
    )
    lost = [
        any(path not in hidden and _matters(framework, layers[path]) for path in paths)
        for paths, hidden, framework, layers in (
            (left, inner[0], models.torch, models.torch_layers),
            (right, inner[1], models.paddle, models.paddle_layers),
        )
    ]
    if not all(lost):
        return models
    names = {pair.paddle_path: pair.path for pair in models.pairs.values()}
    ours = _first_calls(calls("torch"), {path: path for path in models.pairs}, inner[0])
    theirs = _first_calls(calls("paddle"), names, inner[1])
    guessed = Names(_in_order(ours, theirs))
    found = {pair.path: pair.paddle_path for pair in models.pairs.values()} | guessed
    return _with_pairs(models, found, guessed)


def _matters(framework: Framework, layer: Any) -> bool:
    return isinstance(layer, framework.native) or is_end(framework, layer)


def _first_calls(
    calls: Sequence[tuple[str, str]], known: Mapping[str, str], hidden: Container[str]
) -> list[tuple[str, str]]:
    """Return each layer once: those that are paired stand for themselves, as landmarks."""
    found: dict[str, str] = {}
    for path, description in calls:
        if path not in hidden:
            found.setdefault(path, f"={known[path]}" if path in known else description)
    return list(found.items())


def _in_order(ours: Sequence[tuple[str, str]], theirs: Sequence[tuple[str, str]]) -> dict[str, str]:
    matcher = difflib.SequenceMatcher(
        None, [words for _, words in ours], [words for _, words in theirs], autojunk=False
    )
    return {
        ours[block.a + i][0]: theirs[block.b + i][0]
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
        if not ours[block.a + i][1].startswith("=")
    }


def described(framework: Framework, layer: Any, shape: Sequence[int]) -> str:
    """Return what a layer must have in common with its counterpart: kind, shapes of weights and input."""
    kind = kind_of(layer)
    name = kind.name if kind is not None else re.sub(r"\W", "", type(layer).__name__.lower())
    if isinstance(layer, framework.native):
        name = "rrelu"
    elif kind is not None and kind.name.startswith(("Conv", "BatchNorm")):
        name += str(len(shape))
    weights = sum(math.prod(tensor.shape) for tensor in own_tensors(framework, layer).values())
    return f"{name} {weights} {math.prod(shape)}"
