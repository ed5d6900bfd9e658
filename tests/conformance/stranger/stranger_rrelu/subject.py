"""The adapter: written after docs/conformance.md alone."""

import random

import numpy as np

from rrelu_compat.conformance import Capabilities
from stranger_rrelu import Vector, rrelu

EXPECTED = {
    "bounds.numpy-scalar[cpu-float64-train]": "only int and float are bounds here",
    "bounds.numpy-scalar[cpu-float64-eval]": "only int and float are bounds here",
    "seeding.positives-count[cpu-float64-train]": "draws for negative elements only",
    "seeding.zeros-count-like-negatives[cpu-float64-train]": "draws for negative elements only",
}


class ListSubject:
    """Python floats are float64; there are no gradients, no layers, one stream."""

    name = "stranger"
    capabilities = Capabilities(dtypes=("float64",), global_seeding=True)
    expected_failures = EXPECTED

    def from_numpy(self, array, *, device):
        if array.dtype != np.float64:
            raise TypeError(f"a vector has floats, not {array.dtype}")
        return Vector(array.reshape(-1).tolist(), array.shape)

    def to_numpy(self, tensor):
        return np.array(tensor.values, dtype=np.float64).reshape(tensor.shape)

    def forward(self, x, lower, upper, *, training):
        return rrelu(x, lower, upper, training)

    def seed(self, n):
        random.seed(n)
