"""Holds what two models did against each other, in the order of execution, and keeps the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.porting.models.comparing import causes, known
from rrelu_compat.porting.models.comparing.recording import Key, Recording
from rrelu_compat.porting.models.comparing.result import Divergence, Row
from rrelu_compat.porting.models.comparing.structures import matching_item
from rrelu_compat.porting.models.comparing.tolerance import (
    BLIND,
    FLOOR,
    GRADIENT_FLOORS,
    OTHER_OPTIMIZERS,
    Yardstick,
    count_apart,
    difference,
    largest,
)
from rrelu_compat.porting.models.correspondence import Link, kind_of, own_tensors
from rrelu_compat.porting.models.pairing import is_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.pairing import Models, Pair

_Items = dict[tuple[str, int, str], list[str]]


class Judge:
    """Compares step by step.

    Attributes
    ----------
    rows : list of Row
    found : list of Divergence
        Where the two part, in the order in which it was seen.
    losses : list of (float, float)
    blind : dict of str to str
        Layers in which rounding alone moves a value so far that a fault may hide.
    statistics : dict of str to (ndarray, int)
        Running variances before the step, for what Paddle makes of them, and batches so far.
    """

    def __init__(
        self,
        models: Models,
        links: Mapping[str, list[Link]],
        weights: dict[str, str],
        yardstick: Yardstick,
    ) -> None:
        self.rows: list[Row] = []
        self.found: list[Divergence] = []
        self.losses: list[tuple[float, float]] = []
        self.blind: dict[str, str] = {}
        self.statistics: dict[str, tuple[NDArray[Any], int]] = {}
        self._yardstick = yardstick
        self._models = models
        self._links = links
        self._weights = weights
        self._back = {pair.paddle_path: pair for pair in models.pairs.values()}
        self._inputs: dict[str, list[NDArray[Any]]] = {}  # of BatchNorm layers, in this step

    def go_on(self, ours: Recording) -> Callable[[Key, NDArray[Any]], NDArray[Any] | None]:
        """Return what lets Paddle's layers start from what PyTorch's took, returned and got back.

        So one difference hides nothing of what comes after it, and rounding does not add up.
        """
        items = _items(ours)

        def value_for(key: Key, values: NDArray[Any]) -> NDArray[Any] | None:
            pair = self._back.get(key.path)
            if pair is None or values.dtype.kind != "f":
                return None
            place = (pair.path, key.call, key.what.removesuffix(" gradient"))
            item = key.item
            if item not in items.get(place, ()):  # a tensor alone is the first of several
                if item not in ("", "[0]") or not items.get(place):
                    return None
                item = items[place][0]
            one = ours.values.get(Key(pair.path, key.call, key.what, item))
            if one is None or one.size != values.size or one.dtype != values.dtype:
                return None
            one = one.reshape(values.shape)
            finite = np.isfinite(one).all() and np.isfinite(values).all()
            return None if not finite or np.array_equal(one, values) else one

        return value_for

    def passes(self, step: int, ours: Recording, theirs: Recording) -> None:
        """Compare a forward and a backward pass."""
        items = _items(ours), _items(theirs)
        self._forward(step, ours, theirs, items)
        if theirs.error is None or any("gradient" in key.what for key in theirs.values):
            self._backward(step, ours, theirs, items)
        if theirs.error is not None:
            # Whatever was seen before it comes first, but it is never left out.
            last = next((key.path for key in reversed(theirs.values)), "")
            error = theirs.error
            text = f"Paddle's model raised {type(error).__name__}: {_shortened(str(error))}"
            place = self._back[last].path if last in self._back else ""
            self._part(step, place, "exception", text)
            error.__traceback__ = None  # whose frames hold the recording

    # --- forward

    def _forward(
        self, step: int, ours: Recording, theirs: Recording, items: tuple[_Items, _Items]
    ) -> None:
        values = {key: value for key, value in ours.values.items() if "gradient" not in key.what}
        floor = FLOOR * largest(value for key, value in values.items() if key.what == "output")
        self._inputs = {}
        before = ""  # the last layer whose output agrees
        for key, value in values.items():
            pair = self._models.pairs.get(key.path)
            if pair is None:
                continue
            self._keep_inputs(pair, key, value)
            other = _other_key(key, pair, items)
            if other is None:
                if theirs.error is not None:
                    break
                group = (pair.paddle_path, key.call, key.what)
                if group not in items[1]:
                    cause = causes.cause_of_missing_call(self._models, ours, theirs, pair)
                    self._part(step, key.path, key.what, cause)
                elif key.path == "" and key.what == "output":
                    self._part(step, "", key.what, _other_outputs(items))
                continue
            if not self._compare(step, key, value, theirs.values[other], floor):
                cause = self._forward_cause(pair, ours, theirs, key, other, before)
                if value.shape != theirs.values[other].shape:
                    shapes = f"{value.shape} in PyTorch, {theirs.values[other].shape} in Paddle"
                    cause = f"{cause} (shape {shapes})"
                self._part_at_last_row(cause)
            elif key.what == "output" and self._is_leaf(pair):
                before = key.path
            if key.what == "loss":
                self.losses.append((float(value), float(theirs.values[other])))
        if theirs.error is None:
            self._more(step, ours, theirs, items)

    def _more(
        self, step: int, ours: Recording, theirs: Recording, items: tuple[_Items, _Items]
    ) -> None:
        """What Paddle's model does besides: calls of layers, outputs."""
        for pair in self._models.pairs.values():
            count, more = ours.calls.get(pair.path, 0), theirs.calls.get(pair.paddle_path, 0)
            if more > count and self._is_leaf(pair):
                text = f"Paddle's model calls it {more} time(s), PyTorch's {count}"
                self._part(step, pair.path, "calls", text)
        counts = [len(of_side.get(("", 0, "output"), ())) for of_side in items]
        if counts[1] > counts[0]:
            self._part(step, "", "output", _other_outputs(items))

    def _forward_cause(
        self, pair: Pair, ours: Recording, theirs: Recording, key: Key, other: Key, before: str
    ) -> str:
        if key.what == "loss":
            return "the outputs agree, so the two losses are not the same function"
        inside = key.what == "output" and self._is_leaf(pair)
        found = causes.cause_at_layer(self._models, pair, self._weights) if inside else None
        if found is None:
            found = causes.cause_of_mode(self._models, key.path)
        if found is None:
            if inside:
                return causes.nothing_found(self._models, pair, self._weights)
            found = causes.cause_between(self._models, ours, theirs, key, other)
        if found is None and key.path == "" and key.what == "input":
            return "the models got different inputs"
        place = f"in the code after {before!r}: " if before and not inside else ""
        return place + (
            found or "functions, arithmetic or views between the layers are not the same"
        )

    # --- backward

    def _backward(
        self, step: int, ours: Recording, theirs: Recording, items: tuple[_Items, _Items]
    ) -> None:
        keys = [key for key in ours.values if key.what == "input gradient"]
        keys.sort(key=lambda key: key.path == "")  # the model's input is that of a layer, too
        floor = GRADIENT_FLOORS[self._yardstick.dtype] * largest(ours.values[key] for key in keys)
        gradients = {path: self._parameter_gradients(path) for path in self._models.pairs}
        most = GRADIENT_FLOORS[self._yardstick.dtype] * largest(
            one for rows in gradients.values() for _, one, _ in rows
        )
        failed = theirs.error is not None
        for key in keys:
            pair = self._models.pairs.get(key.path)
            if pair is None:
                continue
            # The parameters of the layers that take a tensor get their gradients before it does.
            for path in (*ours.with_the_input_of(key._replace(what="input")), key.path):
                self._add_gradients(step, path, gradients.pop(path, []), most, failed)
            other = _other_key(key._replace(what="input"), pair, items)
            if other is None:
                continue
            two = theirs.values.get(other._replace(what="input gradient"))
            cause = causes.cause_in_backward(self._models, pair, ours, key)
            if two is None:
                if not failed:
                    self._part(step, key.path, key.what, cause)
            elif not self._compare(
                step, key, ours.values[key], two, floor, excuse=self._at_zero(pair, key, ours, two)
            ):
                self._part_at_last_row(cause)
        for path in reversed(list(gradients)):
            self._add_gradients(step, path, gradients[path], most, failed)

    def _at_zero(self, pair: Pair, key: Key, ours: Recording, two: NDArray[Any]) -> str:
        """Return what is known where an activation's gradients differ at inputs of exactly zero alone."""
        x, one = ours.values.get(key._replace(what="input")), ours.values[key]
        if isinstance(pair.torch, self._models.torch.native) or kind_of(pair.torch) is not None:
            return ""
        if x is None or x.shape != one.shape or one.shape != two.shape or not self._is_leaf(pair):
            return ""
        seen = difference(one[x != 0], two[x != 0], largest([one]))
        return known.AT_ZERO if seen.relative <= self._yardstick.relative(key, seen.scale) else ""

    def _parameter_gradients(
        self, path: str
    ) -> list[tuple[str, NDArray[Any] | None, NDArray[Any] | None]]:
        torch, paddle = self._models.torch, self._models.paddle
        found = []
        for link in self._links.get(path, []):
            one, other = torch.gradient(link.torch), paddle.gradient(link.paddle)
            found.append(
                (
                    link.name,
                    None if one is None else link.of_torch(torch.to_numpy(one)),
                    None if other is None else link.in_torch(paddle.to_numpy(other)),
                )
            )
        return found

    def _add_gradients(
        self,
        step: int,
        path: str,
        gradients: list[tuple[str, Any, Any]],
        floor: float,
        failed: bool,
    ) -> None:
        for name, one, other in gradients:
            quantity = f"gradient of {name}"
            if one is None and other is None:
                continue
            if one is None or other is None:
                if not failed:
                    where = "PyTorch" if one is None else "Paddle"
                    cause = f"no gradient reaches it in {where}: frozen, detached or not used"
                    self._part(step, path, quantity, cause)
            elif not self._compare(step, Key(path, 0, quantity, ""), one, other, floor):
                self._part_at_last_row(causes.cause_of_gradient(self._models.pairs[path]))

    # --- after a step

    def parameters(self, step: int, note: str | None) -> None:
        """Compare parameters and statistics after a step, and make Paddle's those of PyTorch."""
        torch, paddle = self._models.torch, self._models.paddle
        read = []
        for path, links in self._links.items():
            pair = self._models.pairs[path]
            ours, theirs = own_tensors(torch, pair.torch), own_tensors(paddle, pair.paddle)
            for link in links:  # ``self.count += 1`` puts another tensor there
                now = link._replace(
                    torch=ours.get(link.name, link.torch),
                    paddle=theirs.get(link.paddle_name, link.paddle),
                )
                one = now.of_torch(torch.to_numpy(now.torch))
                read.append((path, now, one, paddle.to_numpy(now.paddle)))
        floor = FLOOR * largest(one for _, _, one, _ in read)
        for path, link, one, raw in read:
            pair, other = self._models.pairs[path], link.in_torch(raw)
            statistic = link.name.startswith("running_")
            tolerance, excuse = None, ""
            if statistic:
                cause = self._weights.get(path) or causes.cause_of_statistics(pair)
                if link.name == "running_var" and self._is_biased(path, pair, other):
                    excuse = known.BIASED_VARIANCE
            else:
                cause = self._weights.get(path) or (
                    "the gradients agree, so the optimizers do not: compare their settings"
                )
                if note is not None and known.RMSPROP in note:
                    excuse = known.RMSPROP
                elif note is not None and "agree to that only" in note:
                    tolerance = OTHER_OPTIMIZERS
            key = Key(path, 0, link.name, "")
            if not self._compare(
                step, key, one, other, 0.0 if statistic else floor, tolerance, excuse
            ):
                self._part_at_last_row(cause)
            # What was judged is made the same: rounding does not grow from step to step.
            same = link.to_paddle(torch.to_numpy(link.torch))
            if same is not None and not np.array_equal(same, raw):
                paddle.assign(link.paddle, same)

    def _is_biased(self, path: str, pair: Pair, other: NDArray[Any]) -> bool:
        if path not in self.statistics or path not in self._inputs:
            return False
        before, batches = self.statistics[path]
        momentum = vars(pair.torch).get("momentum")
        if momentum is not None and before.dtype == np.float64:
            momentum = 1 - float(np.float32(1 - momentum))
        expected = known.biased_variance(before, self._inputs[path], momentum, batches)
        if expected.shape != other.shape:
            return False
        seen = difference(expected, other)
        key = Key(path, 0, "running_var", "")
        return seen.relative <= self._yardstick.relative(key, seen.scale)

    def _keep_inputs(self, pair: Pair, key: Key, value: NDArray[Any]) -> None:
        kind = kind_of(pair.torch)
        is_norm = kind is not None and kind.name == "BatchNorm" and pair.torch.training
        if is_norm and key.what == "input" and value.ndim > 1:
            self._inputs.setdefault(pair.path, []).append(value)

    # --- one comparison

    def _compare(
        self,
        step: int,
        key: Key,
        one: NDArray[Any],
        other: NDArray[Any],
        floor: float,
        tolerance: float | None = None,
        excuse: str = "",
    ) -> bool:
        """Add a row; return whether the two agree."""
        if one.shape != other.shape and one.size == other.size and key.path:
            other = other.reshape(
                one.shape
            )  # a view more or less: what follows shows if it matters
        seen = difference(one, other, floor)
        if tolerance is None:
            tolerance = self._yardstick.relative(key, seen.scale)
            if tolerance > BLIND and self._yardstick.measures:
                text = f"{key.what}: rounding alone moves it by {tolerance:.0e} of its size"
                self.blind.setdefault(key.path, text)
        agrees = seen.relative <= tolerance
        self.rows.append(
            Row(
                step,
                key.path,
                type(self._models.torch_layers[key.path]).__name__,
                key.what,
                seen.relative,
                tolerance,
                "" if agrees else excuse,
                seen.where,
                seen.values,
                0 if agrees else count_apart(one, other, tolerance * seen.scale),
            )
        )
        return self.rows[-1].agrees

    def _part(self, step: int, path: str, quantity: str, cause: str) -> None:
        """Add a row for what can't be compared."""
        kind = type(self._models.torch_layers[path]).__name__
        self.rows.append(Row(step, path, kind, quantity, float("inf"), 0.0))
        self._part_at_last_row(cause)

    def _part_at_last_row(self, cause: str) -> None:
        row = self.rows[-1]
        self.found.append(Divergence(row.step, row.layer, row.quantity, row.difference, cause))

    def _is_leaf(self, pair: Pair) -> bool:
        return is_end(self._models.torch, pair.torch)


def _items(recording: Recording) -> _Items:
    """Return the places of the tensors that each call of a layer took and returned."""
    found: _Items = {}
    for path, call, what, item in recording.values:
        found.setdefault((path, call, what), []).append(item)
    return found


def _other_key(key: Key, pair: Pair, items: tuple[_Items, _Items]) -> Key | None:
    theirs = items[1].get((pair.paddle_path, key.call, key.what), [])
    item = matching_item(key.item, items[0][key.path, key.call, key.what], theirs)
    return None if item is None else Key(pair.paddle_path, key.call, key.what, item)


def _other_outputs(items: tuple[_Items, _Items]) -> str:
    counts = [len(of_side.get(("", 0, "output"), ())) for of_side in items]
    return f"Paddle's model returns {counts[1]} tensor(s), PyTorch's {counts[0]}"


def _shortened(text: str, most: int = 600) -> str:
    """Leave out the middle of a long message: Paddle's may have whole tensors in them."""
    text = text.strip()
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
