"""Finding the backend of a tensor, and the default backend of layers.

No framework is imported here to look at a tensor: its type names the framework, and a tensor can only
exist when its framework is loaded.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rrelu_compat.spec import RReLUSpec

BUILTIN = ("numpy", "torch", "paddle", "cupy")
ENTRY_POINT_GROUP = "rrelu_compat.backends"
ENVIRONMENT_VARIABLE = "RRELU_COMPAT_BACKEND"


@runtime_checkable
class Backend(Protocol):
    """What a backend provides; an object or a module with these five attributes.

    See ``docs/backends.md`` for a complete one.
    """

    #: The name that ``backend=`` takes.
    name: str

    def is_tensor(self, x: object) -> bool:
        """Whether `x` is a tensor of this backend; the answer depends on its type alone."""

    def apply(self, x: Any, spec: RReLUSpec, *, training: bool, generator: Any) -> Any:
        """Return RReLU of the tensor `x`, the design's semantics; `x` itself if ``spec.inplace``."""

    def layer(self, spec: RReLUSpec, generator: Any) -> Any:
        """Build a layer that applies `spec`."""

    def info(self) -> dict[str, Any]:
        """Return versions, devices, dtypes and the kernel in use, for ``rrelu-compat info``."""


_lock = threading.RLock()
_registered: dict[str, Backend] = {}
_entry_points_read = False
_broken: dict[str, str] = {}
_by_type: dict[type, Backend] = {}
_default: str | None = None


def _proxy_error() -> RuntimeError:
    return RuntimeError(
        "paddle.enable_compat() is active: `import torch` gives Paddle's proxy, not PyTorch. "
        "Call paddle.disable_compat() before using the torch backend, "
        "or use rrelu_compat.paddle for Paddle tensors"
    )


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
        raise _proxy_error()


def _load_builtin(name: str) -> Backend:
    if name == "torch":
        check_torch_is_real()
    try:
        module = importlib.import_module(f"rrelu_compat.backends.{name}")
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"backend {name!r} needs the package {name!r}, which is not installed: "
            f"pip install 'rrelu-compat[{name}]'",
            name=name,
        ) from error
    backend: Backend = module.backend
    return backend


def _read_entry_points() -> None:
    """Load third-party backends once; a broken one is reported and does not break the rest."""
    global _entry_points_read
    with _lock:
        if _entry_points_read:
            return
        _entry_points_read = True
        from importlib.metadata import entry_points

        for point in entry_points(group=ENTRY_POINT_GROUP):
            try:
                backend = point.load()
                if point.name != getattr(backend, "name", None):
                    raise ValueError(f"its backend is named {getattr(backend, 'name', None)!r}")
                register_backend(backend)
            except Exception as error:  # anything at all may go wrong in foreign code
                _broken[point.name] = f"{type(error).__name__}: {error}"
                warnings.warn(
                    f"backend entry point {point.name!r} ({point.value}) was left out: "
                    f"{_broken[point.name]}",
                    RuntimeWarning,
                    stacklevel=3,
                )


def register_backend(backend: Backend) -> None:
    """Make a backend known under its name.

    Parameters
    ----------
    backend : Backend
        An object with the attributes of `rrelu_compat.Backend`.

    Raises
    ------
    TypeError
        If an attribute of the protocol is missing.
    ValueError
        If a backend of that name exists.
    """
    missing = [
        attribute
        for attribute in ("name", "is_tensor", "apply", "layer", "info")
        if not hasattr(backend, attribute)
    ]
    if missing:
        raise TypeError(
            f"backend={backend!r} lacks {', '.join(missing)}: "
            "name, is_tensor, apply, layer and info are needed"
        )
    if not isinstance(backend.name, str) or not backend.name:
        raise TypeError(f"backend.name={backend.name!r}: a string that is not empty is allowed")
    with _lock:
        if backend.name in BUILTIN or backend.name in _registered:
            raise ValueError(f"backend.name={backend.name!r} is taken: {', '.join(_names())}")
        _registered[backend.name] = backend
        _by_type.clear()


