"""RReLU on vectors of Python floats: nothing that rrelu_compat ships."""

import random


class Vector:
    """A flat list of floats with a shape."""

    def __init__(self, values, shape):
        self.values = list(values)
        self.shape = tuple(shape)


def rrelu(x, lower, upper, training, rng=random):
    """Return RReLU of a vector."""
    for bound in (lower, upper):
        if isinstance(bound, bool) or not isinstance(bound, (int, float)) or bound - bound != 0:
            raise ValueError(f"{bound!r} is no bound")
    if lower > upper or upper - lower == float("inf"):
        raise ValueError(f"no interval from {lower!r} to {upper!r}")
    middle = (lower + upper) / 2

    def scaled(v):
        if v >= 0:
            return v
        return (rng.uniform(lower, upper) if training else middle) * v

    return Vector(map(scaled, x.values), x.shape)
