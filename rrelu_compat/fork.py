"""Locks that survive a fork and a signal."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

_locks: weakref.WeakSet[Any] = weakref.WeakSet()


def lock_that_forks_wait_for() -> Any:
    """Return a lock that no other thread holds while the process forks.

    For short work inside a library that has locks of its own, which nobody frees in the child: PyTorch's
    generators. Never take another lock while you hold it.
    """
    made = lock()
    if hasattr(os, "register_at_fork"):
        # In the child it is made anew, as every lock is.
        os.register_at_fork(before=made.acquire, after_in_parent=made.release)
    return made


def lock() -> Any:
    """Return a lock that is free in every forked child, and does not lock out a handler of signals.

    A lock that another thread holds at the fork would never be released in the child: that thread does not
    exist there. And a handler runs in the thread that it interrupts: it may enter again.

    Examples
    --------
    >>> with lock() as entered:
    ...     entered
    True
    """
    made = threading.RLock()
    _locks.add(made)
    return made


def _free_all() -> None:
    for made in list(_locks):
        made._at_fork_reinit()  # what the standard library does with its own locks


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free_all)


__all__ = ["lock", "lock_that_forks_wait_for"]
