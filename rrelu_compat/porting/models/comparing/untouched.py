"""Contexts that leave models and random streams as they were."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from rrelu_compat import generator as streams
from rrelu_compat.layers import RReLULayer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rrelu_compat.porting.models.frameworks import Framework


@contextlib.contextmanager
def untouched(framework: Framework, layers: Mapping[str, Any]) -> Iterator[None]:
    """Put back, on leaving, parameters, buffers, gradients, modes, generators and random states."""
    modes = [(layer, layer.training) for layer in layers.values()]
    generators = [
        (layer, layer.generator) for layer in layers.values() if isinstance(layer, RReLULayer)
    ]
    parameters = [
        tensor for layer in layers.values() for tensor in framework.parameters(layer).values()
    ]
    buffers = [
        (layer, name, tensor)
        for layer in layers.values()
        for name, tensor in framework.buffers(layer).items()
    ]
    tensors = (*parameters, *(tensor for _, _, tensor in buffers))
    values = [(tensor, framework.to_numpy(tensor)) for tensor in tensors]
    gradients = [(tensor, framework.gradient(tensor)) for tensor in parameters]
    with framework.keeps_random_state(), framework.as_written():
        try:
            for tensor, _ in gradients:
                framework.put_gradient(tensor, None)
            yield
        finally:
            for tensor, value in values:
                framework.assign(tensor, value)
            for layer, name, tensor in buffers:  # ``self.count += 1`` has put another one there
                layer._buffers[name] = tensor
            for tensor, gradient in gradients:
                framework.put_gradient(tensor, gradient)
            for layer, mode in modes:
                layer.training = mode
            for layer, generator in generators:
                layer.generator = generator


@contextlib.contextmanager
def process_stream() -> Iterator[streams.Generator]:
    """Switch the process-wide stream on, and put it back on leaving."""
    before = streams.process_generator()
    state = None if before is None else before.state_dict()
    generator = streams.manual_seed(0)
    assert generator is not None
    try:
        yield generator
    finally:
        if state is not None:
            generator.load_state_dict(state)
        streams.set_process_generator(before is not None)
