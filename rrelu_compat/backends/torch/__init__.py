"""The PyTorch adapter: `backend` is what the core dispatches to."""

from __future__ import annotations

from rrelu_compat.dispatch import check_torch_is_real

check_torch_is_real()

from typing import TYPE_CHECKING, Any  # noqa: E402

import torch  # noqa: E402

from rrelu_compat.backends.torch import openmp, routes, tensors  # noqa: E402
from rrelu_compat.spec import check_training  # noqa: E402

if TYPE_CHECKING:
    from rrelu_compat.spec import RReLUSpec


class TorchBackend:
    """PyTorch tensors: see `rrelu_compat.Backend`."""

    name = "torch"

    def is_tensor(self, x: object) -> bool:
        """Whether `x` is a ``torch.Tensor``."""
        return isinstance(x, torch.Tensor)

    def apply(self, x: Any, spec: RReLUSpec, *, training: bool, generator: Any = None) -> Any:
        """Return RReLU of `x`; `x` itself if ``spec.inplace``."""
        check_training(training)
        return routes.apply(x, spec, training, generator)

    def layer(self, spec: RReLUSpec, generator: Any = None) -> Any:
        """Build the ``rrelu_compat.torch.RReLU`` of `spec`."""
        from rrelu_compat.torch import RReLU

        return RReLU(spec.lower, spec.upper, spec.inplace, spec.name, generator=generator)

    def info(self) -> dict[str, Any]:
        """Return versions, devices, dtypes and the kernel in use."""
        return tensors.info()


openmp.lend()
backend = TorchBackend()
