"""Why two models part where they do: what can be read off the layers at that place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.comparing.settings import settings_that_differ
from rrelu_compat.porting.models.correspondence import (
    is_ambiguous,
    kind_of,
    links_of,
    own_tensors,
)
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrelu_compat.porting.models.comparing.recording import Key, Recording
    from rrelu_compat.porting.models.correspondence import Link
    from rrelu_compat.porting.models.pairing import Models, Pair


def linked(models: Models) -> tuple[dict[str, list[Link]], list[str]]:
    """Return, by path, which tensors of paired layers correspond, and what has no counterpart."""
    found: dict[str, list[Link]] = {}
    left: list[str] = []
    for path, pair in models.pairs.items():
        ours = own_tensors(models.torch, pair.torch)
        theirs = own_tensors(models.paddle, pair.paddle)
        links, mine, others = links_of(ours, theirs, pair.torch, pair.paddle)
        for number, link in enumerate(links):
            if is_ambiguous(link, pair.torch, pair.paddle):
                one = models.torch.to_numpy(link.torch)
                two = models.paddle.to_numpy(link.paddle)
                if one.shape == two.shape and not np.array_equal(one, two):
                    links[number] = link._replace(transposed=np.array_equal(one.T, two))
        found[path] = links
        place = repr(path) if path else "the model itself"
        for where, names in (("PyTorch", mine), ("Paddle", others)):
            left += [f"{name!r} of {place} is in the {where} model only" for name in names]
    return found, left


def weights_that_differ(models: Models, links: Mapping[str, list[Link]]) -> dict[str, str]:
    """Say, by path, how the parameters and statistics of paired layers differ before the run."""
    found: dict[str, str] = {}
    for path, pair in models.pairs.items():
        kind = kind_of(pair.torch)
        if kind is not None and kind is kind_of(pair.paddle):
            ours = set(own_tensors(models.torch, pair.torch))
            theirs = set(own_tensors(models.paddle, pair.paddle))
            for name, others in (("bias", {"bias"}), ("weight", {"weight", "scale", "_weight"})):
                if (name in ours) != bool(others & theirs) and "weight_g" not in theirs:
                    found[path] = f"only one of the models has a {name} there"
        for link in links[path]:
            one, two = models.torch.to_numpy(link.torch), models.paddle.to_numpy(link.paddle)
            expected = link.to_paddle(one)
            if expected is None or not np.array_equal(
                expected, two, equal_nan=two.dtype.kind == "f"
            ):
                turned = link.transposed and one.shape == two.shape and np.array_equal(one, two)
                found.setdefault(
                    path,
                    f"its {link.name} was copied as it is, but Paddle keeps it transposed"
                    if turned
                    else f"its {link.name} differs from the start: rrelu_compat.porting.copy_weights",
                )
    return found


def cause_at_layer(models: Models, pair: Pair, weights: Mapping[str, str]) -> str | None:
    """Return what is wrong with a layer whose inputs agree and whose outputs do not, if it shows."""
    if pair.torch.training != pair.paddle.training:
        return cause_of_mode(models, pair.path)
    if isinstance(pair.torch, models.torch.native) or isinstance(pair.paddle, models.paddle.native):
        return _cause_at_rrelu(models, pair)
    ours, theirs = type(pair.torch).__name__, type(pair.paddle).__name__
    known = kind_of(pair.torch), kind_of(pair.paddle)
    if ours.lower() != theirs.lower() and (known[0] is not known[1] or known[0] is None):
        return f"it is a {ours} in PyTorch and a {theirs} in Paddle"
    if settings := settings_that_differ(pair.torch, pair.paddle):
        return "; ".join(settings)
    return weights.get(pair.path) or _cause_at_padding(models, pair)


def _cause_at_padding(models: Models, pair: Pair) -> str | None:
    index = getattr(pair.torch, "padding_idx", None)
    kind = kind_of(pair.torch)
    if index is None or kind is None or kind.name != "Embedding":
        return None
    if not models.torch.to_numpy(pair.torch.weight)[index].any():
        return None
    return f"its row padding_idx={index} is not zero: PyTorch gives that row, Paddle gives zeros"


def _cause_at_rrelu(models: Models, pair: Pair) -> str | None:
    for name, layer, native in (
        ("PyTorch", pair.torch, models.torch.native),
        ("Paddle", pair.paddle, models.paddle.native),
    ):
        if not isinstance(layer, native):
            return f"it is a {type(layer).__name__} in {name} and an RReLU in the other"
    ours, theirs = RReLUSpec.from_layer(pair.torch), RReLUSpec.from_layer(pair.paddle)
    if (ours.lower, ours.upper) != (theirs.lower, theirs.upper):
        return (
            f"its bounds are ({ours.lower:g}, {ours.upper:g}) in PyTorch "
            f"and ({theirs.lower:g}, {theirs.upper:g}) in Paddle"
        )
    left = [
        name
        for name, layer in (("PyTorch", pair.torch), ("Paddle", pair.paddle))
        if not isinstance(layer, RReLULayer)
    ]
    if left:
        why = (
            "whose slopes nobody can align"
            if pair.torch.training
            else "whose mean slope is rounded otherwise"
        )
        return (
            f"it is the framework's own RReLU in {' and in '.join(left)}, {why}: "
            "rrelu_compat.porting.swap"
        )
    return None


def cause_of_mode(models: Models, path: str) -> str | None:
    """Return the outermost layer around `path` whose mode differs: its code may ask ``self.training``."""
    around = ["", *(path[:end] for end, letter in enumerate(path) if letter == "."), path]
    for outer in around:
        pair = models.pairs.get(outer)
        if pair is not None and pair.torch.training != pair.paddle.training:
            evaluating = "Paddle" if pair.torch.training else "PyTorch"
            place = "the whole model" if outer == "" else "it" if outer == path else repr(outer)
            return f"{place} is in evaluation mode in {evaluating}, in training mode in the other"
    return None


def cause_between(
    models: Models, ours: Recording, theirs: Recording, key: Key, other: Key
) -> str | None:
    """Return what tells why code between the layers differs: draws, calls in another order."""
    if alone := models.alone(native=True):
        return "; ".join(alone)
    drawn = ours.functional.get(key), theirs.functional.get(other)
    if drawn[0] != drawn[1]:
        return (
            f"functional RReLUs of this package drew {drawn[0]} time(s) up to here in PyTorch and {drawn[1]} "
            "time(s) in Paddle: one is in evaluation mode (the default of F.rrelu in PyTorch), or the "
            "framework's own"
        )
    random = [
        name
        for name, recording, place in (("PyTorch", ours, key), ("Paddle", theirs, other))
        if recording.drawn.get(place) == "theirs"
    ]
    if random:
        return (
            f"the framework's own random numbers are drawn there in {' and in '.join(random)}: F.rrelu (use "
            "this package's), F.dropout and the like, which draw differently in each framework"
        )
    if other_order := _other_order(models, ours, theirs, key):
        return other_order
    if ours.drawn.get(key) == "ours":
        return "functions or arithmetic are not the same; a functional RReLU is there: its bounds?"
    return None


def _other_order(models: Models, ours: Recording, theirs: Recording, key: Key) -> str | None:
    ends = {pair.paddle_path: pair.path for pair in models.ends() if pair.path}
    seen: list[Key] = []
    for one in ours.values:
        if one == key:
            break
        if one.what == "output" and one.item in ("", "[0]") and one.path in ends.values():
            seen.append(one)
    called = [one.path for one in seen] + ([key.path] if key.path else [])
    calls = [
        ends[one.path]
        for one in theirs.values
        if one.what == "output" and one.item in ("", "[0]") and one.path in ends
    ]
    if not key.path and len(calls) > len(called):
        return f"Paddle's model calls {calls[len(called)]!r} besides"
    for here, there in zip(called, calls, strict=False):
        if here != there:
            return f"Paddle's model calls {there!r} where PyTorch's calls {here!r}"
    return None


def cause_of_missing_call(models: Models, ours: Recording, theirs: Recording, pair: Pair) -> str:
    """Return how often each model calls a layer that Paddle's model calls less often."""
    counts = [
        len({key.call for key in recording.values if key.path == path and key.what == "input"})
        for recording, path in ((ours, pair.path), (theirs, pair.paddle_path))
    ]
    alone = "".join(f"; {text}" for text in models.alone())
    return f"Paddle's model calls it {counts[1]} time(s), PyTorch's {counts[0]}{alone}"


