"""NVRTC compiles every kernel, for the oldest architecture it takes to sm_100 and beyond; no GPU needed."""

import io
import re

import numpy as np
import pytest
from cuda.bindings import nvrtc
from cuda.core import Program

from rrelu_compat.kernels import _cuda_program as program
from rrelu_compat.kernels import cuda

VERSION, ARCHITECTURES = program.supported()
OLDEST = ARCHITECTURES[0]
NAMES = ["float16", "bfloat16", "float32", "float64"]
LINEAR = {"rrelu_forward", "rrelu_forward_vector", "rrelu_backward", "rrelu_backward_vector"}
# The architectures that every change is compiled for; the others are in the slow set.
USUAL = [arch for arch in ARCHITECTURES if arch <= 100]


def kernels_of(dtype, rank):
    if rank == 0:
        return LINEAR
    names = {"rrelu_forward_strided", "rrelu_backward_strided"}
    if rank > 1:
        names |= {"rrelu_forward_tiled", "rrelu_backward_tiled"}
    return names | ({"rrelu_slopes"} if dtype > 1 else set())


def check_cubin(dtype, rank, arch):
    compiled = program.compile_program(dtype, rank, f"sm_{arch}", "cubin")
    assert compiled.code_type == "cubin"
    found = {name.decode() for name in re.findall(rb"\.text\.(\w+)", compiled.code)}
    assert found == kernels_of(dtype, rank)


def ptx(dtype, rank, arch=OLDEST):
    """Compile with the options of `compile_program`, past cuda.core, which asks the driver about PTX."""
    options = program.options(dtype, rank, f"compute_{arch}").as_bytes("nvrtc")
    status, handle = nvrtc.nvrtcCreateProgram(program.source(dtype, rank).encode(), b"k", 0, [], [])
    assert not int(status)
    (status,) = nvrtc.nvrtcCompileProgram(handle, len(options), options)
    assert not int(status)
    text = bytearray(nvrtc.nvrtcGetPTXSize(handle)[1])
    buffer = bytes(text)
    nvrtc.nvrtcGetPTX(handle, buffer)
    nvrtc.nvrtcDestroyProgram(handle)
    return buffer.decode()


def test_the_architectures_asked_for_are_there():
    assert {80, 90, 100} <= set(ARCHITECTURES)
    # NVRTC 13 begins with sm_75, 12 with sm_50: nothing older is claimed.
    assert OLDEST <= 75


@pytest.mark.parametrize("arch", USUAL)
@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_contiguous_kernels(dtype, arch):
    check_cubin(dtype, 0, arch)


@pytest.mark.parametrize("arch", [OLDEST, 100])
@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_kernels_of_any_layout(dtype, rank, arch):
    check_cubin(dtype, rank, arch)


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("rank", [0, 1, 2, 3, 4, 8])
@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_everything_for_every_architecture(dtype, rank, arch):
    check_cubin(dtype, rank, arch)


@pytest.mark.slow
def test_the_rank_is_limited_by_the_4_kilobytes_of_parameters_alone():
    check_cubin(2, 64, OLDEST)  # as many axes as a PyTorch tensor may have


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_nothing_is_contracted_or_flushed(dtype, rank):
    text = ptx(dtype, rank)
    assert re.search(r"mul\.rn\.f(32|64)", text)
    assert not re.findall(
        r"\b(?:fma|mad)\.\w*\.?f(?:16|32|64)|\.ftz|\.approx|ex2|cvt\.rn\.bf16", text
    )
    options = program.options(dtype, rank, "sm_90").as_bytes("nvrtc")
    assert {b"--fmad=false", b"--ftz=false"} <= set(options)


HALVES = r"\.v4\.(?:u|b)16|\.v2\.(?:u|b)32|\.(?:u|b)64"
WIDE = {0: HALVES, 1: HALVES, 2: r"\.v4\.(?:f|b)32", 3: r"\.v2\.(?:f|b)64"}


@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_the_vector_kernels_and_only_they_read_and_write_vectors(dtype):
    text = ptx(dtype, 0)
    bodies = dict(re.findall(r"\.entry (\w+)\((.*?\n}\n)", text, re.DOTALL))
    assert set(bodies) == LINEAR
    key = 2  # the two words of the key, read by every kernel as 64-bit integers
    for name, body in bodies.items():
        loads = len(re.findall(rf"ld\.global(?:{WIDE[dtype]})\b", body))
        stores = len(re.findall(rf"st\.global(?:{WIDE[dtype]})\b", body))
        loads -= key if dtype < 2 else 0
        # One for each of two groups of four elements, two if they are float64.
        expected = (4 if dtype == 3 else 2) if name.endswith("_vector") else 0
        assert (loads, stores) == (expected, expected), name


@pytest.mark.parametrize("rank", [0, 3])
@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_no_kernel_spills_registers(dtype, rank):
    log = io.StringIO()
    options = program.options(dtype, rank, "sm_90")
    options.ptxas_options = ["-v"]
    Program(program.source(dtype, rank), "c++", options).compile("cubin", logs=log)
    frames = re.findall(
        r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads",
        log.getvalue(),
    )
    assert frames == [("0", "0", "0")] * len(kernels_of(dtype, rank))


def test_the_target_of_a_device(monkeypatch):
    monkeypatch.setattr(program, "supported", lambda: ((13, 5), (75, 80, 90, 100)))
    assert program.target(90) == ("sm_90", "cubin")
    assert program.target(75) == ("sm_75", "cubin")
    # Devices this NVRTC does not know: the driver compiles the rest.
    assert program.target(86) == ("compute_80", "ptx")
    assert program.target(120) == ("compute_100", "ptx")
    with pytest.raises(
        RuntimeError, match=r"capability 7\.0: NVRTC 13\.5 compiles for 7\.5 and above"
    ):
        program.target(70)


@pytest.mark.parametrize("dtype", range(4), ids=NAMES)
def test_the_launcher_passes_what_the_kernels_take(machine, dtype):
    """Parameters as NVRTC sees them, one by one, against the arguments of recorded launches."""
    draw = (1, 2, 4, 0.1, 0.3, 0, 0)
    cuda.forward(dtype, 100, 64, 64, 64, *draw)
    cuda.backward(dtype, 100, 64, 64, 64, *draw)
    cuda.forward(dtype, 100, 72, 64, 64, 1, 2, 3, *draw[3:])
    cuda.backward(dtype, 100, 72, 64, 64, 1, 2, 3, *draw[3:])
    strided = ((5, 3, 4), 64, (100, 16, 2), 64, (12, 4, 1), 64, None)
    tiled = ((2, 36, 16), 64, (576, 16, 1), 64, (576, 16, 1), 64, (576, 1, 36))
    for layout in (strided, tiled):
        cuda.forward_strided(dtype, *layout, *draw)
        cuda.backward_strided(dtype, *layout, *draw)
    if dtype > 1:
        cuda.fill_slopes(dtype, (5, 3, 4), 64, (100, 20, 1), *draw)
    seen = set()
    for rank in (0, 3):
        entries = dict(re.findall(r"\.entry (\w+)\((.*?)\)", ptx(dtype, rank), re.DOTALL))
        for launch in machine.launches:
            if launch.rank == rank:
                declared = re.findall(r"\.param \.(\w+)", entries[launch.kernel])
                assert declared == [PARAMETER[type(value)] for value in launch.values]
                seen.add(launch.kernel)
    assert seen == kernels_of(dtype, 0) | kernels_of(dtype, 3)


PARAMETER = {int: "u64", np.float32: "f32", np.float64: "f64"}
