"""Children that are forked while other threads draw under saved-tensor hooks: every one can draw."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

PROGRAM = """
import os, sys, threading, warnings
warnings.simplefilter("ignore")
import torch
from rrelu_compat import Generator
from rrelu_compat.torch import rrelu
torch.set_num_threads(1)
x = torch.randn(8, requires_grad=True)
shared = Generator(1)

def same(tensor):
    return tensor

def call():
    with torch.autograd.graph.saved_tensors_hooks(same, same):
        rrelu(x, training=True)
        return rrelu(x, training=True, generator=shared)

stop = threading.Event()

def work():
    while not stop.is_set():
        call()

threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads:
    thread.start()
sys.setswitchinterval(1e-5)
lost = 0
for _ in range({children}):
    child = os.fork()
    if child == 0:
        import signal
        signal.alarm(60)  # ends a child that hangs
        call()
        os._exit(0)
    lost += os.waitpid(child, 0)[1] != 0
stop.set()
for thread in threads:
    thread.join()
print("lost", lost)
"""


def lost(children):
    program = PROGRAM.replace("{children}", str(children))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_children_forked_beside_drawing_threads():
    assert lost(100) == "lost 0"


@pytest.mark.slow
def test_two_thousand_children_forked_beside_drawing_threads():
    assert lost(2000) == "lost 0"
