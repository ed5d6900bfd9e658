"""What the core dispatches PyTorch tensors to: see `rrelu_compat.Backend`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import torch

from rrelu_compat import kernels
from rrelu_compat.backends.torch import private, script
from rrelu_compat.backends.torch.layer import NATIVE, RReLU, apply_spec, rrelu
from rrelu_compat.kernels import cuda
from rrelu_compat.spec import RReLUSpec


class TorchBackend:
    """PyTorch tensors: see `rrelu_compat.Backend`."""

    name = "torch"
    apply = staticmethod(apply_spec)
    function = staticmethod(rrelu)
    #: What TorchScript compiles in the place of the neutral functions.
    scripted = MappingProxyType(
        {"rrelu": script.neutral, "torch_rrelu": script.rrelu, "paddle_rrelu": script.paddle_rrelu}
    )

    def is_tensor(self, x: object) -> bool:
        """Whether `x` is a ``torch.Tensor``."""
        return isinstance(x, torch.Tensor)

    def layer(self, spec: RReLUSpec, generator: Any = None) -> RReLU:
        """Build the ``rrelu_compat.torch.RReLU`` of `spec`."""
        return RReLU(spec.lower, spec.upper, spec.inplace, spec.name, generator=generator)

    def spec_of(self, layer: Any) -> RReLUSpec | None:
        """Return the spec of PyTorch's own layer; None for another module."""
        if not isinstance(layer, NATIVE):
            return None
        return RReLUSpec(layer.lower, layer.upper, layer.inplace)

    def info(self) -> dict[str, Any]:
        """Return versions, devices, dtypes and the kernel in use."""
        devices, found = ["cpu"], {"cpu": kernels.path()}
        if torch.cuda.is_available():
            devices.append("cuda")
            found["cuda"] = cuda.describe(0)
        return {
            "version": str(torch.__version__),
            "devices": devices,
            "dtypes": list(kernels.DTYPES),
            "kernels": found,
            "private names": private.self_tests(),
            "threads": torch.get_num_threads(),
        }


backend = TorchBackend()
