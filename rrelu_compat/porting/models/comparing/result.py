"""What `compare` found: a result that prints, plots and asserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

#: What is open by the caller's own choice.
CHOSEN = ("evaluation", "dtype")
#: The names of what may be missing to a proof.
NAMES = (
    *CHOSEN,
    "not compared",
    "not exercised",
    "not aligned",
    "not finite",
    "gradients",
    "settings",
    "calls",
    "outputs",
    "not looked into",
)


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
    """The first place where the two models part, in the order of execution.

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
        Differences that are the frameworks' own.
    open : tuple of str
        What is missing to a proof, one line each, that begins with a name: ``"not exercised: ..."``.
    raised : str
        What Paddle's model raised, or "".
    """

    dtype: str
    training: bool
    rows: tuple[Row, ...]
    first: Divergence | None
    losses: tuple[tuple[float, float], ...]
    aligned: tuple[str, ...]
    unaligned: tuple[str, ...]
    notes: tuple[str, ...]
    open: tuple[str, ...] = ()
    raised: str = ""

    @property
    def agree(self) -> bool:
        """Whether the models agree in everything that was compared."""
        return self.first is None

    @property
    def proven(self) -> bool:
        """Whether they agree and nothing is missing to a proof: `open` is empty."""
        return self.agree and not self.open

    def assert_close(self, *, allow: Sequence[str] = ()) -> None:
        """Raise unless the models agree and nothing is missing to a proof.

        Evaluation mode and a dtype other than float64, which you chose yourself, are no reason to raise.

        Parameters
        ----------
        allow : sequence of str
            Names of what may be missing: "not exercised" for a line of `open` that begins so.

        Raises
        ------
        ValueError
            If `allow` has a name that is none.
        AssertionError
            With the first place where they part, the likely cause, and the table.
        """
        if unknown := sorted(set(allow) - set(NAMES)):
            raise ValueError(f"allow has {unknown[0]!r}: {', '.join(map(repr, NAMES))} are allowed")
        if self.first is not None:
            raise AssertionError(f"{self.first}\n\n{self}")
        allowed = (*allow, *CHOSEN)
        if missing := [line for line in self.open if line.partition(":")[0] not in allowed]:
            lines = "\n".join(missing)
            raise AssertionError(f"the models agree, but it is no proof:\n{lines}\n\n{self}")

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
        mode = "training" if self.training else "evaluation"
        lines = [f"{mode} mode, {self.dtype}, {len(self.losses)} step(s): {self._verdict()}", ""]
        lines += [self.table(), ""]
        lines += [
            f"loss at step {number}: {torch_loss:.17g} (torch) {paddle_loss:.17g} (paddle)"
            for number, (torch_loss, paddle_loss) in _some(self.losses)
        ]
        lines.append(f"RReLU layers aligned: {', '.join(map(repr, self.aligned)) or 'none'}")
        if self.raised:
            lines.append(f"exception: {self.raised}")
        lines += [f"open: {text}" for text in _at_most(self.open)]
        lines += [f"note: {text}" for text in _at_most(self.notes)]
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.first is not None:
            return str(self.first)
        if self.proven:
            return "the models agree"
        if self.dtype != "float64":
            return f"the models agree to the rounding of {self.dtype} (float64 would be a proof)"
        return f"the models agree, but it is no proof: {len(self.open)} thing(s) are open"


def _at_most(lines: tuple[str, ...], most: int = 12) -> list[str]:
    """Return few lines: a report is no longer than a screen, and the attributes have all of them."""
    rest = len(lines) - most
    return [*lines[:most], *([f"... and {rest} more"] if rest > 0 else [])]


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
