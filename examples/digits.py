"""Train one network in PyTorch and in Paddle from equal weights, in training mode, and compare.

Usage: python examples/digits.py [--steps N] [--plot FILE]

A small convolutional network with RReLU on scikit-learn's digits. With `rrelu_compat.manual_seed` both
frameworks use the same random slopes, so the two losses can be compared step by step:

- in float64 they agree to 1e-12 over all steps;
- in float32 they agree to rounding and then part as any two roundings do; for scale, each framework is
  also compared with itself after every weight was moved by one unit in the last place;
- with the frameworks' own RReLU layers they part at once: their slopes differ.
"""

from __future__ import annotations

import argparse
import importlib
from dataclasses import dataclass, replace

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import rrelu_compat

BATCH = 64
SHAPES = {
    "conv1": (8, 1, 3, 3),
    "conv2": (16, 8, 3, 3),
    "linear1": (32, 256),
    "linear2": (10, 32),
}
ADAM, SGD = "Adam", "SGD"
RATES = {ADAM: 2.0**-10, SGD: 2.0**-4}


@dataclass(frozen=True)
class Run:
    """One training run."""

    framework: str
    optimizer: str
    dtype: str
    native: bool = False
    perturbed: bool = False


def digits(dtype):
    """Return training and test images (n, 1, 8, 8) in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(dtype).reshape(-1, 1, 8, 8)
    return train_test_split(images, labels, test_size=0.25, random_state=0)


def weights(dtype, perturbed):
    """Return the initial weights by layer; `perturbed`: each one unit in the last place larger."""
    random = np.random.default_rng(0)
    initial = {
        name: (random.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(dtype)
        for name, shape in SHAPES.items()
    }
    if perturbed:
        initial = {name: np.nextafter(w, np.array(np.inf, dtype)) for name, w in initial.items()}
    return initial


def batches(steps, n):
    """Return the rows of each step's batch."""
    random = np.random.default_rng(1)
    return [random.choice(n, BATCH, replace=False) for _ in range(steps)]


def activation(run, nn):
    """Return the RReLU layer under test."""
    if run.native:
        return nn.RReLU()
    return rrelu_compat.RReLU(backend=run.framework)


