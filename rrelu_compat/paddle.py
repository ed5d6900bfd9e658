"""Drop-ins for Paddle: `RReLU` for ``paddle.nn.RReLU``, `rrelu` for ``paddle.nn.functional.rrelu``.

Same arguments in the same order, same defaults (``training=True`` in the functional form). See
``docs/paddle.md`` for what works where, and for the few differences from Paddle's own.
"""

from rrelu_compat.backends.paddle.foreign import torch_rrelu, torch_rrelu_
from rrelu_compat.backends.paddle.layer import RReLU, rrelu, rrelu_

__all__ = ["RReLU", "rrelu", "rrelu_", "torch_rrelu", "torch_rrelu_"]
