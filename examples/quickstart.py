"""Train one small network with RReLU on scikit-learn's digits, in PyTorch and in Paddle.

Usage: python examples/quickstart.py [torch] [paddle]

Both start from the same weights, take the same batches and draw the same slopes, so both print the same.
"""

import argparse

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import rrelu_compat
from rrelu_compat import RReLU

STEPS, BATCH = 300, 64
images, labels = load_digits(return_X_y=True)
x, x_test, t, t_test = train_test_split(images / 16, labels, test_size=0.25, random_state=0)
random = np.random.default_rng(0)
weights = [random.normal(size=(n, m)) / np.sqrt(n) for n, m in ((64, 64), (64, 64), (64, 10))]
batches = [random.choice(len(x), BATCH, replace=False) for _ in range(STEPS)]


def train_torch():
    """Return the last training loss and the test accuracy."""
    import torch

    rrelu_compat.set_default_backend("torch")
    rrelu_compat.manual_seed(0)
    linear = [torch.nn.Linear(*w.shape).double() for w in weights]
    for layer, w in zip(linear, weights, strict=True):
        layer.weight.data = torch.tensor(w.T)  # PyTorch keeps (out, in)
        torch.nn.init.zeros_(layer.bias)
    model = torch.nn.Sequential(linear[0], RReLU(), linear[1], RReLU(), linear[2])
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for rows in batches:
        scores = model(torch.as_tensor(x[rows]))
        loss = torch.nn.functional.cross_entropy(scores, torch.as_tensor(t[rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    guess = model.eval()(torch.as_tensor(x_test)).argmax(1).numpy()
    return loss.item(), (guess == t_test).mean()


def train_paddle():
    """Return the last training loss and the test accuracy."""
    import paddle

    rrelu_compat.set_default_backend("paddle")
    rrelu_compat.manual_seed(0)
    linear = [paddle.nn.Linear(*w.shape).to(dtype="float64") for w in weights]
    for layer, w in zip(linear, weights, strict=True):
        layer.weight.set_value(w)  # Paddle keeps (in, out)
        layer.bias.set_value(np.zeros(layer.bias.shape))
    model = paddle.nn.Sequential(linear[0], RReLU(), linear[1], RReLU(), linear[2])
    optimizer = paddle.optimizer.Adam(1e-3, parameters=model.parameters())
    for rows in batches:
        scores = model(paddle.to_tensor(x[rows]))
        loss = paddle.nn.functional.cross_entropy(scores, paddle.to_tensor(t[rows]))
        optimizer.clear_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    guess = model(paddle.to_tensor(x_test)).argmax(1).numpy()
    return loss.item(), (guess == t_test).mean()


def main():
    """Train in the frameworks named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("framework", nargs="*", default=["torch", "paddle"])
    for framework in parser.parse_args().framework:
        loss, accuracy = {"torch": train_torch, "paddle": train_paddle}[framework]()
        print(f"{framework:6}  last training loss {loss:.8f}  test accuracy {accuracy:.1%}")


if __name__ == "__main__":
    main()