def train_torch(run, steps):
    """Return the training losses (steps,) and the test accuracy."""
    import torch
    from torch import nn

    x, x_test, labels, labels_test = map(torch.as_tensor, digits(run.dtype))
    conv1, conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, stride=2, padding=1)
    linear1, linear2 = nn.Linear(256, 32), nn.Linear(32, 10)
    model = nn.Sequential(
        conv1, activation(run, nn), conv2, activation(run, nn),
        nn.Flatten(), linear1, activation(run, nn), linear2,
    ).to(getattr(torch, run.dtype))  # fmt: skip
    with torch.no_grad():
        for layer, (_, w) in zip(
            (conv1, conv2, linear1, linear2), weights(run.dtype, run.perturbed).items(), strict=True
        ):
            layer.weight.copy_(torch.as_tensor(w))
            layer.bias.zero_()
    optimizer = getattr(torch.optim, run.optimizer)(model.parameters(), RATES[run.optimizer])
    losses = []
    for rows in batches(steps, len(x)):
        loss = nn.functional.cross_entropy(model(x[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses), (model.eval()(x_test).argmax(1) == labels_test).float().mean().item()


def train_paddle(run, steps):
    """Return the training losses (steps,) and the test accuracy."""
    import paddle
    from paddle import nn

    x, x_test, labels, labels_test = map(paddle.to_tensor, digits(run.dtype))
    conv1, conv2 = nn.Conv2D(1, 8, 3, padding=1), nn.Conv2D(8, 16, 3, stride=2, padding=1)
    linear1, linear2 = nn.Linear(256, 32), nn.Linear(32, 10)
    model = nn.Sequential(
        conv1, activation(run, nn), conv2, activation(run, nn),
        nn.Flatten(), linear1, activation(run, nn), linear2,
    ).to(dtype=run.dtype)  # fmt: skip
    for layer, (name, w) in zip(
        (conv1, conv2, linear1, linear2), weights(run.dtype, run.perturbed).items(), strict=True
    ):
        # Paddle's Linear keeps its weight transposed.
        layer.weight.set_value(np.ascontiguousarray(w.T) if "linear" in name else w)
        layer.bias.set_value(np.zeros(layer.bias.shape, run.dtype))
    optimizer = getattr(paddle.optimizer, run.optimizer)(
        RATES[run.optimizer], parameters=model.parameters()
    )
    losses = []
    for rows in batches(steps, len(x)):
        rows = paddle.to_tensor(rows)
        loss = nn.functional.cross_entropy(model(x[rows]), labels[rows])
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    hits = (model(x_test).argmax(1) == labels_test).astype("float32")
    return np.array(losses), hits.mean().item()


def train(run, steps):
    """Return the training losses (steps,) and the test accuracy of one run, from fixed seeds."""
    rrelu_compat.manual_seed(0)
    framework = importlib.import_module(run.framework)
    (framework.manual_seed if run.framework == "torch" else framework.seed)(0)
    try:
        return {"torch": train_torch, "paddle": train_paddle}[run.framework](run, steps)
    finally:
        rrelu_compat.manual_seed(None)


def compare(optimizer, dtype, steps, native=False):
    """Return both frameworks' losses and accuracies, and each one's drift from itself."""
    results, drift = {}, {}
    for framework in ("torch", "paddle"):
        run = Run(framework, optimizer, dtype, native)
        results[framework] = train(run, steps)
        if not native:
            moved, _ = train(replace(run, perturbed=True), steps)
            drift[framework] = np.abs(moved - results[framework][0])
    return results, drift


def print_comparison(title, results, drift):
    """Print losses side by side, differences, accuracies; return the largest difference."""
    (torch_loss, torch_accuracy), (paddle_loss, paddle_accuracy) = results.values()
    difference = np.abs(torch_loss - paddle_loss)
    steps = len(difference)
    print(f"\n{title}")
    print("  step   torch loss          paddle loss         largest difference so far")
    for step in sorted({1, 10, 100, 300, steps} & set(range(1, steps + 1))):
        print(
            f"  {step:4}   {torch_loss[step - 1]:.15f}   {paddle_loss[step - 1]:.15f}   "
            f"{difference[:step].max():.1e}"
        )
    for framework, apart in drift.items():
        print(f"  {framework} from itself, weights moved by one ulp: {apart.max():.1e}")
    print(f"  test accuracy: torch {torch_accuracy:.1%}, paddle {paddle_accuracy:.1%}")
    return difference


def plot(curves, path):
    """Draw the largest difference so far over the steps, a panel for each optimizer."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(curves), figsize=(11, 5), sharey=True, layout="constrained")
    for axis, (optimizer, lines) in zip(axes, curves.items(), strict=True):
        for label, difference in lines.items():
            so_far = np.maximum.accumulate(difference)
            axis.semilogy(np.maximum(so_far, 1e-17), label=label, linewidth=1.5)
        axis.set(title=optimizer, xlabel="step")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("largest difference of losses so far")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize="small")
    figure.savefig(path, dpi=120)


def main():
    """Run all comparisons, print them, and check the claims of the first docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="training steps (default 300)")
    parser.add_argument("--plot", metavar="FILE", help="write the plot there")
    arguments = parser.parse_args()
    curves, failures = {}, []
    for optimizer in (SGD, ADAM):
        lines = curves.setdefault(optimizer, {})
        for dtype in ("float64", "float32"):
            results, drift = compare(optimizer, dtype, arguments.steps)
            difference = print_comparison(f"{optimizer}, {dtype}, rrelu_compat", results, drift)
            lines[f"rrelu_compat, {dtype}"] = difference
            lines[f"one framework against itself, one ulp, {dtype}"] = drift["torch"]
            if dtype == "float64" and difference.max() > 1e-12:
                failures.append(f"{optimizer} in float64: {difference.max():.1e} is above 1e-12")
            if difference.max() > 10 * max(apart.max() for apart in drift.values()):
                failures.append(
                    f"{optimizer} in {dtype}: more than ten times the drift from itself"
                )
        results, drift = compare(optimizer, "float64", arguments.steps, native=True)
        lines["the frameworks' own RReLU, float64"] = print_comparison(
            f"{optimizer}, float64, the frameworks' own RReLU", results, drift
        )
    if arguments.plot:
        plot(curves, arguments.plot)
    print("\n" + ("\n".join(failures) if failures else "All losses agree as claimed."))
    return bool(failures)


if __name__ == "__main__":
    raise SystemExit(main())
