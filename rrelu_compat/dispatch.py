"""Finding the backend of a tensor, and the default backend of layers.

No framework is imported here to look at a tensor: its type names the framework, and a tensor can only
exist when its framework is loaded.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rrelu_compat.errors import install_hint
from rrelu_compat.frameworks import (
    check_torch_is_real,
    framework_of_tensor,
    is_installed,
    torch_is_proxied,
)

if TYPE_CHECKING:
    from collections.abc import Container
    from importlib.metadata import EntryPoint

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


# Single dictionary operations, each atomic: there is no lock that foreign code could be called under.
_built_in: dict[str, Backend] = {}
_registered: dict[str, Backend] = {}
_points: list[EntryPoint] | None = None
_broken: dict[str, str] = {}
_by_type: dict[type, Backend] = {}
_default: str | None = None


def _load_builtin(name: str) -> Backend:
    if name == "torch":
        check_torch_is_real()
    if name in _built_in:  # compilers can follow this, and no import
        return _built_in[name]
    try:
        module = importlib.import_module(f"rrelu_compat.backends.{name}.backend")
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ModuleNotFoundError(
            f"backend {name!r} needs the package {name!r}, which is not installed: {install_hint(name)}",
            name=name,
        ) from error
    backend: Backend = module.backend
    _built_in[name] = backend
    return backend


def _load(point: EntryPoint) -> None:
    """Load a third-party backend; a broken one is reported and does not break the rest."""
    try:
        # Foreign code runs here, and may register backends or wait for other imports: no lock is held.
        backend = point.load()
        if point.name != getattr(backend, "name", None):
            raise ValueError(f"its backend is named {getattr(backend, 'name', None)!r}")
        if _registered.get(point.name) is not backend:
            register_backend(backend)
    except Exception as error:  # anything at all may go wrong in foreign code
        reason = f"{type(error).__name__}: {error}"
        if _broken.setdefault(point.name, reason) is reason:
            warnings.warn(
                f"backend entry point {point.name!r} ({point.value}) was left out: {reason}",
                RuntimeWarning,
                stacklevel=4,
            )


def _entry_points() -> list[EntryPoint]:
    """Return the third-party backends that are installed; nothing of theirs is imported."""
    global _points
    if _points is None:
        from importlib.metadata import entry_points

        _points = list(entry_points(group=ENTRY_POINT_GROUP))
    return _points


def _load_entry_points(roots: Container[str] | None = None) -> None:
    """Load the third-party backends that may take a tensor whose classes come from the packages `roots`.

    An entry point may name its framework's package in brackets, ``box = "box_rrelu:backend [boxlib]"``;
    it is then loaded for tensors of that package alone. None: load all.
    """
    for point in _entry_points():
        if point.name in _registered or point.name in _broken:
            continue
        if roots is None or not point.extras or any(package in roots for package in point.extras):
            _load(point)


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
            "backend must have name, is_tensor, apply, layer and info, "
            f"got {backend!r} without {', '.join(missing)}"
        )
    if not isinstance(backend.name, str) or not backend.name:
        raise TypeError(f"backend.name must be a string that is not empty, got {backend.name!r}")
    taken = backend.name in BUILTIN or _registered.setdefault(backend.name, backend) is not backend
    if taken:
        raise ValueError(
            f"backend.name must be new, got {backend.name!r}, "
            f"which is among {', '.join([*BUILTIN, *_registered])}"
        )
    _by_type.clear()


def broken_backends() -> dict[str, str]:
    """Return third-party entry points that could not be loaded, with the reason."""
    _load_entry_points()
    return dict(_broken)


def known_backends() -> list[str]:
    """Return the names of all backends, installed or not; no framework is imported."""
    declared = [point.name for point in _entry_points() if point.name not in _broken]
    return list(dict.fromkeys([*BUILTIN, *_registered, *declared]))


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
    for point in _entry_points():
        if point.name == name and name not in _registered:
            _load(point)
    if name not in _registered:
        raise ModuleNotFoundError(
            f"backend {name!r} can't be loaded: {_broken.get(name)}", name=name
        )
    return _registered[name]


def _check_name(argument: str, name: object) -> None:
    if not isinstance(name, str) or (name not in BUILTIN and name not in known_backends()):
        raise ValueError(
            f"{argument} must be one of {', '.join(known_backends())}, got {argument}={name!r}"
        )


def backend_of(x: object) -> Backend:
    """Return the backend whose tensor `x` is.

    Raises
    ------
    TypeError
        If no backend takes it.
    """
    backend = _by_type.get(type(x))
    return _find(x) if backend is None else backend


def _find(x: object) -> Backend:
    name = framework_of_tensor(type(x))
    if name is not None:
        return _by_type.setdefault(type(x), _load_builtin(name))
    _load_entry_points({str(ancestor.__module__).partition(".")[0] for ancestor in type(x).__mro__})
    for backend in list(_registered.values()):
        if backend.is_tensor(x):
            _by_type[type(x)] = backend
            return backend
    hint = ""
    if isinstance(x, (list, tuple, int, float)):
        hint = "; rrelu_compat.numpy.rrelu takes array-likes"
    raise TypeError(
        f"x must be a tensor of one of {', '.join(known_backends())}, "
        f"got {type(x).__module__}.{type(x).__qualname__}{hint}"
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
            "this program has imported both PyTorch and Paddle, so say which layer RReLU is to build: "
            'rrelu_compat.set_default_backend("torch") or ("paddle"), RReLU(..., backend="torch"), the '
            f"variable {ENVIRONMENT_VARIABLE}, or `from rrelu_compat.torch import RReLU`"
        )
    return imported[0] if imported else None
