"""Whatever foreign code does costs its own case alone: time limits, exits, moved folders, odd texts."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Self


class CheckFailure(AssertionError):
    """A requirement that does not hold; the message says which element, what it is and should be."""


class TimeLimitError(BaseException):
    """A case took too long. No `Exception`: a subject that catches those does not catch this."""


def clean(text: str) -> str:
    """Return `text` with what a terminal, a page or a file can't take written as escapes."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c == "\n" or c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def describe(error: BaseException) -> str:
    """Return the message of a failure: of a check, or of an error that the subject raised."""
    name = clean(str(type(error).__name__))
    if isinstance(error, SystemExit):
        return f"the subject ended the program: SystemExit: {_text(error)}"
    text = _text(error)
    if isinstance(error, (CheckFailure, TimeLimitError)):
        return text
    # Paddle prints a C++ stack before the message, PyTorch after it.
    text = text.rpartition("Error Message Summary:")[2].replace("-" * 22, "").strip() or text
    text = " ".join(line.strip() for line in text.splitlines()[:3]).partition("Exception raised")[0]
    short = text if len(text) <= 240 else f"{text[:237]}..."
    return f"{name}: {short}" if short else name


def _text(error: BaseException) -> str:
    try:
        return clean(str(error).strip())
    except BaseException as another:  # an error whose text can't be made
        return f"(its text can't be printed: {clean(type(another).__name__)})"


class _Voice(io.TextIOBase):
    """What a subject prints to: standard error, which it can't close."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with contextlib.suppress(Exception):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(Exception):
            self._stream.flush()

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def close(self) -> None:
        pass

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class Guard:
    """A context in which foreign code runs; afterwards the process is as it was before.

    Attributes
    ----------
    interrupted : bool
        Whether the user pressed Ctrl-C, as opposed to a subject that raised KeyboardInterrupt.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = seconds
        self.interrupted = False
        self._restore = contextlib.ExitStack()

    def __enter__(self) -> Self:
        keep = self._restore.callback
        keep(_put_back, _here(), dict(os.environ), sys.stdin, sys.stdout, sys.stderr)
        sys.stdout, sys.stderr = _Voice(sys.stderr), _Voice(sys.stderr)
        before = np.seterr(all="ignore")
        keep(lambda: np.seterr(**before))
        keep(sys.settrace, sys.gettrace())
        keep(sys.setrecursionlimit, sys.getrecursionlimit())
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._interrupt)
            keep(signal.signal, signal.SIGINT, signal.default_int_handler)
        self._restore.enter_context(_time_limit(self.seconds))
        return self

    def __exit__(self, *_: object) -> None:
        self._restore.close()

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True
        raise KeyboardInterrupt


def _here() -> str | None:
    try:
        return os.getcwd()
    except OSError:
        return None


def _put_back(
    folder: str | None, environment: dict[str, str], stdin: Any, stdout: Any, stderr: Any
) -> None:
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
    if folder is not None and _here() != folder:
        os.chdir(folder)
    if dict(os.environ) != environment:
        os.environ.clear()
        os.environ.update(environment)


@contextlib.contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeLimitError` in this thread after `seconds`, and each second until it is out."""
    if seconds is None:
        yield
        return
    message = f"took longer than {seconds:g} s"
    main = threading.current_thread() is threading.main_thread()
    if main and hasattr(signal, "setitimer"):

        def ring(*_: object) -> None:
            raise TimeLimitError(message)

        before = signal.signal(signal.SIGALRM, ring)
        signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        return
    # Another thread, or Windows: an exception that arrives between two bytecodes.
    here = ctypes.c_ulong(threading.get_ident())
    timer = threading.Timer(
        seconds,
        lambda: ctypes.pythonapi.PyThreadState_SetAsyncExc(here, ctypes.py_object(TimeLimitError)),
    )
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
