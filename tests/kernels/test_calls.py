"""Arguments, and life in a process: forks, many threads, exit."""

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from rrelu_compat import kernels

TAIL = (3, 4, 0, 0.125, 0.375, 1)
A = 64  # never read: the call must fail before
SHAPE, STRIDES = (2, 3), (3, 1)


def strided(position, value):
    """Arguments of a strided call, one of them replaced."""
    arguments = [2, SHAPE, A, STRIDES, A, STRIDES, A, None, *TAIL]
    arguments[position] = value
    return tuple(arguments)


# what is wrong, function, arguments, error, what the message says
WRONG = [
    ("dtype", "forward", (4, 6, A, A, 0, *TAIL), ValueError, "dtype=4"),
    ("dtype", "forward", (-1, 6, A, A, 0, *TAIL), ValueError, "dtype=-1"),
    ("dtype", "backward", ("f4", 6, A, A, A, *TAIL), TypeError, "dtype='f4'"),
    ("half slopes", "fill_slopes", (1, SHAPE, A, None, *TAIL), ValueError, "dtype=1"),
    ("negative n", "forward", (2, -1, A, A, 0, *TAIL), ValueError, "n=-1"),
    ("n float", "forward", (2, 6.0, A, A, 0, *TAIL), TypeError, "n=6.0"),
    ("x null", "forward", (2, 6, 0, A, 0, *TAIL), ValueError, "x=0"),
    ("y null", "forward", (2, 6, A, 0, 0, *TAIL), ValueError, "y=0"),
    ("g null", "backward", (2, 6, 0, A, A, *TAIL), ValueError, "g=0"),
    ("bits null", "backward", (2, 6, A, A, 0, *TAIL), ValueError, "bits=0"),
    ("address", "forward", (2, 6, -8, A, 0, *TAIL), ValueError, "x=-8"),
    ("address", "forward", (2, 6, None, A, 0, *TAIL), TypeError, "x=None"),
    ("seed", "forward", (2, 6, A, A, 0, -1, *TAIL[1:]), ValueError, "seed=-1"),
    ("seed", "forward", (2, 6, A, A, 0, 2**64, *TAIL[1:]), ValueError, f"seed={2**64}"),
    ("call", "forward", (2, 6, A, A, 0, 3, 1.5, *TAIL[2:]), TypeError, "call=1.5"),
    ("start", "forward", (2, 6, A, A, 0, 3, 4, -1, *TAIL[3:]), ValueError, "start=-1"),
    ("lower", "forward", (2, 6, A, A, 0, 3, 4, 0, "a", 1.0, 1), TypeError, "lower='a'"),
    ("upper", "forward", (2, 6, A, A, 0, 3, 4, 0, 1.0, 10**400, 1), ValueError, "upper=1000"),
    ("threads", "forward", (2, 6, A, A, 0, *TAIL[:-1], 0), ValueError, "threads=0"),
    ("too few", "forward", (2, 6, A, A, 0), TypeError, "forward() takes 11"),
    ("too many", "backward", (2, 6, A, A, A, *TAIL, 1), TypeError, "backward() takes 11"),
    ("too few", "fill_slopes", (2,), TypeError, "fill_slopes() takes 10"),
    ("too few", "forward_strided", (2,), TypeError, "forward_strided() takes 14"),
    ("shape list", "forward_strided", strided(1, [2, 3]), TypeError, "shape=[2, 3]"),
    ("shape", "forward_strided", strided(1, (2, -3)), ValueError, "shape=-3"),
    ("shape", "forward_strided", strided(1, (2**40, 2**40)), ValueError, "2**63"),
    ("65 dims", "forward_strided", strided(1, (1,) * 65), ValueError, "64"),
    ("x_strides", "forward_strided", strided(3, (1,)), ValueError, "x_strides=(1,)"),
    ("y_strides", "forward_strided", strided(5, (1, 2, 3)), ValueError, "y_strides=(1, 2, 3)"),
    ("index", "forward_strided", strided(7, (1,)), ValueError, "index_strides=(1,)"),
    ("g_strides", "backward_strided", strided(3, None), TypeError, "g_strides=None"),
    ("out_strides", "backward_strided", strided(5, (1, "a")), TypeError, "out_strides='a'"),
    ("bits null", "backward_strided", strided(6, 0), ValueError, "bits=0"),
    ("index", "fill_slopes", (2, SHAPE, A, (1, 2**63), *TAIL), ValueError, "index_strides="),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "arguments", "error", "message"),
    [case[1:] for case in WRONG],
    ids=[f"{case[1]}-{case[0]}-{number}" for number, case in enumerate(WRONG)],
)
def test_wrong_arguments(model, function, arguments, error, message):
    """Errors of the compiled kernel name the argument and its value."""
    with pytest.raises(error) as caught:
        getattr(model._cpu, function)(*arguments)
    assert message in str(caught.value)


