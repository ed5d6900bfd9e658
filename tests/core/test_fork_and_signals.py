"""Forks beside threads that draw, and signals that come at any time: nothing hangs, no number comes twice."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

CHILDREN = """
import os, sys, threading, faulthandler
import torch
import rrelu_compat, rrelu_compat.torch as rt
torch.set_num_threads(1)
generator = rrelu_compat.Generator(1)
x = torch.randn(8, requires_grad=True)

def call():
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):  # as checkpoints do
        rt.rrelu(x, training=True)
        rt.rrelu(x, training=True, generator=generator)

stop = False
def work():
    while not stop:
        call()

threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
for thread in threads:
    thread.start()
sys.setswitchinterval(1e-5)
lost = 0
for _ in range(int(sys.argv[1])):
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(20, exit=True)
        call()
        os._exit(0)
    lost += os.waitpid(child, 0)[1] != 0
stop = True
print(lost)
"""

SIGNALS = """
import random, signal, sys
import numpy as np
import rrelu_compat
from rrelu_compat.numpy import rrelu

generator = rrelu_compat.Generator(1)
x = np.ones(3)
taken = []
state = {"interrupt": False, "handled": 0}

def handler(number, frame):
    state["handled"] += 1
    taken.append(generator.take())
    rrelu_compat.Generator(2)
    rrelu(x, training=True, generator=rrelu_compat.Generator(3))
    if state["interrupt"]:
        raise KeyboardInterrupt

def work():
    taken.append(generator.take())
    rrelu_compat.Generator(4).fold_in(1)
    rrelu_compat.generator.live_generators()

signal.signal(signal.SIGALRM, handler)
dice = random.Random(0)
for interrupt in (False, True):
    state.update(interrupt=interrupt, handled=0)
    while state["handled"] < int(sys.argv[1]):
        before = state["handled"]
        try:
            signal.setitimer(signal.ITIMER_REAL, dice.uniform(1e-6, 6e-5))
            while state["handled"] == before:
                work()
        except KeyboardInterrupt:
            pass
    # An interrupt may come after a number was taken and before it was noted; none is given twice.
    print(len(taken) == len(set(taken)) <= generator.call)
print(generator.take()[1] + 1 == generator.call)
"""


def run(code, *arguments, timeout):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not hasattr(signal, "setitimer"), reason="no fork or timers here"
)


def test_children_of_a_process_with_drawing_threads_come_back():
    assert run(CHILDREN, 40, timeout=120) == ["0"]


def test_handlers_may_draw_and_interrupt():
    assert run(SIGNALS, 2000, timeout=120) == ["True"] * 3


@pytest.mark.slow
def test_two_thousand_children_come_back():
    assert run(CHILDREN, 2000, timeout=3000) == ["0"]


@pytest.mark.slow
def test_a_hundred_thousand_signals_lose_no_number():
    assert run(SIGNALS, 100_000, timeout=3000) == ["True"] * 3
