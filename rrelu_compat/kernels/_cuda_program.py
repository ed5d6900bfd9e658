"""The text of the CUDA kernels and its compilation by NVRTC, through ``cuda.core``.

Nothing here needs a GPU: a program is compiled for an architecture by name.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any

#: Threads of a block, and elements of a block of the contiguous kernels and of the others, as in
#: ``rrelu_cuda.h``.
THREADS = 256
LINEAR_BLOCK = THREADS * 2 * 4
STRIDED_BLOCK = THREADS * 8
TILED_BLOCK = THREADS * 32
SLOPES_BLOCK = THREADS * 4


@functools.cache
def _header(name: str) -> str:
    return importlib.resources.files("rrelu_compat.kernels").joinpath(name).read_text("utf-8")


def source(dtype: int, rank: int = 0) -> str:
    """Return the program of one dtype.

    Parameters
    ----------
    dtype : int
        A dtype code.
    rank : int
        0: the kernels of contiguous tensors; above: those of any layout with so many axes.
    """
    lines = [f"#define RR_DTYPE {dtype}"]
    if rank:
        # A launch passes scalars only, so each axis is four parameters.
        parameters = [f"rr_u64 n{d}, rr_i64 x{d}, rr_i64 y{d}, rr_i64 i{d}" for d in range(rank)]
        axes = [f"{{n{d}, x{d}, y{d}, i{d}}}" for d in range(rank)]
        lines += [
            f"#define RR_RANK {rank}",
            f"#define RR_AXIS_PARAMS {', '.join(parameters)}",
            f"#define RR_AXES {', '.join(axes)}",
        ]
    # In this order no header has to include another, so no include path is needed.
    headers = ("rrelu.h", "rrelu_cuda.h", "rrelu_cuda_kernels.h")
    return "\n".join([*lines, *map(_header, headers)])


@functools.cache
def supported() -> tuple[tuple[int, int], tuple[int, ...]]:
    """Return NVRTC's version and the architectures it compiles for, as (75, 80, ...).

    Raises
    ------
    ImportError, RuntimeError
        If ``cuda.core`` or NVRTC is not installed.
    """
    from cuda.bindings import nvrtc

    status, major, minor = nvrtc.nvrtcVersion()
    failed, architectures = nvrtc.nvrtcGetSupportedArchs()
    if int(status) or int(failed):
        raise RuntimeError(f"NVRTC does not answer: {status!r}, {failed!r}")
    return (int(major), int(minor)), tuple(sorted(int(one) for one in architectures))


def target(capability: int) -> tuple[str, str]:
    """Return architecture and code type to compile for a device of some compute capability (90, ...).

    Raises
    ------
    RuntimeError
        If NVRTC knows nothing so old.
    """
    (major, minor), architectures = supported()
    if capability in architectures:
        return f"sm_{capability}", "cubin"
    if capability < architectures[0]:
        raise RuntimeError(
            f"the device has compute capability {capability / 10:.1f}: NVRTC {major}.{minor} compiles for "
            f"{architectures[0] / 10:.1f} and above, an older one is needed"
        )
    # A device newer than this NVRTC, or between two it knows: its driver finishes the older code.
    older = max(one for one in architectures if one < capability)
    return f"compute_{older}", "ptx"


def options(dtype: int, rank: int, arch: str) -> Any:
    """Return the ``cuda.core.ProgramOptions`` of a program.

    The definition allows no fused multiply-add and no flushing of denormals.
    """
    from cuda.core import ProgramOptions

    return ProgramOptions(
        name=f"rrelu_{dtype}_{rank}", arch=arch, std="c++17", fma=False, ftz=False
    )


def compile_program(dtype: int, rank: int, arch: str, code: str) -> Any:
    """Return the ``cuda.core.ObjectCode`` of one program; `arch` and `code` as of `target`."""
    from cuda.core import Program

    return Program(source(dtype, rank), "c++", options(dtype, rank, arch)).compile(code)
