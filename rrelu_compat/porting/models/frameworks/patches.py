"""Put other functions in the place of a framework's own, wherever a module holds them, for a while."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextlib.contextmanager
def patched(changes: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """Set ``(owner, name, value)``, also where a module holds the function under another name.

    What a closure, a class or a ``functools.partial`` holds stays as it is.
    """
    new = {id(getattr(owner, name)): value for owner, name, value in changes}
    originals = [getattr(owner, name) for owner, name, _ in changes]  # keeps the ids alive
    undo: list[tuple[Any, str, Any]] = []
    try:
        for title, module in list(sys.modules.items()):
            if title.partition(".")[0] in ("torch", "paddle"):
                continue  # they call their functions where they are; to look at all takes long
            for name, value in list((getattr(module, "__dict__", None) or {}).items()):
                if id(value) in new and callable(value):
                    undo.append((module, name, value))
                    setattr(module, name, new[id(value)])
        for owner, name, value in changes:
            before = vars(owner).get(name, undo)  # `undo` itself: inherited or made on demand
            if before is not value:
                undo.append((owner, name, before))
                setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(undo):
            if value is undo:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        del originals
