"""What is missing to a proof, one line each: ``name: what``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.layers import RReLULayer
from rrelu_compat.porting.models.comparing.settings import settings_that_differ
from rrelu_compat.porting.models.correspondence import own_tensors
from rrelu_compat.porting.models.pairing import inner_paths
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.models.comparing.recording import Recording
    from rrelu_compat.porting.models.pairing import Models


class Proof:
    """Collects what is open while the steps run.

    Attributes
    ----------
    lines : dict of str to None
        In the order they were found.
    """

    def __init__(self, models: Models, dtype: str, training: bool) -> None:
        self.lines: dict[str, None] = {}
        self._models = models
        self._met: dict[str, bool] = {}  # by path of an RReLU layer: a negative value was there
        self._aligned: set[str] = set()
        self._moved = False  # some gradient was not zero
        if dtype != "float64":
            self.add("dtype", f"rounding of {dtype} hides small faults: run in float64")
        if not training:
            self.add("evaluation", "the models ran in evaluation mode")
        for line in _without_counterpart(models):
            self.add("not compared", line)
        for path, pair in models.pairs.items():
            for setting in settings_that_differ(pair.torch, pair.paddle):
                self.add("settings", f"{path!r} has {setting}")
            if isinstance(pair.torch, RReLULayer) and isinstance(pair.paddle, RReLULayer):
                self._met[path] = False
                self._aligned.add(path)
                ours, theirs = (RReLUSpec.from_layer(layer) for layer in (pair.torch, pair.paddle))
                if (ours.lower, ours.upper) != (theirs.lower, theirs.upper):
                    bounds = f"({ours.lower:g}, {ours.upper:g})"
                    others = f"({theirs.lower:g}, {theirs.upper:g})"
                    self.add(
                        "settings", f"{path!r} has bounds {bounds} in torch, {others} in Paddle"
                    )
                if training and not all(vars(x)["training"] for x in (pair.torch, pair.paddle)):
                    self.add("not exercised", f"{path!r} (RReLU) is in evaluation mode")
                    del self._met[path]

    def add(self, name: str, text: str) -> None:
        """Add a line."""
        self.lines[f"{name}: {text}"] = None

    def see(self, ours: Recording, theirs: Recording) -> None:
        """Look at a pass."""
        models = self._models
        for path, pair in models.pairs.items():
            calls = ours.calls.get(path, 0), theirs.calls.get(pair.paddle_path, 0)
            if calls[0] != calls[1] and theirs.error is None:
                self.add(
                    "calls", f"{path!r} is called {calls[0]} time(s) in torch, {calls[1]} in Paddle"
                )
        paths = {pair.paddle_path: pair.path for pair in models.pairs.values()}
        for recording, known in ((ours, {path: path for path in models.pairs}), (theirs, paths)):
            for path, kind in recording.opaque.items():
                if path in known:
                    self.add("not looked into", f"{known[path]!r} returns a {kind}")
            for key, values in recording.values.items():
                if key.path not in known or values.dtype.kind not in "fc":
                    continue
                if not np.isfinite(values).all():
                    self.add("not finite", f"{key.what} of {known[key.path]!r}")
                if known[key.path] in self._met and key.what == "input" and recording is ours:
                    self._met[key.path] |= bool((values < 0).any())
            for key, source in recording.drawn.items():
                ours_drew = key.what == "output" and known.get(key.path) in self._aligned
                if source == "theirs" and key.path in known and not ours_drew:
                    self.add(
                        "not aligned",
                        f"the framework's own random numbers are drawn before the {key.what} of "
                        f"{known[key.path]!r}",
                    )
        counts: list[dict[tuple[str, str], int]] = [{}, {}]
        for count, recording, known in (
            (counts[0], ours, {path: path for path in models.pairs}),
            (counts[1], theirs, paths),
        ):
            for key in recording.values:
                if key.what == "output" and key.path in known and key.call == 0:
                    place = known[key.path], key.what
                    count[place] = count.get(place, 0) + 1
        for place, number in counts[1].items():
            if number > counts[0].get(place, 0) and theirs.error is None:
                where = f"{place[0]!r}" if place[0] else "the model"
                self.add(
                    "outputs",
                    f"{where} returns {number} tensors in Paddle, {counts[0].get(place, 0)} in torch",
                )

    def see_gradients(self, gradients: dict[Any, Any]) -> None:
        """Look at the gradients of the parameters: all of them zero prove nothing."""
        arrays = [values for key, values in gradients.items() if key.what.startswith("gradient of")]
        self._moved |= not arrays or any(values.any() for values in arrays)

    def finish(self) -> tuple[str, ...]:
        """Return what is open when all steps are done."""
        for path, met in self._met.items():
            if not met:
                self.add("not exercised", f"{path!r} (RReLU) met no negative value")
        if not self._moved:
            self.add("gradients", "all gradients of the parameters are zero")
        return tuple(self.lines)


def _without_counterpart(models: Models) -> Iterator[str]:
    paired = {pair.paddle_path for pair in models.pairs.values()}
    for where, framework, layers, known in (
        ("PyTorch", models.torch, models.torch_layers, models.pairs.keys()),
        ("Paddle", models.paddle, models.paddle_layers, paired),
    ):
        inside = inner_paths(framework, layers)
        for path, layer in layers.items():
            if path in known or path in inside:
                continue
            if own_tensors(framework, layer) or isinstance(layer, framework.native):
                yield f"{path!r} ({type(layer).__name__}) is in the {where} model only"
