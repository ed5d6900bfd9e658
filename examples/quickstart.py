"""Train a small network with RReLU on scikit-learn's digits, in PyTorch and in Paddle.

Usage: python examples/quickstart.py [torch] [paddle]

The layer comes from one import, `from rrelu_compat import RReLU`, and `manual_seed` gives both
frameworks the same slopes. (The weights still start apart: ``examples/digits.py`` starts them equal.)
"""

import argparse

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import rrelu_compat
from rrelu_compat import RReLU

STEPS, BATCH = 300, 64


def digits():
    """Return training and test images (n, 64) in [0, 1], and their labels."""
    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype("float32")
    return train_test_split(images, labels, test_size=0.25, random_state=0)


def train_torch():
    """Return the last training loss and the test accuracy."""
    import torch

    rrelu_compat.set_default_backend("torch")
    rrelu_compat.manual_seed(0)
    torch.manual_seed(0)
    x, x_test, labels, labels_test = map(torch.as_tensor, digits())
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), RReLU(), torch.nn.Linear(64, 64), RReLU(), torch.nn.Linear(64, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for step in range(STEPS):
        rows = torch.arange(step * BATCH, (step + 1) * BATCH) % len(x)
        loss = torch.nn.functional.cross_entropy(model(x[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    accuracy = (model.eval()(x_test).argmax(1) == labels_test).float().mean()
    return loss.item(), accuracy.item()


def train_paddle():
    """Return the last training loss and the test accuracy."""
    import paddle

    rrelu_compat.set_default_backend("paddle")
    rrelu_compat.manual_seed(0)
    paddle.seed(0)
    x, x_test, labels, labels_test = map(paddle.to_tensor, digits())
    model = paddle.nn.Sequential(
        paddle.nn.Linear(64, 64),
        RReLU(),
        paddle.nn.Linear(64, 64),
        RReLU(),
        paddle.nn.Linear(64, 10),
    )
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    for step in range(STEPS):
        rows = paddle.arange(step * BATCH, (step + 1) * BATCH) % len(x)
        loss = paddle.nn.functional.cross_entropy(model(x[rows]), labels[rows])
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    accuracy = (model(x_test).argmax(1) == labels_test).astype("float32").mean()
    return loss.item(), accuracy.item()


def main():
    """Train in the frameworks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", nargs="*", default=["torch", "paddle"])
    for framework in parser.parse_args().framework:
        loss, accuracy = {"torch": train_torch, "paddle": train_paddle}[framework]()
        print(f"{framework:6}  last training loss {loss:.4f}  test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
