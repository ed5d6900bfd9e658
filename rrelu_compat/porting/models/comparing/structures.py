"""Tensors in nested tuples, lists, dicts and objects: found by place."""

from __future__ import annotations

import numbers
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.models.frameworks import Framework


def tensors_in(structure: Any, framework: Framework) -> dict[str, Any]:
    """Return the tensors in nested tuples, lists, dicts and objects by place: ``"['out'][0]"``."""
    return {
        place: part
        for place, part in _parts(structure, framework, "", ())
        if framework.is_tensor(part)
    }


def opaque_parts(structure: Any, framework: Framework) -> list[str]:
    """Return the types of what can't be looked into and is no plain value."""
    return [
        f"{type(part).__module__}.{type(part).__qualname__}"
        for _, part in _parts(structure, framework, "", ())
        if not framework.is_tensor(part) and not _is_plain(part)
    ]


def matching_item(item: str, ours: list[str], theirs: list[str]) -> str | None:
    """Return the place in the other structure that `item` corresponds to: by name, else by order."""
    if item in theirs:
        return item
    left = [place for place in ours if place not in theirs]
    right = [place for place in theirs if place not in ours]
    position = left.index(item)
    return right[position] if position < len(right) else None


def _children(part: Any) -> list[tuple[str, Any]] | None:
    """Return (place, value) for what is in a container or an object, None for a leaf."""
    if isinstance(part, dict):
        return [(f"[{key!r}]", value) for key, value in part.items()]
    if isinstance(part, (tuple, list)):
        return [(f"[{index}]", value) for index, value in enumerate(part)]
    if _is_plain(part) or isinstance(part, type) or callable(part):
        return None
    attributes = dict(getattr(part, "__dict__", {}))
    for cls in type(part).__mro__:
        for name in getattr(cls, "__slots__", ()) or ():
            if isinstance(name, str) and hasattr(part, name) and not name.startswith("__"):
                attributes[name] = getattr(part, name)
    return [(f".{name}", value) for name, value in attributes.items()] or None


def _parts(
    part: Any, framework: Framework, place: str, within: tuple[int, ...]
) -> Iterator[tuple[str, Any]]:
    if framework.is_tensor(part):
        yield place, part
        return
    if id(part) in within or framework.is_layer(part):
        return
    children = _children(part)
    if children is None:
        yield place, part
        return
    for step, value in children:
        yield from _parts(value, framework, place + step, (*within, id(part)))


def _is_plain(part: Any) -> bool:
    return part is None or isinstance(part, (numbers.Number, str, bytes, slice, range))
