"""Compare ReLU, leaky ReLU and RReLU on scikit-learn's digits over several seeds.

Usage: python docs/scripts/activations.py

Writes ``docs/data/activations.csv`` (one line a run) and ``docs/includes/activations.md`` (the table of
"What RReLU is"). A small convolutional network, 500 training images, 1297 test images. For a given
seed all activations get the same split, the same initial weights and the same batches.
"""

from __future__ import annotations

import csv
import pathlib
import statistics
from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import rrelu_compat
from rrelu_compat.torch import RReLU

if TYPE_CHECKING:
    from collections.abc import Callable

DOCS = pathlib.Path(__file__).parents[1]
DATA = DOCS / "data" / "activations.csv"
TABLE = DOCS / "includes" / "activations.md"
SEEDS, TRAINING_IMAGES, STEPS, BATCH = 10, 500, 500, 50
FIELDS = ("activation", "seed", "train_error", "test_error", "test_log_loss")


class PaperRReLU(nn.Module):
    """The paper's own form: the slope is 1/a with a ~ U(3, 8), in evaluation 1/5.5."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = rrelu_compat.Generator(seed)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Divide the negative elements by a."""
        if not self.training:
            return torch.where(x >= 0, x, x / 5.5)
        seed, call = self.generator.take()
        a = rrelu_compat.slopes(tuple(x.shape), 3.0, 8.0, seed=seed, call=call)
        return torch.where(x >= 0, x, x / torch.from_numpy(a))


ACTIVATIONS: dict[str, Callable[[int], nn.Module]] = {
    "ReLU": lambda seed: nn.ReLU(),
    "leaky ReLU, slope 0.01": lambda seed: nn.LeakyReLU(0.01),
    "leaky ReLU, slope 11/48 (the mean of RReLU)": lambda seed: nn.LeakyReLU(11 / 48),
    "RReLU, slope ~ U(1/8, 1/3)": lambda seed: RReLU(generator=rrelu_compat.Generator(seed)),
    "RReLU of the paper, slope 1/a, a ~ U(3, 8)": PaperRReLU,
}


def network(activation: Callable[[int], nn.Module], seed: int) -> nn.Module:
    """Return the network with initial weights that depend on the seed alone."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        activation(3 * seed),
        nn.Conv2d(16, 32, 3, stride=2, padding=1),
        activation(3 * seed + 1),
        nn.Flatten(),
        nn.Linear(512, 64),
        activation(3 * seed + 2),
        nn.Linear(64, 10),
    )


def run(name: str, seed: int, steps: int = STEPS) -> dict[str, str]:
    """Train once and return a line of the data."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32").reshape(-1, 1, 8, 8)
    split = train_test_split(
        images, labels, train_size=TRAINING_IMAGES, random_state=seed, stratify=labels
    )
    x, x_test, t, t_test = map(torch.as_tensor, split)
    model = network(ACTIVATIONS[name], seed)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    random = np.random.default_rng(seed)
    for _ in range(steps):
        rows = torch.from_numpy(random.choice(len(x), BATCH, replace=False))
        loss = nn.functional.cross_entropy(model(x[rows]), t[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        train, test = model(x), model(x_test)
    return {
        "activation": name,
        "seed": str(seed),
        "train_error": f"{(train.argmax(1) != t).float().mean():.5f}",
        "test_error": f"{(test.argmax(1) != t_test).float().mean():.5f}",
        "test_log_loss": f"{nn.functional.cross_entropy(test, t_test):.5f}",
    }


def table(lines: list[dict[str, str]]) -> str:
    """Return the table: mean and standard deviation over the seeds."""
    reference = {line["seed"]: float(line["test_error"]) for line in lines[:SEEDS]}
    text = [
        "| activation | training error | test error | test log loss | better / worse than ReLU |",
        "|---|---|---|---|---|",
    ]
    for name in ACTIVATIONS:
        own = [line for line in lines if line["activation"] == name]
        cells = []
        for field, factor, digits in (
            ("train_error", 100, 2),
            ("test_error", 100, 2),
            ("test_log_loss", 1, 3),
        ):
            values = [factor * float(line[field]) for line in own]
            unit = " %" if factor == 100 else ""
            mean, spread = statistics.mean(values), statistics.stdev(values)
            cells.append(f"{mean:.{digits}f} ± {spread:.{digits}f}{unit}")
        better = sum(float(line["test_error"]) < reference[line["seed"]] for line in own)
        worse = sum(float(line["test_error"]) > reference[line["seed"]] for line in own)
        cells.append("–" if name == "ReLU" else f"{better} / {worse} of {len(own)} seeds")
        text.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


def read() -> list[dict[str, str]]:
    """Return the committed data."""
    with DATA.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Run everything and write data and table."""
    torch.set_num_threads(1)
    lines = [run(name, seed) for name in ACTIVATIONS for seed in range(SEEDS)]
    with DATA.open("w", newline="") as file:
        writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
    TABLE.write_text(table(lines), encoding="utf-8")
    print(table(lines))


if __name__ == "__main__":
    main()
