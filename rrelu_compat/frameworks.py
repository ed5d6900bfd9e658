"""What is installed and loaded; no framework is imported here.

``paddle.enable_compat()`` puts a proxy in the place of ``torch``: it is told apart here too.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

#: Where each framework's tensor types, and its base class of layers, are found.
_TENSORS: dict[str, tuple[str, ...]] = {
    "torch": ("Tensor", "fx.Proxy"),
    "paddle": ("Tensor", "pir.Value", "static.Variable"),
    "cupy": ("ndarray",),
    "numpy": ("ndarray",),  # last: other libraries derive their arrays from it
}
_LAYERS: dict[str, tuple[str, ...]] = {"torch": ("nn.Module",), "paddle": ("nn.Layer",)}


def is_installed(framework: str) -> bool:
    """Whether a framework can be imported; it is not imported."""
    if framework == "torch" and torch_is_proxied():
        return False
    return framework in sys.modules or importlib.util.find_spec(framework) is not None


def torch_is_proxied() -> bool:
    """Whether Paddle's torch proxy (``paddle.enable_compat()``) stands in for PyTorch."""
    if type(sys.modules.get("torch")).__name__ == "ProxyModule":
        return True
    # The proxy enters sys.modules only at the next import; until then its finder tells.
    return any(
        type(finder).__name__ == "TorchProxyMetaFinder"
        and getattr(finder, "_globally_enabled", False)
        for finder in sys.meta_path
    )


def check_torch_is_real() -> None:
    """Raise a clear ``RuntimeError`` where ``import torch`` would give Paddle's proxy."""
    if torch_is_proxied():
        raise RuntimeError(
            "paddle.enable_compat() is active: `import torch` gives Paddle's proxy, not PyTorch. "
            "Call paddle.disable_compat() before using the torch backend, "
            "or use rrelu_compat.paddle for Paddle tensors"
        )


def framework_of_tensor(cls: type) -> str | None:
    """Return the loaded framework whose tensors are of class `cls`, or None."""
    return _owner(cls, _TENSORS)


def framework_of_layer(cls: type) -> str | None:
    """Return the loaded framework whose layers are of class `cls`, or None."""
    return _owner(cls, _LAYERS)


def has_layers(framework: str) -> bool:
    """Whether a framework has models that put their layers into training or evaluation."""
    return framework in _LAYERS


def _owner(cls: type, table: dict[str, tuple[str, ...]]) -> str | None:
    for framework, names in table.items():
        if framework == "torch" and torch_is_proxied():
            if _comes_from_torch(cls):
                check_torch_is_real()
            continue
        module = sys.modules.get(framework)
        for name in names:
            owner = _find(module, name)
            if isinstance(owner, type) and issubclass(cls, owner):
                return framework
    return None


def _find(module: Any, name: str) -> Any:
    for part in name.split("."):
        module = getattr(module, part, None)  # a module may be half imported
    return module


def _comes_from_torch(cls: type) -> bool:
    # Behind the proxy there is no class to compare with. (A class may have no module's name at all.)
    return any(str(ancestor.__module__).partition(".")[0] == "torch" for ancestor in cls.__mro__)
