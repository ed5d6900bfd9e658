"""Paddle's random functions, with numbers from `Draws`: the formulas stay, the numbers are ours.

`paddle._C_ops` is undocumented: what Paddle's functions in Python call. Its names are there in 3.0 to
3.3; one that is gone is left as it is, and what it draws is then listed as not aligned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paddle
from paddle import _C_ops as ops

from rrelu_compat.porting.models.draws import CurrentDraws, Draws, replaced_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def changes(where: CurrentDraws) -> list[tuple[Any, str, Any]]:
    """Return what `patches.patched` takes."""
    functions: dict[str, Callable[..., Any]] = {
        "dropout": _dropout,
        "dropout_": _dropout_,
        "uniform": _uniform,
        "gaussian": _gaussian,
        "bernoulli": _bernoulli,
        "uniform_inplace_": _uniform_,
        "gaussian_inplace_": _gaussian_,
        "exponential_": _exponential_,
        "gumbel_softmax": _gumbel_softmax,
        "rnn": _recurrent,
    }
    return [
        (ops, name, replaced_by(where, getattr(ops, name), new))
        for name, new in functions.items()
        if hasattr(ops, name)
    ]


def _like(array: NDArray[Any], tensor: Any) -> Any:
    return paddle.to_tensor(array, place=tensor.place).astype(tensor.dtype)


def _put(tensor: Any, array: NDArray[Any]) -> Any:
    with paddle.no_grad():
        paddle.assign(_like(array, tensor), tensor)
    return tensor


def _shape(tensor: Any) -> tuple[int, ...]:
    return tuple(tensor.shape)


def _dropped(draws: Draws, x: Any, p: float, mode: str) -> Any:
    mask = _like((draws.uniform(_shape(x), f"dropout p={p:g}") >= p).astype(float), x)
    if mode == "upscale_in_train":
        mask = mask / (1 - p if p < 1 else 1)
    return x * mask


def _dropout(
    draws: Draws,
    original: Any,
    x: Any,
    seed_tensor: Any,
    p: Any,
    is_test: bool,
    mode: str,
    *rest: Any,
) -> Any:
    if is_test or not isinstance(p, (int, float)) or p == 0:
        return original(x, seed_tensor, p, is_test, mode, *rest)
    return _dropped(draws, x, p, mode)


def _dropout_(draws: Draws, original: Any, x: Any, *arguments: Any) -> Any:
    if arguments[2] or arguments[1] == 0:
        return original(x, *arguments)
    result = _dropped(draws, x, arguments[1], arguments[3])
    paddle.assign(result, x)
    return x


def _made(original: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    state = paddle.get_rng_state()
    made = original(*arguments, **keywords)
    paddle.set_rng_state(state)
    return made


def _uniform(draws: Draws, original: Any, shape: Any, *arguments: Any, **keywords: Any) -> Any:
    made = _made(original, (shape, *arguments), keywords)
    low, high = (float(bound) for bound in arguments[1:3])
    return _put(made, draws.uniform(_shape(made), "uniform") * (high - low) + low)


def _gaussian(
    draws: Draws, original: Any, shape: Any, mean: float, std: float, *arguments: Any, **more: Any
) -> Any:
    made = _made(original, (shape, mean, std, *arguments), more)
    return _put(made, draws.normal(_shape(made), "normal") * std + mean)


def _bernoulli(draws: Draws, original: Any, x: Any) -> Any:
    numbers = _like(draws.uniform(_shape(x), "bernoulli"), x)
    return (numbers >= 1 - x).astype(x.dtype)


def _uniform_(draws: Draws, original: Any, x: Any, low: float, high: float, *arguments: Any) -> Any:
    return _put(x, draws.uniform(_shape(x), "uniform") * (high - low) + low)


def _gaussian_(
    draws: Draws, original: Any, x: Any, mean: float, std: float, *arguments: Any
) -> Any:
    return _put(x, draws.normal(_shape(x), "normal") * std + mean)


def _exponential_(draws: Draws, original: Any, x: Any, rate: float) -> Any:
    return _put(x, draws.exponential(_shape(x), "exponential") / rate)


def _gumbel_softmax(
    draws: Draws, original: Any, x: Any, temperature: float, hard: bool, axis: int
) -> Any:
    noise = _like(draws.gumbel(_shape(x)), x)
    soft = paddle.nn.functional.softmax((x + noise) / temperature, axis)
    if not hard:
        return soft
    index = soft.argmax(axis)
    one_hot = paddle.moveaxis(
        paddle.nn.functional.one_hot(index, x.shape[axis]).astype(x.dtype), -1, axis
    )
    return one_hot - soft.detach() + soft


def _recurrent(draws: Draws, original: Any, x: Any, states: Any, weights: Any, *rest: Any) -> Any:
    """One layer after the other, with our dropout between them."""
    length, dropout_state, p, both_ways, _, hidden, layers, mode, seed, is_test = rest
    if is_test or p == 0 or layers == 1:
        return original(x, states, weights, *rest)
    directions, half = 2 if both_ways else 1, len(weights) // 2
    each = half // layers  # weights first, then biases
    last: list[list[Any]] = [[] for _ in states]
    for layer in range(layers):
        part = slice(layer * each, (layer + 1) * each)
        x, dropout_state, new = original(
            x,
            [state[layer * directions : (layer + 1) * directions] for state in states],
            [*weights[:half][part], *weights[half:][part]],
            length,
            dropout_state,
            0.0,
            both_ways,
            x.shape[-1],
            hidden,
            1,
            mode,
            seed,
            is_test,
        )
        for kept, one in zip(last, new, strict=True):
            kept.append(one)
        if layer < layers - 1:
            turned = _dropped(draws, x.transpose([1, 0, 2]), p, "upscale_in_train")
            x = turned.transpose([1, 0, 2])
    return x, dropout_state, [paddle.concat(kept) for kept in last]
