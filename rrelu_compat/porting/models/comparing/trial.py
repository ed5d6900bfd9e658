"""A trial run of both models: which layers they call, in which order."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.comparing.arguments import arrays_of, common_dtype, tensors_of
from rrelu_compat.porting.models.comparing.untouched import process_stream, untouched
from rrelu_compat.porting.models.pairing import (
    Names,
    align,
    described,
    is_end,
    paired_by_order,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from rrelu_compat.porting.models.pairing import Models


def names_by_order(torch_model: Any, paddle_model: Any, inputs: Any) -> Names:
    """Return the paths of layers in the one model and in the other, where they differ."""
    models = align(torch_model, paddle_model, {})
    given = arrays_of(models, inputs, common_dtype(models))
    with (
        untouched(models.torch, models.torch_layers),
        untouched(models.paddle, models.paddle_layers),
        process_stream(),
    ):
        return paired_by_order(models, lambda name: calls_in_order(models, name, given)).guessed


def calls_in_order(
    models: Models, name: str, given: Mapping[int | str, NDArray[Any]]
) -> list[tuple[str, str]]:
    """Run a model once; return the layers in the order of their calls, each with its description."""
    framework, model, layers = (
        (models.torch, models.torch_model, models.torch_layers)
        if name == "torch"
        else (models.paddle, models.paddle_model, models.paddle_layers)
    )
    calls: list[tuple[str, str]] = []
    handles = []
    for path, layer in layers.items():
        if is_end(framework, layer):

            def on_entry(
                _: Any, arguments: Any, keywords: Any, path: str = path, layer: Any = layer
            ) -> None:
                tensors = [x for x in (*arguments, *keywords.values()) if framework.is_tensor(x)]
                shape = tuple(tensors[0].shape) if tensors else ()
                calls.append((path, described(framework, layer, shape)))

            handles += framework.hook(layer, on_entry, lambda *_: None)
    arguments, keywords = tensors_of(framework, layers, given)
    try:
        # What it raises the run that counts raises again; what was called before it is enough here.
        with contextlib.suppress(Exception):
            model(*arguments, **keywords)
    finally:
        for handle in handles:
            handle.remove()
    return calls
