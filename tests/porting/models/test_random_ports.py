"""Small networks made at random: no right port is called wrong, no planted fault is missed.

The fast set has a sample; all of them run in the slow set.
"""

import random

import numpy as np
import pytest

from rrelu_compat.porting import compare

FAST, SLOW = 12, 500


def pick(rng, kit, channels, number):
    """Return one layer in the framework of `kit`; the same choices in both for the same `rng`."""
    is_torch = kit.name == "torch"
    p = rng.choice([0.1, 0.3, 0.7])
    lower = rng.choice([0.05, 0.1, 0.2])
    upper = lower + rng.choice([0.1, 0.3])
    momentum, eps = rng.choice([0.1, 0.3]), rng.choice([1e-5, 1e-3])
    choice = number % 12
    if choice in (0, 6):
        return kit.RReLU(lower, upper)  # in place, Paddle's backward raises after some layers
    if choice == 1:
        return kit.Conv2d(channels, channels, 3, padding=1)
    if choice == 2:
        return kit.BatchNorm2d(
            channels,
            **(
                {"momentum": momentum, "eps": eps}
                if is_torch
                else {"momentum": 1 - momentum, "epsilon": eps}
            ),
        )
    if choice == 3:
        return kit.nn.Dropout(p)
    if choice == 4:
        return kit.nn.ELU(p)
    if choice == 5:
        return kit.nn.GroupNorm(2, channels)
    if choice == 7:
        return kit.nn.Dropout2d(p) if is_torch else kit.nn.Dropout2D(p)
    if choice == 8:
        return kit.nn.LeakyReLU(p)
    if choice == 9:
        return kit.nn.Hardsigmoid()
    if choice == 10:
        return kit.nn.AvgPool2d(3, 1, 1) if is_torch else kit.nn.AvgPool2D(3, 1, 1, exclusive=False)
    return kit.nn.SELU()


def network(seed):
    def make(kit):
        rng = random.Random(seed)
        channels = rng.choice([2, 4])
        layers = [kit.Conv2d(2, channels, 1), kit.RReLU(0.1, 0.3)]
        layers += [pick(rng, kit, channels, rng.randrange(12)) for _ in range(rng.randint(1, 6))]
        layers += [kit.Conv2d(channels, 2, 1)]
        names = [
            f"part{number}" if kit.name == "torch" or seed % 3 else f"other{number}"
            for number in range(len(layers))
        ]

        class Net(kit.Module):
            def __init__(self):
                super().__init__()
                for name, layer in zip(names, layers, strict=True):
                    setattr(self, name, layer)

            def forward(self, x):
                for name in names:
                    x = getattr(self, name)(x)
                return x

        return Net()

    return make


def built(seed, both):
    rng = random.Random(seed)
    size = rng.choice([(2, 1), (2, 2), (3, 4)])
    x = np.random.default_rng(seed).normal(size=(size[0], 2, size[1], size[1]))
    ours, theirs = both(network(seed), copy=False, seed=seed)
    from rrelu_compat.porting import copy_weights, propose_names

    names = propose_names(ours, theirs, x)
    copy_weights(ours, theirs, names=names)
    return ours, theirs, x, names


def plant(seed, port):
    """Change one thing in Paddle's model; return what was changed."""
    rng = random.Random(seed)
    layers = [layer for layer in port.sublayers() if not layer.sublayers()]
    found = []
    for layer in layers:
        title = type(layer).__name__
        if title == "RReLU":
            found.append((title, lambda layer=layer: setattr(layer, "upper", layer.upper + 1e-3)))
        elif title == "BatchNorm2D":
            found.append(
                (title, lambda layer=layer: setattr(layer, "_momentum", layer._momentum - 0.01))
            )
            found.append(
                (title, lambda layer=layer: setattr(layer, "_epsilon", layer._epsilon * 1.1))
            )
        elif title.startswith("Conv"):

            def more(layer=layer):
                values = layer.weight.numpy().copy()
                values.flat[0] += 1e-6
                layer.weight.set_value(values)

            found.append((title, more))
            found.append((title, lambda layer=layer: setattr(layer.bias, "stop_gradient", True)))
        elif title.startswith("Dropout"):
            found.append((title, lambda layer=layer: setattr(layer, "p", layer.p / 2)))
    title, change = rng.choice(found)
    change()
    return title


def check_right(seed, both):
    ours, theirs, x, names = built(seed, both)
    result = compare(ours, theirs, x, seed=seed, steps=3, names=names)
    assert result.agree, f"seed {seed}: {result}"


def check_planted(seed, both):
    ours, theirs, x, names = built(seed, both)
    title = plant(seed, theirs)
    result = compare(ours, theirs, x, seed=seed, steps=3, names=names)
    assert not result.proven, f"seed {seed}: a fault in a {title} was missed\n{result}"


@pytest.mark.parametrize("seed", range(FAST))
def test_a_right_port_made_at_random(seed, both):
    check_right(seed, both)


@pytest.mark.parametrize("seed", range(FAST))
def test_a_planted_fault_made_at_random(seed, both):
    check_planted(seed, both)


@pytest.mark.slow
def test_all_right_ports(both):
    for seed in range(FAST, SLOW):
        check_right(seed, both)


@pytest.mark.slow
def test_all_planted_faults(both):
    for seed in range(FAST, SLOW):
        check_planted(seed, both)
