"""PyTorch's random functions, with numbers from `Draws`: the formulas stay, the numbers are ours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from rrelu_compat.porting.models.draws import CurrentDraws, Draws, replaced_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

_ALPHA, _SCALE = 1.6732632423543772848170429916717, 1.0507009873554804934193349852946


def changes(where: CurrentDraws) -> list[tuple[Any, str, Any]]:
    """Return what `patches.patched` takes."""
    functions: list[tuple[Any, str, Callable[..., Any]]] = [
        (F, "dropout", _dropout),
        (torch, "dropout", _torch_dropout),
        (F, "dropout1d", _features(1)),
        (F, "dropout2d", _features(2)),
        (F, "dropout3d", _features(3)),
        (F, "alpha_dropout", _alpha_dropout),
        (F, "feature_alpha_dropout", _feature_alpha_dropout),
        (F, "gumbel_softmax", _gumbel_softmax),
        (F, "scaled_dot_product_attention", _attention),
        (torch, "rand", _filled("uniform")),
        (torch, "rand_like", _filled("uniform")),
        (torch, "randn", _filled("normal")),
        (torch, "randn_like", _filled("normal")),
        (torch, "normal", _normal),
        (torch, "bernoulli", _bernoulli),
        (torch.Tensor, "bernoulli", _bernoulli),
        (torch.Tensor, "bernoulli_", _bernoulli_),
        (torch.Tensor, "uniform_", _uniform_),
        (torch.Tensor, "normal_", _normal_),
        (torch.Tensor, "exponential_", _exponential_),
        *((torch._VF, name, _recurrent(name)) for name in ("lstm", "gru", "rnn_tanh", "rnn_relu")),
    ]
    return [
        (owner, name, replaced_by(where, getattr(owner, name), new))
        for owner, name, new in functions
    ]


def _like(array: NDArray[Any], tensor: Any) -> Any:
    return torch.as_tensor(array).to(tensor.device, tensor.dtype)


def _mask(draws: Draws, x: Any, shape: tuple[int, ...], p: float, what: str) -> Any:
    return _like((draws.uniform(shape, f"{what} p={p:g}") >= p).astype(float), x)


def _dropped(draws: Draws, x: Any, shape: tuple[int, ...], p: float, inplace: bool) -> Any:
    factor = _mask(draws, x, shape, p, "dropout") / (1 - p if p < 1 else 1)
    return x.mul_(factor) if inplace else x * factor


def _dropout(
    draws: Draws,
    original: Any,
    input: Any,
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
) -> Any:
    if not training or p == 0 or not 0 <= p <= 1:
        return original(input, p, training, inplace)
    return _dropped(draws, input, tuple(input.shape), p, inplace)


def _torch_dropout(draws: Draws, original: Any, input: Any, p: float, train: bool) -> Any:
    return _dropout(draws, original, input, p, train) if train else original(input, p, train)


def _features(axes: int) -> Callable[..., Any]:
    def dropout(
        draws: Draws,
        original: Any,
        input: Any,
        p: float = 0.5,
        training: bool = True,
        inplace: bool = False,
    ) -> Any:
        if not training or p == 0 or not 0 <= p <= 1:
            return original(input, p, training, inplace)
        batched = input.dim() == axes + 2 or axes == 2  # PyTorch takes (N, C, L) there
        kept = 2 if batched else 1
        shape = tuple(input.shape[:kept]) + (1,) * (input.dim() - kept)
        return _dropped(draws, input, shape, p, inplace)

    return dropout


def _alpha(draws: Draws, x: Any, shape: tuple[int, ...], p: float, inplace: bool) -> Any:
    if p == 1:
        return x * 0
    low = -_ALPHA * _SCALE
    a = ((1 - p) * (1 + p * low**2)) ** -0.5
    mask = _mask(draws, x, shape, p, "alpha_dropout")
    result = (x * mask + (1 - mask) * low) * a - a * low * p
    return x.copy_(result) if inplace else result


def _alpha_dropout(
    draws: Draws,
    original: Any,
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    if not training or p == 0 or not 0 <= p <= 1:
        return original(input, p, training, inplace)
    return _alpha(draws, input, tuple(input.shape), p, inplace)


def _feature_alpha_dropout(
    draws: Draws,
    original: Any,
    input: Any,
    p: float = 0.5,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    if not training or p == 0 or not 0 <= p <= 1:
        return original(input, p, training, inplace)
    shape = tuple(input.shape[:2]) + (1,) * (input.dim() - 2)
    return _alpha(draws, input, shape, p, inplace)


def _gumbel_softmax(
    draws: Draws,
    original: Any,
    logits: Any,
    tau: float = 1,
    hard: bool = False,
    eps: float = 1e-10,
    dim: int = -1,
) -> Any:
    noise = _like(draws.gumbel(tuple(logits.shape)), logits)
    soft = ((logits + noise) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    return torch.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft


def _attention(
    draws: Draws,
    original: Any,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if dropout_p == 0 or enable_gqa:
        return original(query, key, value, attn_mask, dropout_p, is_causal, scale=scale)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * factor
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
    weights = scores.softmax(-1)
    return _dropped(draws, weights, tuple(weights.shape), dropout_p, False) @ value


def _filled(kind: str) -> Callable[..., Any]:
    def make(draws: Draws, original: Any, *arguments: Any, **keywords: Any) -> Any:
        with torch.random.fork_rng():
            made = original(*arguments, **keywords)
        numbers = getattr(draws, kind)(tuple(made.shape), kind)
        with torch.no_grad():
            made.copy_(_like(numbers, made))
        return made

    return make


def _normal(draws: Draws, original: Any, mean: Any, std: Any = 1.0, *rest: Any, **more: Any) -> Any:
    with torch.random.fork_rng():
        made = original(mean, std, *rest, **more)
    numbers = draws.normal(tuple(made.shape), "normal")
    with torch.no_grad():
        return made.copy_(_like(numbers, made) * std + mean)


def _bernoulli(draws: Draws, original: Any, input: Any, *rest: Any, **more: Any) -> Any:
    p = rest[0] if rest and not isinstance(rest[0], torch.Generator) else more.get("p", input)
    numbers = _like(draws.uniform(tuple(input.shape), "bernoulli"), input)
    return (numbers >= 1 - p).to(input.dtype)


def _bernoulli_(draws: Draws, original: Any, self: Any, p: Any = 0.5, **more: Any) -> Any:
    numbers = _like(draws.uniform(tuple(self.shape), "bernoulli"), self)
    with torch.no_grad():
        return self.copy_(numbers >= 1 - p)


def _uniform_(
    draws: Draws, original: Any, self: Any, from_: float = 0, to: float = 1, **more: Any
) -> Any:
    low, high = more.get("from", from_), to
    with torch.no_grad():
        return self.copy_(
            _like(draws.uniform(tuple(self.shape), "uniform"), self) * (high - low) + low
        )


def _normal_(
    draws: Draws, original: Any, self: Any, mean: float = 0, std: float = 1, **more: Any
) -> Any:
    with torch.no_grad():
        return self.copy_(_like(draws.normal(tuple(self.shape), "normal"), self) * std + mean)


def _exponential_(draws: Draws, original: Any, self: Any, lambd: float = 1, **more: Any) -> Any:
    with torch.no_grad():
        return self.copy_(_like(draws.exponential(tuple(self.shape), "exponential"), self) / lambd)


def _recurrent(name: str) -> Callable[..., Any]:
    """One layer after the other, with our dropout between them."""

    def run(draws: Draws, original: Any, *arguments: Any) -> Any:
        packed = isinstance(arguments[3], (list, tuple))
        if packed or not (arguments[5] > 0 and arguments[4] > 1 and arguments[6]):
            return original(*arguments)
        x, state, weights, bias, layers, p, training, both_ways, batch_first = arguments
        states = list(state) if name == "lstm" else [state]
        each, directions = len(weights) // layers, 2 if both_ways else 1
        last: list[list[Any]] = [[] for _ in states]
        for layer in range(layers):
            part = [s[layer * directions : (layer + 1) * directions] for s in states]
            x, *new = original(
                x,
                tuple(part) if name == "lstm" else part[0],
                weights[layer * each : (layer + 1) * each],
                bias,
                1,
                0.0,
                training,
                both_ways,
                batch_first,
            )
            for kept, one in zip(last, new, strict=True):
                kept.append(one)
            if layer < layers - 1:
                # The mask is that of (batch, time, features), whatever the order is.
                turned = x if batch_first else x.transpose(0, 1)
                turned = _dropped(draws, turned, tuple(turned.shape), p, False)
                x = turned if batch_first else turned.transpose(0, 1)
        return (x, *(torch.cat(kept) for kept in last))

    return run
