"""PyTorch's own threads, lent to the kernels.

After an operation they spin for a while, waiting for the next. Threads of the kernels' own would have to
share the processors with them, and came milliseconds late where every processor had one (measured).
"""

from __future__ import annotations

import ctypes
import os
import pathlib

import torch

from rrelu_compat import kernels

_held: list[ctypes.CDLL] = []


def lend() -> bool:
    """Let large calls run on the threads of PyTorch's OpenMP; return whether it is one that can (GNU's)."""
    try:
        # A name is looked up in what PyTorch's library was linked with when it was loaded: another copy of
        # OpenMP, loaded before by another package, may have taken the place of the one beside it.
        library = ctypes.CDLL(
            str(pathlib.Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"),
            mode=os.RTLD_NOLOAD | os.RTLD_LAZY,
        )
        team = library.GOMP_parallel
    except (OSError, AttributeError):  # not there, or another OpenMP; RTLD_NOLOAD is not everywhere
        return False
    _held[:] = [library]
    kernels.use_team(ctypes.cast(team, ctypes.c_void_p).value)
    return True
