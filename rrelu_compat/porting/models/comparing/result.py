"""What `compare` found: a result that prints, plots and asserts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os


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
    """

    step: int
    layer: str
    kind: str
    quantity: str
    difference: float
    tolerance: float
    known: str = ""

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
        Differences that are the frameworks' own, and what was not compared.
    """

    dtype: str
    training: bool
    rows: tuple[Row, ...]
    first: Divergence | None
    losses: tuple[tuple[float, float], ...]
    aligned: tuple[str, ...]
    unaligned: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def agree(self) -> bool:
        """Whether the models agree in everything that was compared."""
        return self.first is None

    @property
    def proven(self) -> bool:
        """Whether they agree in float64."""
        return self.agree and self.dtype == "float64"

    def assert_close(self) -> None:
        """Raise unless the models agree.

        Raises
        ------
        AssertionError
            With the first place where they part, the likely cause, and the table.
        """
        if self.first is not None:
            raise AssertionError(f"{self.first}\n\n{self}")

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
        lines += [f"not aligned: {text}" for text in self.unaligned]
        lines += [f"note: {text}" for text in self.notes]
        return "\n".join(lines)

    def _verdict(self) -> str:
        if self.first is not None:
            return str(self.first)
        if self.proven:
            return "the models agree"
        return f"the models agree to the rounding of {self.dtype} (float64 would be a proof)"


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
