"""Subjects that do what broken libraries do, one line each: what, and whether a process can bear it."""

from __future__ import annotations

import collections
import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
import warnings

import numpy as np

from rrelu_compat.conformance import Capabilities


class Base:
    capabilities = Capabilities(dtypes=("float32",))

    def __init__(self, name, deed):
        self.name, self._deed = name, deed

    def from_numpy(self, array, *, device):
        return array.copy()

    def to_numpy(self, tensor):
        return tensor

    def forward(self, x, lower, upper, *, training):
        done = self._deed()
        if done is not None:
            return done
        slope = np.full(x.shape, (lower + upper) / 2, np.float32)
        return np.where(x >= 0, x, x * slope).astype(x.dtype)


def _raise(error):
    def deed():
        raise error

    return deed


def _loop():
    while True:
        pass


def _stubborn():
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


class _Unprintable(Exception):
    def __str__(self):
        raise RuntimeError("no text")


class _Stop(BaseException):
    pass


class _Endless(Exception):
    def __str__(self):
        return "x" * 10**6


def _skip():
    import pytest

    pytest.skip("not today")


def _import_or_skip():
    import pytest

    pytest.importorskip("a_module_that_is_not_there")


def _fail_of_pytest():
    import pytest

    pytest.fail("of pytest")


def _exit_of_pytest():
    import pytest

    pytest.exit("enough", returncode=0)


def _recursion():
    return _recursion()


def _many_threads():
    threading.Thread(target=time.sleep, args=(3600,)).start()


#: What is done in each forward. These cost a case each, in any process.
HERE = {
    "exits-0": _raise(SystemExit(0)),
    "exits-with-text": _raise(SystemExit("\x1b[31mred")),
    "skips": _skip,
    "imports-or-skips": _import_or_skip,
    "fails-of-pytest": _fail_of_pytest,
    "exits-pytest": _exit_of_pytest,
    "interrupts": _raise(KeyboardInterrupt()),
    "own-base-exception": _raise(_Stop()),
    "generator-exit": _raise(GeneratorExit()),
    "stop-iteration": _raise(StopIteration()),
    "unprintable": _raise(_Unprintable()),
    "endless-text": _raise(_Endless()),
    "surrogate": _raise(OSError("no file '\udcff.bin'")),
    "control-characters": _raise(ValueError("\x00\x1b]0;title\x07\x9b31m\u202e<script>")),
    "markup[red]x[/red]": _raise(ValueError("[bold]x[/bold] [/]")),
    "memory": _raise(MemoryError()),
    "recursion": _recursion,
    "loops": _loop,
    "sleeps": lambda: time.sleep(3600),
    "stubborn": _stubborn,
    "moves": lambda: os.chdir("/") or 1 / 0,
    "prints": lambda: print("passed: 1 checks ran, 0 failed") or 1 / 0,
    "closes-stdout": lambda: sys.stdout.close() or 1 / 0,
    "no-stdout": lambda: setattr(sys, "stdout", None) or 1 / 0,
    "clears-environment": lambda: os.environ.clear() or 1 / 0,
    "wrong-type": lambda: "no tensor",
    "masked": lambda: np.ma.masked_all(3, np.float32),
    "objects": lambda: np.array([None, "x"], object),
    "warns": lambda: warnings.warn("an error", stacklevel=1) or 1 / 0,
    "takes-signals": lambda: signal.signal(signal.SIGALRM, signal.SIG_IGN) and 1 / 0,
}
#: These end the process, or stop it for good.
APART = {
    "aborts": os.abort,
    "exits-at-once": lambda: os._exit(0),
    "segfaults": lambda: ctypes.string_at(0),
    "kills": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "closes-all": lambda: os.closerange(0, 64) or os._exit(0),
    "catches-everything": lambda: _catches(),
    "leaves-threads": lambda: _many_threads() or 1 / 0,
}


def _catches():
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def subject(name):
    return Base(name, {**HERE, **APART}[name])


#: Loaded by name, as a command does: ``hostile:named.NAME`` with "_" for what no name may have.
named = collections.namedtuple(
    "named", [n.translate({ord(c): "_" for c in "-[]/"}) for n in {**HERE, **APART}]
)(*[lambda name=name: subject(name) for name in {**HERE, **APART}])
