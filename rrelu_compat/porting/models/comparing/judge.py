"""Holds what two models did against each other, in the order of execution, and keeps the score."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.comparing import causes, known
from rrelu_compat.porting.models.comparing.recording import Key, Recording
from rrelu_compat.porting.models.comparing.result import Divergence, Row
from rrelu_compat.porting.models.comparing.structures import matching_item
from rrelu_compat.porting.models.comparing.tolerance import (
    GRADIENT_FLOORS,
    OTHER_OPTIMIZERS,
    Yardstick,
    count_apart,
    difference,
    largest,
)
from rrelu_compat.porting.models.correspondence import kind_of, links_of, own_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from rrelu_compat.porting.models.correspondence import Link
    from rrelu_compat.porting.models.pairing import Models, Pair


class Judge:
    """Compares step by step.

    Attributes
    ----------
    rows : list of Row
    first : Divergence or None
    losses : list of (float, float)
    raised : str
        What Paddle's model raised.
    """

    def __init__(
        self,
        models: Models,
        links: dict[str, list[Link]],
        weights: dict[str, str],
        yardstick: Yardstick,
    ) -> None:
        self.rows: list[Row] = []
        self.first: Divergence | None = None
        self.losses: list[tuple[float, float]] = []
        self.raised = ""
        self._models = models
        self._links = links
        self._weights = weights
        self._yardstick = yardstick
        self._items: tuple[dict[tuple[str, int, str], list[str]], ...] = ({}, {})

    def passes(self, step: int, ours: Recording, theirs: Recording) -> None:
        """Compare a forward and a backward pass."""
        self._items = _by_place(ours), _by_place(theirs)
        self._forward(step, ours, theirs)
        if theirs.error is not None:
            error = theirs.error
            text = f"Paddle's model raised {type(error).__name__}: {_shortened(str(error))}"
            self.raised = text
            last = next((key for key in reversed(theirs.values)), Key("", 0, "", ""))
            where = {pair.paddle_path: pair.path for pair in self._models.pairs.values()}
            path = where.get(last.path, "")
            layer = type(self._models.torch_layers[path]).__name__
            self.rows.append(Row(step, path, layer, "exception", float("inf"), 0.0))
            if self.first is None:
                self.first = Divergence(step, path, "exception", float("inf"), text)
        else:
            self._backward(step, ours, theirs)

    def other_key(self, key: Key) -> Key | None:
        """Return where Paddle's recording has what PyTorch's has at `key`; None for nowhere."""
        pair = self._models.pairs.get(key.path)
        if pair is None:
            return None
        place = key.path, key.call, key.what.removesuffix(" gradient")
        ours = self._items[0].get(place, [])
        theirs = self._items[1].get((pair.paddle_path, *place[1:]), [])
        item = matching_item(key.item, ours, theirs) if key.item in ours else None
        return None if item is None else key._replace(path=pair.paddle_path, item=item)

    def _forward(self, step: int, ours: Recording, theirs: Recording) -> None:
        before = ""  # the last layer whose output agrees
        for key, value in ours.values.items():
            pair = self._models.pairs.get(key.path)
            if pair is None or "gradient" in key.what:
                continue
            other = self.other_key(key)
            if other is None or other not in theirs.values:
                if theirs.error is not None:
                    continue
                cause = causes.cause_of_missing_call(self._models, ours, theirs, pair)
                self._add(step, key, None, None, cause)
                continue
            one, two = self._as_in_torch(pair, key, value, theirs.values[other])
            row = self._row(step, key, one, two)
            cause = ""
            if not row.agrees and self.first is None:
                cause = self._forward_cause(pair, ours, theirs, key, other, before)
                if one.shape != two.shape:
                    shapes = f"{one.shape} in PyTorch, {two.shape} in Paddle"
                    cause = f"{cause} (shape {shapes})"
            self._keep(row, cause)
            if key.what == "loss":
                self.losses.append((float(value), float(theirs.values[other])))
            elif key.what == "output" and self._is_leaf(pair):
                before = key.path

    def _as_in_torch(
        self, pair: Pair, key: Key, one: NDArray[Any], two: NDArray[Any]
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return values of a layer that works element by element in one shape: before or after flatten."""
        title = type(pair.torch).__name__
        whole = title in ("Dropout", "AlphaDropout", "Identity") or isinstance(
            pair.torch, self._models.torch.native
        )
        if whole and one.shape != two.shape and one.size == two.size:
            return one, two.reshape(one.shape)
        return one, two

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

    def _backward(self, step: int, ours: Recording, theirs: Recording) -> None:
        keys = [key for key in ours.values if key.what == "input gradient"]
        keys.sort(key=lambda key: key.path == "")  # the model's input is that of a layer, too
        gradients = {path: self._parameter_gradients(path) for path in self._models.pairs}
        floors = (
            GRADIENT_FLOORS[self._yardstick.dtype] * largest(ours.values[key] for key in keys),
            GRADIENT_FLOORS[self._yardstick.dtype]
            * largest(one for rows in gradients.values() for _, one, _ in rows),
        )
        for key in keys:
            pair = self._models.pairs.get(key.path)
            if pair is None:
                continue
            # The parameters of the layers that take a tensor get their gradients before it does.
            for path in (*ours.with_the_input_of(key._replace(what="input")), key.path):
                self._add_gradients(step, path, gradients.pop(path, []), floors[1])
            other = self.other_key(key)
            one, two = ours.values[key], None if other is None else theirs.values.get(other)
            if two is not None:
                one, two = self._as_in_torch(pair, key, one, two)
            cause = causes.cause_in_backward(self._models, pair, ours, key)
            self._add(step, key, one, two, cause, floors[0])
        for path in reversed(list(gradients)):
            self._add_gradients(step, path, gradients[path], floors[1])

    def links(self, pair: Pair) -> list[Link]:
        """Return what corresponds in two layers."""
        # Anew each time: ``self.count += 1`` puts another tensor there.
        ours = own_tensors(self._models.torch, pair.torch)
        theirs = own_tensors(self._models.paddle, pair.paddle)
        fresh = links_of(ours, theirs, pair.torch, pair.paddle)[0]
        turned = {(link.name, str(link.rows)): link.transposed for link in self._links[pair.path]}
        return [
            link._replace(transposed=turned.get((link.name, str(link.rows)), link.transposed))
            for link in fresh
        ]

    def _parameter_gradients(
        self, path: str
    ) -> list[tuple[str, NDArray[Any] | None, NDArray[Any] | None]]:
        torch, paddle = self._models.torch, self._models.paddle
        found = []
        for link in self.links(self._models.pairs[path]):
            one, two = torch.gradient(link.torch), paddle.gradient(link.paddle)
            found.append(
                (
                    link.name,
                    None if one is None else link.of_torch(torch.to_numpy(one)),
                    None if two is None else link.in_torch(paddle.to_numpy(two)),
                )
            )
        return found

    def _add_gradients(
        self, step: int, path: str, gradients: list[tuple[str, Any, Any]], floor: float
    ) -> None:
        for name, one, other in gradients:
            if one is None and other is None:
                continue
            if one is None or other is None:
                where = "PyTorch" if one is None else "Paddle"
                cause = f"no gradient reaches it in {where}: frozen, detached or not used"
            else:
                cause = causes.cause_of_gradient(self._models, self._models.pairs[path])
            self._add(step, Key(path, 0, f"gradient of {name}", ""), one, other, cause, floor)

    def parameters(
        self,
        step: int,
        optimizer: str,
        note: str | None,
        expected: dict[str, NDArray[Any]],
    ) -> None:
        """Compare parameters and running statistics after an optimizer step.

        Parameters
        ----------
        note : str or None
            What to know of the optimizer.
        expected : dict of str to ndarray
            By path of a BatchNorm layer, the running variance that Paddle must have.
        """
        torch, paddle = self._models.torch, self._models.paddle
        trained = optimizer in ("SGD", "Momentum", "Adam", "AdamW", "NoneType")
        for pair in self._models.pairs.values():
            own = torch.parameters(pair.torch)
            for link in self.links(pair):
                one = link.of_torch(torch.to_numpy(link.torch))
                two = link.in_torch(paddle.to_numpy(link.paddle))
                statistic = link.name not in own
                key = Key(pair.path, 0, link.name, "")
                least = 0.0 if statistic or trained else OTHER_OPTIMIZERS
                excuse = ""
                if link.name == "running_var" and pair.path in expected:
                    wanted = difference(expected[pair.path], two)
                    if wanted.relative <= self._yardstick.relative(key, wanted.scale):
                        excuse = known.BIASED_VARIANCE
                elif not statistic and note is not None and known.RMSPROP in note:
                    excuse = known.RMSPROP
                if statistic:
                    cause = self._weights.get(pair.path) or causes.cause_of_statistics(
                        self._models, pair
                    )
                else:
                    cause = "the gradients agree, so the optimizers do not: compare their settings"
                self._add(step, key, one, two, cause, 0.0, excuse, least)

    def _is_leaf(self, pair: Pair) -> bool:
        return not self._models.torch.children(pair.torch) or kind_of(pair.torch) is not None

    def _row(
        self,
        step: int,
        key: Key,
        one: NDArray[Any] | None,
        two: NDArray[Any] | None,
        floor: float = 0.0,
        excuse: str = "",
        least: float = 0.0,
    ) -> Row:
        kind = type(self._models.torch_layers[key.path]).__name__
        if one is None or two is None:
            return Row(step, key.path, kind, key.what, float("inf"), 0.0)
        if self._yardstick.given is None:
            floor = 0.0  # what rounding does was measured
        apart = difference(one, two, floor)
        tolerance = max(self._yardstick.relative(key, apart.scale), least)
        count = 0
        if apart.relative > tolerance:
            count = count_apart(one, two, tolerance * apart.scale)
        else:
            excuse = ""
        return Row(
            step,
            key.path,
            kind,
            key.what,
            apart.relative,
            tolerance,
            excuse,
            apart.place,
            apart.values,
            count,
        )

    def _add(
        self,
        step: int,
        key: Key,
        one: NDArray[Any] | None,
        two: NDArray[Any] | None,
        cause: str,
        floor: float = 0.0,
        excuse: str = "",
        least: float = 0.0,
    ) -> None:
        self._keep(self._row(step, key, one, two, floor, excuse, least), cause)

    def _keep(self, row: Row, cause: str) -> None:
        self.rows.append(row)
        if self.first is None and not row.agrees:
            self.first = Divergence(row.step, row.layer, row.quantity, row.difference, cause)


def _by_place(recording: Recording) -> dict[tuple[str, int, str], list[str]]:
    found: dict[tuple[str, int, str], list[str]] = {}
    for key in recording.values:
        if "gradient" not in key.what:
            found.setdefault((key.path, key.call, key.what), []).append(key.item)
    return found


def _shortened(text: str, most: int = 600) -> str:
    """Leave out the middle of a long message: Paddle's may have whole tensors in them."""
    text = text.strip()
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
