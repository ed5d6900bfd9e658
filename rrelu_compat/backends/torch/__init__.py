"""The PyTorch adapter."""

from rrelu_compat.frameworks import check_torch_is_real

check_torch_is_real()  # before a module of this package imports torch
