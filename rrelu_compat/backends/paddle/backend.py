"""What the core dispatches Paddle tensors to: see `rrelu_compat.Backend`."""

from __future__ import annotations

from typing import Any

import paddle

from rrelu_compat import kernels
from rrelu_compat.backends.paddle import cuda, private
from rrelu_compat.backends.paddle.layer import NATIVE, RReLU, rrelu
from rrelu_compat.backends.paddle.routes import apply
from rrelu_compat.spec import RReLUSpec


class PaddleBackend:
    """Paddle tensors, eager and static: see `rrelu_compat.Backend`."""

    name = "paddle"
    apply = staticmethod(apply)
    function = staticmethod(rrelu)

    def is_tensor(self, x: object) -> bool:
        """Whether `x` is a Paddle tensor or a value of a static program."""
        return isinstance(x, (paddle.Tensor, private.Value, paddle.static.Variable))

    def layer(self, spec: RReLUSpec, generator: Any = None) -> RReLU:
        """Build the ``rrelu_compat.paddle.RReLU`` of `spec`."""
        return RReLU(spec.lower, spec.upper, spec.name, spec.inplace, generator=generator)

    def spec_of(self, layer: Any) -> RReLUSpec | None:
        """Return the spec of Paddle's own layer; None for another one."""
        if not isinstance(layer, NATIVE):
            return None
        # Paddle 3.3 has no in-place form; its next release has one.
        inplace = getattr(layer, "_inplace", getattr(layer, "inplace", False))
        return RReLUSpec(layer._lower, layer._upper, bool(inplace), layer._name)

    def info(self) -> dict[str, Any]:
        """Return versions, devices, dtypes and the kernel in use."""
        found = {"cpu": kernels.path(), **cuda.info()}
        return {
            "version": paddle.__version__,
            "devices": list(found),
            "dtypes": list(kernels.DTYPES),
            "kernels": found,
            "private names": private.self_tests(),
        }


backend = PaddleBackend()
