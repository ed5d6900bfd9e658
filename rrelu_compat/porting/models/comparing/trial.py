"""A trial run of both models: which layers they call, in which order, pairs what has no namesake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.porting.models.comparing.structures import tensors_in
from rrelu_compat.porting.models.comparing.untouched import process_stream, untouched
from rrelu_compat.porting.models.pairing import described, paired_by_order

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rrelu_compat.porting.models.frameworks import Framework
    from rrelu_compat.porting.models.pairing import Models


def paired_by_trial(
    models: Models,
    tensors: Callable[[Framework, Mapping[str, Any]], tuple[list[Any], dict[str, Any]]],
) -> Models:
    """Pair what is left in the order of execution, where kind and sizes are the same.

    ``tensors(framework, layers)`` returns the arguments and keywords to call a model with. A model that
    raises pairs what it called before.
    """

    def calls(name: str) -> list[tuple[str, str]]:
        framework, model, layers = (
            (models.torch, models.torch_model, models.torch_layers)
            if name == "torch"
            else (models.paddle, models.paddle_model, models.paddle_layers)
        )
        found: list[tuple[str, str]] = []

        def watch(path: str, layer: Any) -> list[Any]:
            def on_entry(_: Any, arguments: Any, keywords: Any) -> None:
                given = tensors_in((arguments, keywords), framework).values()
                shape = next((tuple(tensor.shape) for tensor in given), ())
                found.append((path, described(framework, layer, shape)))

            return framework.hook(layer, on_entry, lambda *_: None)

        with untouched(framework, layers), process_stream():
            handles = [handle for path, layer in layers.items() for handle in watch(path, layer)]
            try:
                arguments, keywords = tensors(framework, layers)
                model(*arguments, **keywords)
            except Exception:  # the run that is compared raises it again
                pass
            finally:
                for handle in handles:
                    handle.remove()
        return found

    return paired_by_order(models, calls)
