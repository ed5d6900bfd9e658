"""Whether a program is being traced to be saved or exported.

Paddle saves a model that is in training mode as evaluation (it sets ``is_test`` on saving), so a layer
that is traced for it emits evaluation; Python operations could not be saved anyway.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any, Literal

import paddle


def _code(function: Any) -> Any:
    return inspect.unwrap(function).__code__


_SAVE = _code(paddle.jit.save)
_ONNX = _code(paddle.onnx.export)


def purpose() -> Literal["run", "save", "onnx"]:
    """Return what the program that is being traced is for."""
    found: Literal["run", "save"] = "run"
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code is _ONNX:
            return "onnx"
        if frame.f_code is _SAVE:
            found = "save"
        frame = frame.f_back
    return found