def test_wrong_path(model):
    with pytest.raises(ValueError, match="'sse9'"):
        model._cpu.use("sse9")


def test_extreme_arguments(model, kernel):
    """The ends of every range are accepted."""
    x = np.full(5, -1, np.float32)
    end = 2**64 - 1
    out = model.Memory(x)
    kernel.forward(
        2, 5, out.address, out.address, 0, end, end, end, np.float64(0.5), 0.5, 2**63 - 1
    )
    assert (out.read() == -0.5).all()


def child(code, **extra):
    """Run Python code in a new process; its output."""
    result = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code],
        env={**os.environ, **extra},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout.strip()


WORK = """
import numpy as np, os, sys, threading, time
from rrelu_compat import kernels as k
n = 2**21
x = np.random.default_rng(0).standard_normal(n).astype(np.float32)
def work(threads, y=None, bits=None):
    y, bits = np.empty_like(x) if y is None else y, np.empty(n // 8, np.uint8) if bits is None else bits
    k.forward(2, n, x.ctypes.data, y.ctypes.data, bits.ctypes.data, 1, 2, 3, 0.1, 0.3, threads)
    return y.tobytes() + bits.tobytes()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_after_threads():
    """A child made by fork runs threads of its own."""
    code = (
        WORK
        + """
first = work(2)
process = os.fork()
if process == 0:
    os._exit(0 if work(2) == first and work(3) == first else 1)
assert os.waitpid(process, 0)[1] == 0
assert work(2) == first
print("same")
"""
    )
    assert child(code) == "same"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_fork_while_threads_run():
    """The child is forked in the middle of other threads' kernels."""
    code = (
        WORK
        + """
first = work(1)
stop = threading.Event()
def loop():
    while not stop.is_set():
        work(2)
workers = [threading.Thread(target=loop) for _ in range(2)]
for w in workers: w.start()
for _ in range(5):
    process = os.fork()
    if process == 0:
        os._exit(0 if work(2) == first else 1)
    assert os.waitpid(process, 0)[1] == 0
stop.set()
for w in workers: w.join()
print("same")
"""
    )
    assert child(code, PYTHONWARNINGS="ignore") == "same"


def test_exit_while_threads_run():
    """The interpreter ends while daemon threads are inside kernels."""
    code = (
        WORK
        + """
def loop():
    y, bits = np.empty_like(x), np.empty(n // 8, np.uint8)
    while True:
        work(2, y, bits)
for _ in range(4): threading.Thread(target=loop, daemon=True).start()
time.sleep(0.2)
print("bye")
"""
    )
    for _ in range(3):
        assert child(code) == "bye"


def test_many_python_threads(model, kernel):
    """Eight threads at once, each with its own seed, give what each gives alone."""
    n = 300_001
    x = model.values(2, n)
    count = 8

    def both(seed, threads):
        y, bits = model.run_forward(kernel, 2, x, seed=seed, threads=threads)
        g = model.run_backward(kernel, 2, x, bits, seed=seed, threads=threads)
        return y.tobytes(), bits.tobytes(), g.tobytes()

    alone = [both(seed, 1) for seed in range(count)]
    together = [None] * count

    def run(seed):
        together[seed] = [both(seed, 2) for _ in range(3)]

    workers = [threading.Thread(target=run, args=(seed,)) for seed in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert together == [[result] * 3 for result in alone]


def test_gil_is_released(model):
    """Another Python thread runs while a long call does."""
    n = 2**24
    x = np.zeros(n, np.float32)
    bits = np.zeros(n // 8, np.uint8)
    ticks, running, done = [0], threading.Event(), threading.Event()
    interval = sys.getswitchinterval()

    def tick():
        running.set()
        while not done.is_set():
            ticks[0] += 1
            time.sleep(0)  # the only place where it lets others run

    counter = threading.Thread(target=tick)
    sys.setswitchinterval(1000)
    try:
        counter.start()
        running.wait()
        before = ticks[0]
        kernels.forward(2, n, x.ctypes.data, x.ctypes.data, bits.ctypes.data, 1, 2, 3, 0.1, 0.3, 1)
        after = ticks[0]
        done.set()
        counter.join()
    finally:
        sys.setswitchinterval(interval)
    assert after > before
