"""The arguments of `compare`, checked, and as both frameworks take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.porting.models.comparing.tolerance import UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models


def check_flags(**flags: object) -> None:
    """Raise `TypeError` for what is no bool."""
    for name, value in flags.items():
        if not isinstance(value, bool):
            raise TypeError(f"{name} must be True or False, got {name}={value!r}")


def check_steps(steps: int) -> None:
    """Raise unless `steps` is 1 or more."""
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"steps must be an int, 1 or more, got steps={steps!r}")
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got steps={steps!r}")


def checked_tolerance(tolerance: float | None) -> float | None:
    """Return the tolerance of the caller, if there is one and it is allowed."""
    if tolerance is None:
        return None
    if isinstance(tolerance, bool) or not isinstance(tolerance, (int, float)):
        raise TypeError(f"tolerance must be a number, got tolerance={tolerance!r}")
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance must be in [0, 1), got tolerance={tolerance!r}")
    return tolerance


def pair_of(argument: str, value: Any) -> tuple[Any, Any]:
    if value is None or (argument == "loss" and callable(value)):
        return value, value
    if isinstance(value, (tuple, list)) and len(value) == 2 and all(map(callable, value)):
        return value[0], value[1]
    one = "a callable or " if argument == "loss" else ""
    raise TypeError(
        f"{argument} must be {one}a pair of callables (PyTorch's, Paddle's), got {argument}={value!r}"
    )


def common_dtype(models: Models) -> str:
    found = []
    for framework, layers in (
        (models.torch, models.torch_layers),
        (models.paddle, models.paddle_layers),
    ):
        dtypes = {framework.dtype(tensor) for tensor in parameters_of(framework, layers)}
        found.append(dtypes & set(UNIT) or {"float64"})
    if found[0] != found[1] or len(found[0]) != 1:
        raise ValueError(
            "both models must have parameters of one and the same dtype, got "
            f"{_words(found[0])} in torch_model and {_words(found[1])} in paddle_model"
        )
    return found[0].pop()


def _words(names: set[str]) -> str:
    return " and ".join(sorted(names))


def parameters_of(framework: Framework, layers: Mapping[str, Any]) -> list[Any]:
    """Return every parameter once, in the order of the layers."""
    found = {
        id(tensor): tensor
        for layer in layers.values()
        for tensor in framework.parameters(layer).values()
    }
    return list(found.values())


def arrays_of(models: Models, inputs: Any, dtype: str) -> dict[int | str, NDArray[Any]]:
    """Return the inputs by position or keyword; floating ones in the models' dtype, as NumPy has it."""
    if isinstance(inputs, dict):
        items = list(inputs.items())
    elif isinstance(inputs, tuple) or (
        isinstance(inputs, list) and any(hasattr(value, "shape") for value in inputs)
    ):
        items = list(enumerate(inputs))
    else:  # also a list of numbers, or of such lists
        items = [(0, inputs)]
    found = {}
    for key, value in items:
        framework = next((f for f in (models.torch, models.paddle) if f.is_tensor(value)), None)
        array = np.asarray(value) if framework is None else framework.to_numpy(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(
                f"inputs[{key!r}] must hold numbers or booleans, got dtype {array.dtype}"
            )
        if array.dtype.kind == "f":
            array = array.astype("float64" if dtype == "float64" else "float32")
        found[key] = array
    return found


def tensors_of(
    framework: Framework, layers: Mapping[str, Any], given: Mapping[int | str, NDArray[Any]]
) -> tuple[list[Any], dict[str, Any]]:
    """Return the inputs as tensors, of which gradients are asked."""
    parameters = parameters_of(framework, layers)
    like = parameters[0] if parameters else None
    arguments, keywords = [], {}
    for key, array in given.items():
        tensor = framework.from_numpy(array, like)
        if array.dtype.kind == "f":
            tensor = framework.ask_gradient(tensor)
        if isinstance(key, str):
            keywords[key] = tensor
        else:
            arguments.append(tensor)
    return arguments, keywords
