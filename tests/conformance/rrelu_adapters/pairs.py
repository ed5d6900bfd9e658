"""A wrong adapter, the check that must kill it, and a right adapter that works the same way."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rrelu_adapters.reference import EVERYTHING, Reference

#: Of adapters whose slopes are their own: everything but equality with the definition.
OWN_STREAM = dataclasses.replace(EVERYTHING, portable_slopes=False, manual_seed=False)


@dataclass(frozen=True)
class Pair:
    """`killer` is named before the run; `right` does the same work without the mistake."""

    wrong: type[Reference]
    killer: str
    right: type[Reference] = Reference


class OwnStream(Reference):
    """Slopes made of uniform numbers by `uniform`, in floating point of the adapter's own."""

    capabilities = OWN_STREAM

    def slopes(self, shape, lower, upper, compute, key):
        u = self.uniform(shape, compute, key)
        a = compute.type(lower) + compute.type(upper - lower) * u.astype(compute)
        return a.clip(compute.type(lower), compute.type(upper)).astype(compute)

    def uniform(self, shape, compute, key):
        return super().slopes(shape, 0.0, 1.0, compute, key)
