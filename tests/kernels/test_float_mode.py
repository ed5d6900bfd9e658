"""Threads that flush subnormal numbers or round another way: the same bits, and the mode is theirs again."""

import contextlib
import ctypes
import ctypes.util
import platform
import threading

import numpy as np
import pytest

#: Where the C library keeps the mode in a `fenv_t`, and the bits to set: flush to zero (results and inputs),
#: round towards zero.
PLACES = {"x86_64": (7, 0x8040 | 0x6000), "aarch64": (0, 1 << 24 | 3 << 22)}
WORD, BITS = PLACES.get(platform.machine(), (0, 0))
N = 2**18 + 5

pytestmark = pytest.mark.skipif(
    platform.system() != "Linux" or not BITS, reason="the mode is set through Linux's C library"
)


def environment():
    """Return this thread's floating-point environment, and how to set one."""
    library = ctypes.CDLL(ctypes.util.find_library("m"))
    env = (ctypes.c_uint32 * 16)()
    library.fegetenv(env)
    return env, library.fesetenv


@contextlib.contextmanager
def strange_mode():
    """Flush and round towards zero in this thread; nothing but the mode's own bits may differ at the end."""
    env, set_environment = environment()
    before = env[WORD]
    env[WORD] |= BITS
    set_environment(env)
    try:
        yield
        after = environment()[0][WORD]
    finally:
        env[WORD] = before
        set_environment(env)
    assert after & BITS == BITS


@pytest.fixture
def compiled(kernel):
    if kernel.path() == "numpy":
        pytest.skip("NumPy computes in the mode of its thread")
    yield kernel
    kernel.use_team(None)


def calls(kernel, model, dtype):
    """Return a function that runs everything with some threads, and gives the bytes of it."""
    x = model.values(dtype, N)
    rows = (N // 4, 3)
    # slopes that are subnormal themselves, and whose products are
    bounds = [(0.125, 0.375), (1e-310, 3e-39), (0.25, 0.25)]
    y, bits = np.empty_like(x), np.empty((N + 7) // 8, np.uint8)
    slopes = np.empty(N, np.float64 if dtype == model.F64 else np.float32)

    def run(threads):
        out = []
        for lower, upper in bounds:
            draw = (3, 4, 0, lower, upper, threads)
            memory = (x.ctypes.data, y.ctypes.data, bits.ctypes.data)
            kernel.forward(dtype, N, *memory, *draw)
            out += [y.tobytes(), bits.tobytes()]
            kernel.backward(dtype, N, *memory, *draw)
            out.append(y.tobytes())
            y[:] = 0
            kernel.forward_strided(
                dtype, rows, x.ctypes.data, (4, 1), y.ctypes.data, (1, rows[0]), 0, None, *draw
            )
            out.append(y.tobytes())
            kernel.fill_slopes(max(dtype, model.F32), (N,), slopes.ctypes.data, None, *draw)
            out.append(slopes.tobytes())
        return out

    return run


@pytest.mark.parametrize("threads", [1, 3])
def test_the_callers_mode_changes_nothing(compiled, model, dtype, threads):
    run = calls(compiled, model, dtype)
    expected = run(1)
    with strange_mode():
        # The mode is felt: what is tested is there.
        assert np.float32(1e-38) * np.float32(0.01) == 0
        found = run(threads)
    assert found == expected


def test_the_mode_of_lent_threads_changes_nothing(compiled, model):
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    ended = []

    def strange(function, data):
        with strange_mode():
            work(function)(data)
        ended.append(None)

    @ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
    def team(function, data, threads, flags):
        others = [threading.Thread(target=strange, args=(function, data)) for _ in range(threads)]
        for thread in others:
            thread.start()
        for thread in others:
            thread.join()

    run = calls(compiled, model, model.F32)
    expected = run(1)
    compiled.use_team(ctypes.cast(team, ctypes.c_void_p).value)
    assert run(2) == expected
    assert ended
