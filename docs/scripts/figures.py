"""Make the figures of the documentation.

Usage: python docs/scripts/figures.py [--train]

Draws ``docs/assets/*.svg``. The losses of the landing page are read from ``docs/data/losses.csv``;
``--train`` trains the networks again first (half a minute) and writes that file.
"""

from __future__ import annotations

import argparse
import csv
import io
import pathlib
import sys

import matplotlib as mpl
import numpy as np

import rrelu_compat

mpl.use("Agg")
import matplotlib.pyplot as plt

DOCS = pathlib.Path(__file__).parents[1]
ASSETS = DOCS / "assets"
LOSSES = DOCS / "data" / "losses.csv"
STEPS = 300
BLUE, ORANGE, GRAY = "#1f5fa8", "#e07b00", "#666666"
STYLE = {
    "svg.hashsalt": "rrelu-compat",
    "svg.fonttype": "path",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "lines.linewidth": 1.4,
}
COLUMNS = ("torch_native", "paddle_native", "torch_ours", "paddle_ours")


def train(steps: int = STEPS) -> dict[str, np.ndarray]:
    """Return the training losses (float64) of the network of ``examples/digits.py`` by column."""
    sys.path.insert(0, str(DOCS.parent / "examples"))
    import digits

    losses = {}
    for column in COLUMNS:
        framework, kind = column.split("_")
        run = digits.Run(framework, digits.SGD, "float64", native=kind == "native")
        losses[column], _ = digits.train(run, steps)
    return losses


def write_losses(losses: dict[str, np.ndarray]) -> None:
    """Write the losses with all their digits."""
    with LOSSES.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(zip(*(map(repr, losses[c].tolist()) for c in COLUMNS), strict=True))


def read_losses() -> dict[str, np.ndarray]:
    """Return the committed losses."""
    with LOSSES.open(newline="") as file:
        lines = list(csv.DictReader(file))
    return {c: np.array([float(line[c]) for line in lines]) for c in COLUMNS}


def scientific(value: float) -> str:
    """Return a number as matplotlib shows it."""
    mantissa, exponent = f"{value:.0e}".split("e")
    return rf"${mantissa} \times 10^{{{int(exponent)}}}$"


def losses_figure(losses: dict[str, np.ndarray]) -> plt.Figure:
    """Draw the last losses of both frameworks, with their own RReLU and with ours; below, all differences."""
    figure = plt.figure(figsize=(8, 5.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=(1, 0.9))
    left = figure.add_subplot(grid[0, 0])
    right = figure.add_subplot(grid[0, 1], sharey=left)
    below = figure.add_subplot(grid[1, :])
    count = len(losses["torch_ours"])
    steps = np.arange(1, count + 1)
    last = slice(count - 50, None)
    for axis, kind, title, color in (
        (left, "native", "the frameworks' own RReLU", ORANGE),
        (right, "ours", "rrelu_compat.RReLU", BLUE),
    ):
        torch, paddle = losses[f"torch_{kind}"], losses[f"paddle_{kind}"]
        axis.plot(steps[last], torch[last], color=BLUE, linewidth=3, alpha=0.6, label="PyTorch")
        axis.plot(steps[last], paddle[last], color=ORANGE, linewidth=1.3, label="Paddle")
        axis.set(title=title, xlabel="training step (the last 50)", ylim=(0, None))
        apart = np.maximum(np.abs(torch - paddle), 1e-17)
        below.semilogy(steps, apart, color=color, linewidth=1)
        where = apart.max() * (4 if kind == "native" else 30)
        largest = f"{apart.max():.2f}" if kind == "native" else scientific(apart.max())
        below.text(
            count, where, f"{title}: at most {largest}", color=color, ha="right", va="bottom"
        )
    left.set_ylabel("training loss")
    left.legend(frameon=False, loc="upper left", fontsize=10)
    below.set(
        xlabel="training step",
        ylabel="|PyTorch - Paddle|",
        ylim=(1e-18, 50),
        title="the losses' difference, float64",
    )
    return figure


def band_figure() -> plt.Figure:
    """Draw the slopes in training and in evaluation, and the two parametrisations."""
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    lower, upper = 1 / 8, 1 / 3
    x = np.linspace(-4, 2, 601)
    negative = np.minimum(x, 0)
    axis = axes[0]
    axis.fill_between(
        x, lower * negative, upper * negative, color=BLUE, alpha=0.2, linewidth=0,
        label="training: any slope in the band",
    )  # fmt: skip
    points = np.linspace(-4, 0, 160, endpoint=False)
    drawn = rrelu_compat.slopes(len(points), lower, upper, seed=7, dtype="float64")
    axis.plot(points, drawn * points, ".", color=BLUE, markersize=3, label="one training call")
    axis.plot(
        x,
        np.where(x >= 0, x, (lower + upper) / 2 * x),
        color=ORANGE,
        label="evaluation: the mean slope",
    )
    axis.set(xlabel="$x$", ylabel="$y$", title="U(1/8, 1/3), as in PyTorch and Paddle")
    axis.legend(frameon=False, fontsize=9, loc="upper left")

    axis = axes[1]
    s = np.linspace(0.1, 0.36, 1001)
    uniform = np.where((s >= lower) & (s <= upper), 1 / (upper - lower), 0)
    paper = np.where((s >= 1 / 8) & (s <= 1 / 3), 1 / (5 * s**2), 0)
    axis.plot(s, uniform, color=BLUE, label="frameworks: slope ~ U(1/8, 1/3)")
    axis.plot(s, paper, color=GRAY, label="paper: slope = 1/a, a ~ U(3, 8)")
    axis.axvline(11 / 48, color=BLUE, linestyle="--", linewidth=1)
    axis.axvline(2 / 11, color=GRAY, linestyle="--", linewidth=1)
    axis.text(11 / 48 + 0.003, 11.3, "evaluation\n11/48 = 0.229", color=BLUE, fontsize=9, va="top")
    axis.text(
        2 / 11 - 0.003,
        16,
        "evaluation\n1/5.5 = 0.182",
        color=GRAY,
        fontsize=9,
        ha="right",
        va="top",
    )
    axis.set(
        xlabel="slope", ylabel="probability density", title="two parametrisations", ylim=(0, 20)
    )
    axis.legend(frameon=False, fontsize=9, loc="upper right")
    return figure


def svg(figure: plt.Figure) -> str:
    """Return the figure as SVG, the same text every time."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, facecolor="white")
    plt.close(figure)
    return buffer.getvalue()


def figures() -> dict[str, str]:
    """Return all figures by file name."""
    with mpl.rc_context(STYLE):
        return {
            "losses.svg": svg(losses_figure(read_losses())),
            "band.svg": svg(band_figure()),
        }


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", action="store_true", help="train the networks again")
    if parser.parse_args().train:
        write_losses(train())
    for name, text in figures().items():
        (ASSETS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
