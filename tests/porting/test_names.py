"""The table of names against the installed frameworks: no path of theirs is missing or made up."""

from __future__ import annotations

import importlib
import inspect
import sys
from typing import Any

import pytest

from rrelu_compat.porting.source import apis
from rrelu_compat.porting.source.apis import lookup


def resolve(path: str) -> Any:
    """Import the longest module of a path and read the rest."""
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"no module of {path} can be imported")


@pytest.mark.parametrize("path", sorted(apis._APIS))
def test_every_path_exists(path: str) -> None:
    if path.endswith(("with_noise", "with_noise_", "rrelu_")):
        return  # some of these are kept so that a wrong use is reported, not passed over
    assert resolve(path) is not None


@pytest.mark.parametrize("path", sorted(apis._MODULES))
def test_second_paths_of_modules(path: str) -> None:
    assert resolve(path) is resolve(apis._MODULES[path])


@pytest.mark.parametrize("framework", ["torch", "paddle"])
def test_no_path_is_missing(framework: str) -> None:
    importlib.import_module(framework)
    wanted = {"RReLU", "rrelu", "rrelu_", "rrelu_with_noise"}
    # torch.onnx has functions of that name that write graphs: unknown to the table, so left by hand.
    for module_name, module in list(sys.modules.items()):
        if module_name.split(".")[0] == framework and ".onnx." not in module_name:
            for name in wanted & set(vars(module) if module else ()):
                assert lookup(f"{module_name}.{name}") is not None, f"{module_name}.{name}"


@pytest.mark.parametrize("path", sorted(apis._APIS))
def test_signatures(path: str) -> None:
    api = apis._APIS[path]
    if api.obstacle or not api.plain:
        return
    try:
        signature = inspect.signature(resolve(path))
    except ValueError:  # a built-in: its order is shown by the cases that call it
        return
    given = [
        name
        for name, one in signature.parameters.items()
        if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    ]
    if api.is_class:
        if api.native:
            assert tuple(given) == api.parameters
        return
    assert given[0] in api.input_names
    assert given[1:4] == list(api.parameters[1:4])
    if api.native:
        assert given[4:] == list(api.parameters[4:])
    if api.framework != "neutral":
        assert str(signature.parameters["training"].default) == api.training_default


@pytest.mark.parametrize("module", sorted(apis.STARS))
def test_star_imports(module: str) -> None:
    given: dict[str, Any] = {}
    exec(f"from {module} import *", given)
    wanted = {"RReLU", "rrelu", "rrelu_", "functional", "modules"}
    wanted |= {f"{one}_{name}" for one in ("torch", "paddle") for name in ("rrelu", "rrelu_")}
    assert wanted & set(given) == set(apis.STARS[module])
    for name, path in apis.STARS[module].items():
        assert given[name] is resolve(path)
