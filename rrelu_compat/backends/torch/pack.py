"""What forward and backward of one call share: the dtype, the slopes, and how the sign bits lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

    from rrelu_compat.backends.torch.recompute import Entry


class DeviceKey:
    """Seed and call of one training call as two int64 on a device; equal only to itself.

    `default` says that they were drawn from PyTorch's default generator of the device.
    """

    __slots__ = ("default", "words")

    def __init__(self, words: Tensor, default: bool = False) -> None:
        self.words = words
        self.default = default


class Pack(NamedTuple):
    """One call."""

    #: The module whose kernels run: `cpu` or `cuda`.
    run: Any
    #: The kernels' code of the dtype.
    code: int
    lower: float
    upper: float
    #: Seed and call, or a key on the device and nothing.
    seed: int | DeviceKey = 0
    call: int = 0
    #: The index of the first element, and the strides of indices; None: C order.
    start: int = 0
    index_strides: tuple[int, ...] | None = None
    #: The order of axes in which the bits lie; None: C order.
    order: tuple[int, ...] | None = None
    #: The entry of the recomputation log.
    entry: Entry | None = None
    #: Whether saved-tensor hooks may replace what is saved.
    hooks: bool = False
