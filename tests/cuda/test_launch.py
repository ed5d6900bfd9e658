"""The launch code against a recording stand-in for the driver: grid, arguments, stream, device, cache."""

import builtins
import threading

import numpy as np
import pytest

from rrelu_compat.kernels import _cuda_program as program
from rrelu_compat.kernels import cuda

BOUNDS = (1 / 8, 1 / 3)
STRIDED = ((5, 3, 4), 64, (100, 16, 2), 128, (12, 4, 1), 0, None)


def forward(
    n=100, x=4096, y=8192, dtype=2, *, bits=512, seed=7, call=3, start=0, stream=0, device=0, key=0
):
    cuda.forward(dtype, n, x, y, bits, seed, call, start, *BOUNDS, stream, device, key)


@pytest.mark.parametrize(
    ("n", "blocks"),
    [(1, 1), (2048, 1), (2049, 2), (2**28, 2**17), (2**31 + 1, 2**20 + 1), (2**40 + 5, 2**29 + 1)],
)
def test_grid_of_contiguous_tensors(machine, n, blocks):
    forward(n)
    (launch,) = machine.launches
    assert (launch.grid, launch.block) == ((blocks, 1, 1), (256, 1, 1))
    assert launch.values[3] == n


def test_grids_of_other_layouts(machine):
    rows = 2**20 + 1
    cuda.forward_strided(2, (rows, 2), 0, (4, 1), 0, (2, 1), 0, None, 1, 0, 0, *BOUNDS, 0, 0)
    cuda.forward_strided(
        2, (rows * 4, 8), 0, (8, 1), 0, (8, 1), 0, (1, rows * 4), 1, 0, 0, *BOUNDS, 0, 0
    )
    cuda.fill_slopes(2, (rows, 2), 0, None, 1, 0, 0, *BOUNDS, 0, 0)
    assert [launch.kernel for launch in machine.launches] == [
        "rrelu_forward_strided",
        "rrelu_forward_tiled",
        "rrelu_slopes",
    ]
    assert [launch.grid[0] for launch in machine.launches] == [
        -(-2 * rows // 2048),
        -(-32 * rows // 8192),
        -(-2 * rows // 1024),
    ]


def test_arguments_of_a_contiguous_launch(machine):
    forward(100, 4096, 8192, bits=512, seed=2**64 - 1, call=2**63, start=2**63 + 4, key=640)
    (launch,) = machine.launches
    lower, upper = BOUNDS
    expected = (
        4096, 8192, 512, 100, 4 - 2**63, 640, -1, -(2**63),
        np.float32(lower), np.float32(upper - lower), np.float32(upper), 1,
    )  # fmt: skip
    assert launch.values == expected
    assert [type(a) for a in launch.values] == [type(b) for b in expected]


def test_evaluation_makes_no_random_words(machine):
    cuda.backward(3, 10, 64, 64, 64, 0, 0, 0, 0.25, 0.25, 0, 0)
    (launch,) = machine.launches
    assert launch.values[-4:] == (0.25, 0.0, 0.25, 0)
    assert all(type(value) is np.float64 for value in launch.values[-4:-1])


def test_arguments_of_a_strided_launch(machine):
    cuda.forward_strided(2, *STRIDED, 7, 3, 0, *BOUNDS, 0, 0)
    (launch,) = machine.launches
    assert launch.rank == 3
    assert launch.values[:4] == (64, 128, 0, 60)
    assert launch.values[12:] == (5, 100, 12, 12, 3, 16, 4, 4, 4, 2, 1, 1)


def test_negative_strides_and_large_index_strides_keep_their_64_bits(machine):
    cuda.forward_strided(
        2, (4, 5), 64, (-9, -1), 64, (5, 1), 0, (2**63 + 1, -2), 7, 3, 0, *BOUNDS, 0, 0
    )
    assert machine.launches[0].values[12:] == (4, -9, 5, 1 - 2**63, 5, -1, 1, -2)


# size of an element -> alignment of a vector of four, at most 16 bytes
@pytest.mark.parametrize(("dtype", "size", "whole"), [(0, 2, 8), (1, 2, 8), (2, 4, 16), (3, 8, 16)])
def test_vectors_need_aligned_addresses_and_whole_blocks(machine, dtype, size, whole):
    def kernel(x=0, y=0, start=0, call=forward):
        machine.launches.clear()
        call(100, 4096 + x, 8192 + y, dtype, start=start)
        return machine.launches[0].kernel

    assert kernel() == kernel(whole, 3 * whole, 8) == "rrelu_forward_vector"
    assert kernel(x=whole - size) == kernel(y=size) == kernel(start=1) == "rrelu_forward"
    with pytest.raises(ValueError, match=f"x must be a multiple of {size}.*got x=0x1001"):
        kernel(x=1)
    with pytest.raises(ValueError, match=f"y must be a multiple of {size}.*got y=0x2001"):
        kernel(y=1)
    with pytest.raises(ValueError, match=r"out must be a multiple.*got out=0x1"):
        cuda.backward(dtype, 5, 0, 1, 64, 0, 0, 0, *BOUNDS, 0, 0)


def test_nothing_is_launched_for_nothing(machine):
    forward(0)
    cuda.backward(2, 0, 0, 0, 0, 1, 0, 0, *BOUNDS, 0, 0)
    cuda.forward_strided(2, (3, 0), 0, (1, 1), 0, (1, 1), 0, None, 1, 0, 0, *BOUNDS, 0, 0)
    cuda.fill_slopes(2, (0,), 0, None, 1, 0, 0, *BOUNDS, 0, 0)
    assert machine.launches == []


def test_the_stream_is_the_callers(machine):
    for stream in (0, 0x7F00, 2, 0x7F00):
        forward(stream=stream)
    # 0 is the legacy default stream, whose explicit handle is 1; 2 is the default stream of the thread.
    assert [launch.stream for launch in machine.launches] == [1, 0x7F00, 2, 0x7F00]


def test_the_device_is_current_during_the_launch_and_given_back(machine):
    forward(device=1)
    forward(device=0)
    assert [launch.current for launch in machine.launches] == [1, 0]
    assert machine.context == 1000


def test_the_device_is_given_back_after_a_failure_too(machine, monkeypatch):
    import cuda.core as core

    def fail(*arguments):
        raise RuntimeError("out of resources")

    monkeypatch.setattr(core, "launch", fail)
    with pytest.raises(RuntimeError, match="out of resources"):
        forward(device=1)
    assert machine.context == 1000


def test_a_thread_without_a_device_stays_on_the_tensors(machine):
    machine.context = 0
    forward(device=1)
    assert machine.launches[0].current == 1
    assert machine.context == 1001


def test_code_is_compiled_once_for_dtype_and_architecture_and_loaded_for_each_device(machine):
    for _ in range(3):
        for device in (0, 1):
            forward(device=device)
            cuda.backward(2, 10, 64, 64, 64, 1, 0, 0, *BOUNDS, 0, device)
            cuda.forward_strided(2, *STRIDED, 7, 3, 0, *BOUNDS, 0, device)
    forward(dtype=0)
    assert machine.compiled == [
        (2, 0, "sm_90", "cubin"),
        (2, 3, "sm_90", "cubin"),
        (0, 0, "sm_90", "cubin"),
    ]
    assert {key[:2] for key in cuda._kernels} == {(0, 2), (1, 2), (0, 0)}


def test_threads_that_call_at_once_compile_once(machine):
    barrier = threading.Barrier(8)

    def call():
        barrier.wait()
        forward()

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(machine.launches) == 8
    assert machine.compiled == [(2, 0, "sm_90", "cubin")]


def test_devices_that_nvrtc_does_not_know_exactly(machine):
    machine.capability = (9, 9)
    forward()
    assert machine.compiled == [(2, 0, "compute_90", "ptx")]
    assert cuda.describe(0).endswith("compute_90)")


def test_a_device_too_old_says_so(machine):
    machine.capability = (5, 2)
    assert "compute capability 5.2" in cuda.missing(0)
    with pytest.raises(RuntimeError, match=r"no CUDA kernel for device 0: .*5\.2"):
        forward()
    assert cuda.describe(0).startswith("none (")
    assert machine.launches == []


def test_without_the_extra_the_cure_is_named(machine, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **keywords):
        if name.startswith("cuda"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **keywords)

    program.supported.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without)
    assert "pip install 'rrelu-compat[cuda]'" in cuda.missing(0)
    with pytest.raises(RuntimeError, match="rrelu-compat\\[cuda\\]"):
        forward()


def test_without_a_driver_the_reason_is_one_line(machine, monkeypatch):
    import cuda.core as core

    def no_driver(number):
        raise RuntimeError("the driver was not found\nsearched: here and there")

    monkeypatch.setattr(core, "Device", no_driver)
    assert cuda.missing(0) == "RuntimeError: the driver was not found"


def test_axes_are_merged_where_every_stride_allows_it():
    assert cuda.merge_axes((2, 3, 4), (12, 4, 1), (12, 4, 1)) == [(24, 1, 1)]
    assert cuda.merge_axes((2, 3, 4), (12, 4, 1), (4, 8, 1)) == [(2, 12, 4), (3, 4, 8), (4, 1, 1)]
    assert cuda.merge_axes((2, 1, 4), (4, 99, 1), (0, 5, 0)) == [(8, 1, 0)]
    assert cuda.merge_axes((1, 1), (5, 6), (7, 8)) == [(1, 1, 1)]
    assert cuda.merge_axes((), (), ()) == [(1, 1, 1)]


def test_memory_order():
    assert cuda.in_memory_order((2, 16, 5, 5), (400, 1, 80, 16)) == [0, 2, 3, 1]
    assert cuda.in_memory_order((2, 3), (3, 1)) == [0, 1]
    assert cuda.in_memory_order((4, 5), (-1, 4)) == [1, 0]