def _names() -> list[str]:
    return [*BUILTIN, *_registered]


def broken_backends() -> dict[str, str]:
    """Return third-party entry points that could not be loaded, with the reason."""
    _read_entry_points()
    return dict(_broken)


def known_backends() -> list[str]:
    """Return the names of all backends, installed or not."""
    _read_entry_points()
    return _names()


def is_installed(framework: str) -> bool:
    """Whether a built-in backend's framework can be imported; it is not imported."""
    if framework == "torch" and torch_is_proxied():
        return False
    return framework in sys.modules or importlib.util.find_spec(framework) is not None


def available_backends() -> list[str]:
    """Return the names of the backends that can be used here; no framework is imported.

    Examples
    --------
    >>> "numpy" in available_backends()
    True
    """
    return [name for name in known_backends() if name not in BUILTIN or is_installed(name)]


def get_backend(name: str) -> Backend:
    """Return a backend by name, importing its framework.

    Raises
    ------
    ValueError
        If no backend has that name.
    ModuleNotFoundError
        If its framework is not installed.
    """
    if name in BUILTIN:
        return _load_builtin(name)
    _check_name("backend", name)
    return _registered[name]


def _check_name(argument: str, name: object) -> None:
    if not isinstance(name, str) or (name not in BUILTIN and name not in known_backends()):
        raise ValueError(f"{argument}={name!r}: allowed are {', '.join(known_backends())}")


def backend_of(x: object) -> Backend:
    """Return the backend whose tensor `x` is.

    Raises
    ------
    TypeError
        If no backend takes it.
    """
    backend = _by_type.get(type(x))
    if backend is None:
        backend = _find(x)
        with _lock:
            _by_type[type(x)] = backend
    return backend


def _find(x: object) -> Backend:
    roots = [ancestor.__module__.partition(".")[0] for ancestor in type(x).__mro__]
    for name in BUILTIN:
        if name in roots:
            backend = _load_builtin(name)
            if backend.is_tensor(x):
                return backend
    _read_entry_points()
    for backend in list(_registered.values()):
        if backend.is_tensor(x):
            return backend
    hint = ""
    if isinstance(x, (list, tuple, int, float)):
        hint = "; rrelu_compat.numpy.rrelu takes array-likes"
    raise TypeError(
        f"x has type {type(x).__module__}.{type(x).__qualname__}: "
        f"a tensor of one of {', '.join(known_backends())} is allowed{hint}"
    )


def set_default_backend(name: str | None) -> None:
    """Choose the backend of `rrelu_compat.RReLU` where none is given; None goes back to the rules.

    Raises
    ------
    ValueError
        If no backend has that name.
    """
    global _default
    if name is not None:
        _check_name("name", name)
    _default = name


def default_backend() -> str | None:
    """Return the name of the backend layers are built for, or None if nothing decides.

    The first of: `set_default_backend`; the environment variable ``RRELU_COMPAT_BACKEND``; the one of
    PyTorch and Paddle that the program has imported.

    Raises
    ------
    ValueError
        If the environment variable names no backend.
    RuntimeError
        If the program has imported both.
    """
    if _default is not None:
        return _default
    if from_environment := os.environ.get(ENVIRONMENT_VARIABLE):
        _check_name(ENVIRONMENT_VARIABLE, from_environment)
        return from_environment
    imported = [name for name in ("torch", "paddle") if name in sys.modules]
    if "torch" in imported and torch_is_proxied():
        imported.remove("torch")
    if len(imported) == 2:
        raise RuntimeError(
            'rrelu_compat.set_default_backend("paddle") or ("torch") tells which layer to build: '
            'this program has imported both. Other ways: RReLU(..., backend="torch"), the variable '
            f"{ENVIRONMENT_VARIABLE}, or `from rrelu_compat.torch import RReLU`"
        )
    return imported[0] if imported else None
