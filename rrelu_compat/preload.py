"""Loads PyTorch's adapter before PyTorch's compiler reads a function: the compiler can't follow an import.

``torch.compile`` and strict ``torch.export`` import ``torch._dynamo`` when they are first used, and
trace after that. So a program that compiles nothing loads the adapter with its first tensor, as ever.
"""

from __future__ import annotations

import contextlib
import sys
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING

from rrelu_compat.dispatch import get_backend

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

#: Not documented; without it the first call of the neutral function must not be in a compiled function.
COMPILER = "torch._dynamo"


def _load() -> None:
    # What is wrong with the adapter is said where it is used: other people's imports must not fail for it.
    with contextlib.suppress(Exception):
        get_backend("torch")


class _Watch(MetaPathFinder):
    """Finds nothing, but sees what is about to be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        if fullname == COMPILER and self in sys.meta_path:
            sys.meta_path.remove(self)
            _load()


if COMPILER in sys.modules:
    _load()
else:
    sys.meta_path.insert(0, _Watch())