def cause_in_backward(
    models: Models, pair: Pair, ours: Recording | None = None, key: Key | None = None
) -> str:
    """Return the likely cause of gradients that part although the forward passes agree."""
    if isinstance(pair.torch, models.torch.native) and ours is not None and key is not None:
        one = ours.values.get(key._replace(what="input"))
        own = [x for x in (pair.torch, pair.paddle) if not isinstance(x, RReLULayer)]
        if own and one is not None and (one == 0).any():
            return "the frameworks' own RReLUs differ in the gradient at zero: rrelu_compat.porting.swap"
    return cause_of_gradient(pair)


def cause_of_gradient(pair: Pair) -> str:
    """Return the likely cause of the gradients of parameters that part."""
    return "; ".join(settings_that_differ(pair.torch, pair.paddle)) or BACKWARD


def cause_of_statistics(pair: Pair) -> str:
    """Return the likely cause of running statistics that part although the inputs agree."""
    settings = settings_that_differ(pair.torch, pair.paddle)
    return "; ".join(settings) or (
        "the settings that were looked at are the same: what updates them, or how often, is not"
    )


def nothing_found(models: Models, pair: Pair, weights: Mapping[str, str]) -> str:
    """Say what was ruled out where a layer's outputs part and nothing tells why."""
    ruled = ["its inputs agree"]
    if own_tensors(models.torch, pair.torch) and pair.path not in weights:
        ruled.append("its parameters are equal")
    ruled.append("no setting that was looked at differs")
    return f"it computes something else ({', '.join(ruled)})"


BACKWARD = (
    "the backward passes differ where the forward passes agree: detached tensors, frozen "
    "parameters, hooks"
)
