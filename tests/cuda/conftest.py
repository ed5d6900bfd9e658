"""A stand-in for a CUDA device: records launches, and runs the kernels as C++ compiled for the host."""

import ctypes
import os
import pathlib
import subprocess
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

from rrelu_compat.kernels import _cuda_program as program
from rrelu_compat.kernels import cuda

HERE = pathlib.Path(__file__).parent
COMPILER = os.environ.get("CXX", "g++")
# As for the device: no contraction. The sanitizer aborts on, among others, a vector access that is not
# aligned. Loads of four floats through a structure are fine in CUDA, but not by C++'s aliasing rules.
FLAGS = ["-std=c++17", "-O1", "-shared", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing"]
FLAGS += ["-fsanitize=undefined", "-fno-sanitize-recover=all"]
FLAGS += ["-Wall", "-Werror", "-Wno-unknown-pragmas"]


@dataclass
class Launch:
    """One recorded launch."""

    kernel: str
    dtype: int
    rank: int
    grid: tuple
    block: tuple
    stream: int
    current: int
    values: tuple


class HostKernels:
    """Compiles the text of a program for the host, once for each, and runs its kernels."""

    def __init__(self, directory):
        self.directory = directory
        self.libraries = {}

    def library(self, dtype, rank):
        if (dtype, rank) not in self.libraries:
            text = "\n".join(
                [
                    (HERE / "host.h").read_text(),
                    program.source(dtype, rank),
                    (HERE / "host.cpp").read_text(),
                ]
            )
            file = self.directory / f"k{dtype}_{rank}.cpp"
            file.write_text(text)
            library = file.with_suffix(".so")
            command = [COMPILER, *FLAGS, str(file), "-o", str(library)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            self.libraries[dtype, rank] = ctypes.CDLL(str(library))
        return self.libraries[dtype, rank]

    def run(self, launch, backwards, first=0):
        values = [as_parameter(value) for value in launch.values]
        addresses = (ctypes.c_void_p * len(values))(*(ctypes.addressof(v) for v in values))
        status = self.library(launch.dtype, launch.rank).launch(
            launch.kernel.encode(), first, launch.grid[0] - first, launch.block[0], backwards,
            len(values), addresses,
        )  # fmt: skip
        assert status == 0, f"{launch}: {status}"


def as_parameter(value):
    """Convert a launch's argument as ``cuda.core`` does: ints to signed 64 bits, NumPy by dtype."""
    if type(value) is int:
        assert -(2**63) <= value < 2**63
        return ctypes.c_int64(value)
    return {np.float32: ctypes.c_float, np.float64: ctypes.c_double}[type(value)](float(value))


class Machine:
    """What the launcher sees of CUDA: contexts by device, and launches.

    `run` says whether the kernels run on the host's memory, `only_last` that of each launch only the last
    block does.
    """

    def __init__(self, host, capability=(9, 0), devices=2):
        self.host, self.capability, self.devices = host, capability, devices
        self.context = 1000  # contexts are numbers: 1000 + device; 0 is none
        self.launches, self.compiled = [], []
        self.run, self.backwards, self.only_last = False, False, False

    def compile_program(self, dtype, rank, arch, code):
        self.compiled.append((dtype, rank, arch, code))
        return SimpleNamespace(get_kernel=lambda name: (name, dtype, rank))

    def device(self, number):
        def set_current():
            self.context = 1000 + number

        assert 0 <= number < self.devices
        return SimpleNamespace(compute_capability=self.capability, set_current=set_current)

    def launch(self, stream, config, kernel, *values):
        from cuda.core import LaunchConfig, Stream

        assert type(config) is LaunchConfig
        assert type(stream) is Stream
        name, dtype, rank = kernel
        record = Launch(
            name, dtype, rank, config.grid, config.block, stream.__cuda_stream__()[1],
            self.context - 1000, values,
        )  # fmt: skip
        self.launches.append(record)
        if self.run:
            first = config.grid[0] - 1 if self.only_last else 0
            self.host.run(record, self.backwards, first)

    def get_current(self):
        return 0, self.context

    def get_device(self):
        return 0, self.context - 1000

    def set_current(self, context):
        self.context = context
        return (0,)


@pytest.fixture(scope="session")
def host_kernels(tmp_path_factory):
    return HostKernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def machine(host_kernels, monkeypatch):
    """Let `rrelu_compat.kernels.cuda` meet the stand-in; nothing else of ``cuda.core`` is replaced."""
    import cuda.core as core
    from cuda.bindings import driver

    stand_in = Machine(host_kernels)
    monkeypatch.setattr(program, "compile_program", stand_in.compile_program)
    monkeypatch.setattr(core, "Device", stand_in.device)
    monkeypatch.setattr(core, "launch", stand_in.launch)
    monkeypatch.setattr(driver, "cuCtxGetCurrent", stand_in.get_current)
    monkeypatch.setattr(driver, "cuCtxGetDevice", stand_in.get_device)
    monkeypatch.setattr(driver, "cuCtxSetCurrent", stand_in.set_current)
    forget()
    yield stand_in
    forget()


def forget():
    cuda.missing.cache_clear()
    cuda._programs.clear()
    cuda._kernels.clear()
