"""The route of torch.compile: written so that Dynamo reads it without a graph break."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import torch

from rrelu_compat.backends.torch import evaluation, graphs, private
from rrelu_compat.backends.torch.ops import calls
from rrelu_compat.backends.torch.seeds import FRAMEWORK_STATE, FRAMEWORK_TENSOR, check_generator
from rrelu_compat.backends.torch.tensors import (
    check_layout,
    code_of,
    is_dtensor,
    key_tensor,
    scaled,
)
from rrelu_compat.errors import BoundsError
from rrelu_compat.generator import process_generator
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from torch import Tensor


@private.constant_in_graphs
def _constant_range(
    lower: Any, upper: Any, training: bool, single: bool
) -> tuple[float, float, str, str]:
    # An error that left this function would be reported as one of Dynamo itself.
    try:
        return *RReLUSpec(lower, upper).slope_range(training, single), "", ""
    except BoundsError as error:
        return 0.0, 0.0, str(error), ""
    except TypeError as error:
        return 0.0, 0.0, "", str(error)


def functional(
    x: Tensor, lower: Any, upper: Any, training: bool, inplace: bool, generator: Any
) -> Tensor:
    """Apply RReLU of these bounds in a traced function; the bounds are checked at trace time."""
    code_of(x)
    low, high, bad_bounds, bad_type = _constant_range(
        private.constant(lower), private.constant(upper), training, x.dtype is not torch.float64
    )
    if bad_bounds:
        raise BoundsError(bad_bounds)
    if bad_type:
        raise TypeError(bad_type)
    return _apply(x, low, high, training, inplace, generator)


def _key(generator: Any) -> Tensor:
    """Draw in the graph: the state comes in, the next state goes back into the same memory."""
    own = generator is not None
    if own and generator.device is not None:
        raise RuntimeError(
            "a Generator that is bound to a device cannot enter a compiled graph: use another one, or "
            "rrelu_compat.torch.unbind(generator)"
        )
    if torch.is_grad_enabled():
        # A NumPy array, not a tensor kept for life: each run then gets a tensor with a version counter of its
        # own, else checkpointed graphs see their saved state "modified by an inplace operation".
        array = generator._state if own else FRAMEWORK_STATE
        state = torch.from_numpy(array).view(torch.int64)
    elif own and generator.tensor is None:
        return _key_alone(generator)
    else:
        # In inference mode Dynamo cannot make tensors of arrays.
        state = generator.tensor if own else FRAMEWORK_TENSOR
    drawn: Tensor = calls.draw_at(state, own, _site())
    state.copy_(drawn[2:])
    return drawn[:2]


_sites = itertools.count()


@private.constant_in_graphs
def _site() -> int:
    return next(_sites)


def _key_alone(generator: Any) -> Tensor:
    """Draw where a graph can have no state (under transforms): by a handle, and a number of the place."""
    key: Tensor = calls.draw_alone(-1 if generator is None else id(generator), _site())
    return key


def apply(x: Tensor, spec: RReLUSpec, training: bool, generator: Any) -> Tensor:
    """Apply `spec` to a tensor in a traced function."""
    code_of(x)
    lower, upper = spec.slope_range(training, x.dtype is not torch.float64)
    lower, upper = private.constant(lower), private.constant(upper)
    return _apply(x, lower, upper, training, spec.inplace, generator)


def _apply(
    x: Tensor, lower: float, upper: float, training: bool, inplace: bool, generator: Any
) -> Tensor:
    check_generator(generator)
    check_layout(x)
    if private.is_exporting():
        return graphs.export(x, lower, upper, training, inplace, generator)
    distributed = is_dtensor(x)
    if not training and not distributed:
        return graphs.finish(x, scaled(x, evaluation.multipliers(x, lower)), inplace)
    if isinstance(generator, torch.Generator):
        raise TypeError(
            f"generator={generator!r}: a torch.Generator cannot enter a compiled graph (nor can it with "
            "torch.rrelu); rrelu_compat.Generator can"
        )
    if generator is None:
        generator = process_generator()
    if distributed:
        from rrelu_compat.backends.torch import dtensor

        if training and generator is None:
            raise RuntimeError(
                "RReLU of a DTensor in a compiled graph needs a seed that all ranks share: pass "
                "generator=rrelu_compat.Generator(seed) or call rrelu_compat.manual_seed(seed)"
            )
        key = _key(generator) if training else key_tensor(0, 0)
        return dtensor.apply(x, lower, upper, training, inplace, generator, key)
    if private.functorch_active():
        key = _key_alone(generator)
        many = calls.multipliers(x.detach(), key, lower, upper)
        return graphs.finish(x, scaled(x, many), inplace)
    key = _key(generator)
    y, _ = calls.forward(x, key, lower, upper)
    return graphs.finish(x, y, inplace)
