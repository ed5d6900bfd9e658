"""A figure of a `Comparison`: how far the two models are apart, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import os


# The smallest difference shown: zero has no place on a logarithmic axis.
_LEAST = 1e-18
_MOST = 1e3

_MARKS = {"output": "o", "input gradient": "^", "gradient of": "s"}
_COLOURS = {"output": "#3b6fb6", "input gradient": "#d1782d", "gradient of": "#4a9a5b"}
_LABELS = {
    "output": "output",
    "input gradient": "gradient at the input",
    "gradient of": "gradients of parameters",
}


def plot(comparison: Any, path: str | os.PathLike[str]) -> None:
    """Write the figure of `comparison` to `path`."""
    from matplotlib.figure import Figure

    layers = [layer for layer in dict.fromkeys(row.layer for row in comparison.rows) if layer]
    figure = Figure(figsize=(7, 1.2 + 0.28 * max(len(layers), 4)), layout="constrained")
    axes = figure.add_subplot()
    for quantity, mark in _MARKS.items():
        rows = [row for row in comparison.rows if row.layer and row.quantity.startswith(quantity)]
        axes.scatter(
            [min(max(row.difference, _LEAST), _MOST) for row in rows],
            [layers.index(row.layer) for row in rows],
            marker=mark,
            color=_COLOURS[quantity],
            label=_LABELS[quantity],
            s=22,
            alpha=0.8,
            zorder=3,
        )
    tolerance = comparison.rows[0].tolerance
    axes.axvline(tolerance, color="0.4", linestyle="--", linewidth=1, label="tolerance")
    if comparison.first is not None and comparison.first.layer in layers:
        axes.axhspan(
            layers.index(comparison.first.layer) - 0.4,
            layers.index(comparison.first.layer) + 0.4,
            color="#c23b3b",
            alpha=0.15,
            label="first place where they part",
        )
    axes.set_xscale("log")
    axes.set_xlim(_LEAST / 3, _MOST)
    kinds = {row.layer: row.kind for row in comparison.rows}
    axes.set_yticks(range(len(layers)), [f"{layer}  {kinds[layer]}" for layer in layers])
    axes.invert_yaxis()
    axes.grid(axis="x", color="0.9")
    axes.set_xlabel("largest relative difference (zero at the left edge)")
    axes.set_title(f"PyTorch and Paddle, {comparison.dtype}", fontsize=10)
    axes.legend(fontsize=8, loc="upper right")
    figure.savefig(path, dpi=150)
