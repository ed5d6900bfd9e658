"""What a proof needs besides equal numbers, and what of it is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.comparing.settings import settings_that_differ
from rrelu_compat.porting.models.correspondence import own_tensors
from rrelu_compat.porting.models.pairing import inner_paths, is_end
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rrelu_compat.porting.models.comparing.recording import Recording
    from rrelu_compat.porting.models.correspondence import Link
    from rrelu_compat.porting.models.pairing import Models, Pair


class Coverage:
    """What the passes have shown so far."""

    def __init__(self, models: Models, links: Mapping[str, list[Link]]) -> None:
        self._models = models
        self._links = links
        self._infinite: dict[str, None] = {}
        self._negative: set[str] = set()
        self._called: set[str] = set()
        self._opaque: dict[str, str] = {}
        self._drawn: dict[str, None] = {}
        self._moved = False
        self._reached: set[int] = set()
        self._ours = {
            path for path, pair in models.pairs.items() if isinstance(pair.torch, RReLULayer)
        }
        self._names = {pair.paddle_path: pair.path for pair in models.pairs.values()}

    def see(self, ours: Recording, theirs: Recording) -> None:
        """Take note of one pass of both models, before gradients are made equal."""
        models = self._models
        for where, recording, names in (
            ("PyTorch", ours, None),
            ("Paddle", theirs, self._names),
        ):
            for key, value in recording.values.items():
                path = key.path if names is None else names.get(key.path, key.path)
                if value.dtype.kind in "fc" and not np.isfinite(value).all():
                    place = repr(path) if path else "the model itself"
                    self._infinite.setdefault(f"{key.what} of {place}")
                if recording.drawn.get(key) == "theirs" and not (
                    key.what == "output" and path in self._ours  # which move the framework's state
                ):
                    place = repr(path) if path else "the model"
                    self._drawn.setdefault(
                        f"{where} draws numbers of its own before the {key.what} of {place}"
                    )
                if key.what == "input gradient" and value.any():
                    self._moved = True
            self._opaque |= {
                (path if names is None else names.get(path, path)): words
                for path, words in recording.opaque.items()
            }
        for key, value in ours.values.items():
            if key.what == "input" and value.dtype.kind == "f" and (value < 0).any():
                self._negative.add(key.path)
        self._called |= set(ours.calls)
        for framework, layers in (
            (models.torch, models.torch_layers),
            (models.paddle, models.paddle_layers),
        ):
            for layer in layers.values():
                for tensor in framework.parameters(layer).values():
                    gradient = framework.gradient(tensor)
                    if gradient is not None:
                        self._reached.add(id(tensor))
                        if not self._moved and framework.to_numpy(gradient).any():
                            self._moved = True

    def missing(self, left: list[str], blind: Mapping[str, str], backward: bool) -> list[str]:
        """Return what is missing, one line each."""
        models = self._models
        found = [f"not finite: the {place}" for place in list(self._infinite)[:1]]
        for path, pair in models.pairs.items():
            place = repr(path) if path else "the model itself"
            if differ := _settings(models, pair):
                found.append(f"settings: {place}: {differ}")
            if not is_end(models.torch, pair.torch):
                continue
            random = isinstance(pair.torch, models.torch.native)
            if path not in self._called:
                if random or self._links.get(path):
                    found.append(f"not called: {place} ({type(pair.torch).__name__})")
            elif random and not (pair.torch.training and pair.paddle.training):
                found.append(f"not exercised: {place} is in evaluation mode and draws no slopes")
            elif random and path not in self._negative:
                found.append(f"not exercised: no negative value reached {place}")
        found += [f"not compared: {text}" for text in (*self._unpaired(), *left)]
        found += [
            f"not compared: what {path or 'the model'!r} returns holds a {words}, which can't be looked into"
            for path, words in self._opaque.items()
            if path in models.pairs
        ]
        if backward:
            found += self._without_gradient()
        found += [f"random: {text}" for text in list(self._drawn)[:1]]
        found += [
            f"sensitive: {path or 'the model itself'!r}, {words}" for path, words in blind.items()
        ]
        return found

    def _without_gradient(self) -> list[str]:
        models = self._models
        parameters = [
            (path, link.name, link.torch)
            for path, links in self._links.items()
            for link in links
            if path in self._called or not path
        ]
        trained = [
            (path, name, tensor)
            for path, name, tensor in parameters
            if _is_parameter(models, tensor) and models.torch.asks_gradient(tensor)
        ]
        if not self._moved and trained:
            return ["no gradient: all gradients are zero"]
        return [
            f"no gradient: none reached {name!r} of {path or 'the model itself'!r}"
            for path, name, tensor in trained
            if id(tensor) not in self._reached
        ]

    def _unpaired(self) -> list[str]:
        """Layers with parameters, or RReLUs, that have no counterpart, with what they hold."""
        models = self._models
        linked = {
            id(tensor)
            for links in self._links.values()
            for link in links
            for tensor in (link.torch, link.paddle)
        }
        paired = {pair.paddle_path for pair in models.pairs.values()}
        found = []
        for where, framework, layers, known in (
            ("PyTorch", models.torch, models.torch_layers, set(models.pairs)),
            ("Paddle", models.paddle, models.paddle_layers, paired),
        ):
            inside = inner_paths(framework, layers)
            for path, layer in layers.items():
                own = own_tensors(framework, layer)
                own_new = [name for name, tensor in own.items() if id(tensor) not in linked]
                if path in known or path in inside:
                    continue
                if own_new or isinstance(layer, framework.native):
                    what = f" with {', '.join(own_new)}" if own_new else ""
                    found.append(
                        f"{path!r} ({type(layer).__name__}{what}), in the {where} model only"
                    )
        return found


def _is_parameter(models: Models, tensor: Any) -> bool:
    return models.torch.is_parameter(tensor)


def _settings(models: Models, pair: Pair) -> str:
    found = []
    if isinstance(pair.torch, models.torch.native) and isinstance(
        pair.paddle, models.paddle.native
    ):
        ours, theirs = RReLUSpec.from_layer(pair.torch), RReLUSpec.from_layer(pair.paddle)
        if (ours.lower, ours.upper) != (theirs.lower, theirs.upper):
            found.append(
                f"bounds ({ours.lower:g}, {ours.upper:g}) in torch, "
                f"({theirs.lower:g}, {theirs.upper:g}) in Paddle"
            )
    return "; ".join([*found, *settings_that_differ(pair.torch, pair.paddle)])
