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
    for file in sorted((pathlib.Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        try:
            # The one that PyTorch has loaded, and no second copy with threads of its own.
            library = ctypes.CDLL(str(file), mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        except OSError:
            continue
        _held.append(library)
        kernels.use_team(ctypes.cast(library.GOMP_parallel, ctypes.c_void_p).value)
        return True
    return False
