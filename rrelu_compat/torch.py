"""Drop-ins for PyTorch: `RReLU` for ``torch.nn.RReLU``, `rrelu`, `rrelu_` for ``F.rrelu``, ``F.rrelu_``.

Same arguments in the same order, same defaults (``training=False`` in the functional forms). See
``docs/pytorch.md`` for what works where, and for the few differences from PyTorch's own.
"""

from rrelu_compat.backends.torch.device_keys import bind_to_device, unbind
from rrelu_compat.backends.torch.foreign import paddle_rrelu, paddle_rrelu_
from rrelu_compat.backends.torch.layer import RReLU, rrelu, rrelu_

__all__ = [
    "RReLU",
    "bind_to_device",
    "paddle_rrelu",
    "paddle_rrelu_",
    "rrelu",
    "rrelu_",
    "unbind",
]
