"""What `compare` found: a result that prints, plots and asserts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

#: The names of what a proof may lack.
OPEN = (
    "evaluation",
    "dtype",
    "forward only",
    "not finite",
    "not exercised",
    "not called",
    "not compared",
    "no gradient",
    "random",
    "settings",
    "sensitive",
)
_LINES = 12  # of one sort in a report, unless asked for more


@dataclass(frozen=True)
class Row:
    """One compared quantity.

    Attributes
    ----------
    step : int
        From 1.
    layer : str
        The path of the layer in the PyTorch model; ``""`` is the model itself.
    kind : str
        The class of the layer, or "".
    quantity : str
        "input", "output", "input gradient", "loss", "gradient of weight", "weight", ...
    difference : float
        The largest difference of two elements, relative to the largest element; infinite if the shapes
        differ.
    tolerance : float
        How much rounding explains.
    known : str
        Why a larger difference is the frameworks' own and no fault, or "".
    index : tuple of int or None
        Where the worst element is; `values` are PyTorch's and Paddle's there, and `count` says how many
        elements differ by more than the tolerance.
    """

    step: int
    layer: str
    kind: str
    quantity: str
    difference: float
    tolerance: float
    known: str = ""
    index: tuple[int, ...] | None = None
    values: tuple[float, float] | None = None
    count: int = 0

    @property
    def agrees(self) -> bool:
        """Whether the two are the same but for rounding, or differ as the frameworks do."""
        return self.difference <= self.tolerance or bool(self.known)


@dataclass(frozen=True)
class Divergence:
    """A place where the two models part.

    `layer`, `quantity` and `difference` are those of the `Row`; `cause` is the likely one, in words.
    """

    step: int
    layer: str
    quantity: str
    difference: float
    cause: str

    def __str__(self) -> str:
        place = repr(self.layer) if self.layer else "the model itself"
        return (
            f"step {self.step}: the models part at {place}, {self.quantity} "
            f"(relative difference {self.difference:.2g}): {self.cause}"
        )


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`.

    Attributes
    ----------
    dtype : str
        The models' dtype. "float64" is a proof; in others rounding hides small faults.
    training : bool
        Whether the models ran in training mode.
    rows : tuple of Row
        Everything that was compared, in the order of execution.
    first : Divergence or None
        Where the models part first, None if they agree.
    losses : tuple of (float, float)
        PyTorch's and Paddle's loss at each step.
    aligned : tuple of str
        The RReLU layers whose slopes were made the same.
    unaligned : tuple of str
        What is random and can't be made the same, with the reason: dropout and its like.
    notes : tuple of str
        Differences that are the frameworks' own, and what to know besides.
    differences : tuple of Divergence
        Every place where they part: `first`, then the rest. Where they part, Paddle's model went on with
        PyTorch's values, so that what comes after a difference was compared as well.
    open : tuple of str
        What a proof lacks, one line each; the word before the colon names it for `assert_close`.
    names : dict of str to str
        Layers that were paired by the order of execution; prints as Python, for `names`.
    """

    dtype: str
    training: bool
    rows: tuple[Row, ...]
    first: Divergence | None
    losses: tuple[tuple[float, float], ...]
    aligned: tuple[str, ...]
    unaligned: tuple[str, ...]
    notes: tuple[str, ...]
    differences: tuple[Divergence, ...] = ()
    open: tuple[str, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    asked: tuple[str, ...] = ()

    @property
    def agree(self) -> bool:
        """Whether the models agree in everything that was compared."""
        return self.first is None

    @property
    def proven(self) -> bool:
        """Whether they agree, and nothing is missing for a proof (`open` is empty)."""
        return self.agree and not self.open

    def assert_close(self, *, allow: Iterable[str] = ()) -> None:
        """Raise unless the models agree and nothing is missing for a proof.

        Parameters
        ----------
        allow : iterable of str
            Names of what may be missing, as in `open`: "not exercised", "not compared", "settings", ...
            What `compare` was asked for needs no name: ``training=False``, models that are not in
            float64.

        Raises
        ------
        ValueError
            If `allow` has a name that there is not.
        AssertionError
            With the first place where they part, or what is missing, and the table.
        """
        allow = (allow,) if isinstance(allow, str) else tuple(allow)
        for name in allow:
            if name not in OPEN:
                raise ValueError(f"allow must be among {', '.join(map(repr, OPEN))}, got {name!r}")
        if self.first is not None:
            raise AssertionError(f"{self.first}\n\n{self}")
        missing = [
            text for text in self.open if text.partition(":")[0] not in (*allow, *self.asked)
        ]
        if missing:
            lines = "\n".join(missing)
            raise AssertionError(
                f"the models agree, but that proves too little:\n{lines}\n\n{self}"
            )

    def table(self, step: int | None = None) -> str:
        """Return a table in Markdown: the largest difference of each kind, layer by layer.

        Parameters
        ----------
        step : int, optional
            Only this step. Default: the largest over all of them.
        """
        lines = [
            "| layer | kind | output | input gradient | parameter gradients | parameters | |",
            "|---|---|---|---|---|---|---|",
        ]
        rows = [row for row in self.rows if step in (None, row.step)]
        for layer in dict.fromkeys(row.layer for row in rows):
            own = [row for row in rows if row.layer == layer]
            cells = [
                _worst([row for row in own if _column(row.quantity) == column])
                for column in ("output", "input gradient", "parameter gradients", "parameters")
            ]
            parts = [row.quantity for row in own if not row.agrees]
            known = list(dict.fromkeys(row.known for row in own if row.known))
            remark = f"parts: {', '.join(dict.fromkeys(parts))}" if parts else "; ".join(known)
            name = layer or "(the model)"
            lines.append(f"| {name} | {own[0].kind} | {' | '.join(cells)} | {remark} |")
        return "\n".join(lines)

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write a figure of the differences, layer by layer (needs matplotlib).

        Parameters
        ----------
        path : path-like
            Its suffix says the format: .png, .svg, .pdf.
        """
        from rrelu_compat.porting.models.comparing.plot import plot

        plot(self, path)

    def __str__(self) -> str:
        return self.report()

    def report(self, *, verbose: bool = False) -> str:
        """Return the result as text: no longer than a screen, or with `verbose` the whole of it."""
        mode = "training" if self.training else "evaluation"
        lines = [f"{mode} mode, {self.dtype}, {len(self.losses)} step(s): {self._verdict()}"]
        rest = [f"also: {place}" for place in _one_of_each_layer(self.differences)[1:]]
        raised = [text for text in rest if ", exception" in text]
        rest = raised + [text for text in rest if text not in raised]
        lines += [*_shown(rest, verbose), *_shown([f"open: {o}" for o in self.open], verbose), ""]
        table = self.table().splitlines()
        if not verbose and len(table) > 2 * _LINES + 2:
            parted = [line for line in table[2:] if "| parts: " in line]
            body = parted or table[2:]
            hidden = len(table) - 2 - len(body[:_LINES])
            table = [*table[:2], *body[:_LINES], f"({hidden} more layers: report(verbose=True))"]
        lines += [*table, ""]
        lines += [
            f"loss at step {number}: {torch_loss:.17g} (torch) {paddle_loss:.17g} (paddle)"
            for number, (torch_loss, paddle_loss) in _some(self.losses)
        ]
        aligned = _shown([repr(path) for path in self.aligned], verbose)
        lines.append(f"RReLU layers aligned: {', '.join(aligned) or 'none'}")
        lines += _shown([f"not aligned: {text}" for text in self.unaligned], verbose)
        lines += _shown([f"note: {text}" for text in self.notes], verbose)
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.first is not None:
            return str(self.first)
        if self.proven:
            return "the models agree"
        if self.dtype != "float64":
            return f"the models agree to the rounding of {self.dtype} (float64 would be a proof)"
        return "the models agree in what was compared, which is no proof"


def _one_of_each_layer(places: tuple[Divergence, ...]) -> list[Divergence]:
    """The first place in each layer, and every exception."""
    found: dict[tuple[str, bool], Divergence] = {}
    for place in places:
        found.setdefault((place.layer, place.quantity == "exception"), place)
    return list(found.values())


def _shown(lines: list[str], verbose: bool) -> list[str]:
    if verbose or len(lines) <= _LINES:
        return lines
    return [*lines[:_LINES], f"... and {len(lines) - _LINES} more"]


def _column(quantity: str) -> str:
    if quantity.startswith("gradient of"):
        return "parameter gradients"
    if quantity in ("input gradient", "loss"):
        return quantity
    if quantity in ("input", "output"):
        return "output"
    return "parameters"


def _worst(rows: list[Row]) -> str:
    return f"{max(row.difference for row in rows):.1e}" if rows else ""


def _some(losses: tuple[Any, ...]) -> list[tuple[int, Any]]:
    """The first three and the last: a long run would drown the table."""
    numbered = list(enumerate(losses, 1))
    return numbered if len(numbered) <= 4 else numbered[:3] + numbered[-1:]
