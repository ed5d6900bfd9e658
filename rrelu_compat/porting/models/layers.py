"""Every layer of a model, once, by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.models.frameworks import Framework


def layers_of(model: Any, framework: Framework) -> dict[str, Any]:
    """Return every layer of `model` by path, in the order of definition; the model itself is ``""``.

    A layer that is used in several places stands under its first path. Layers in plain lists, tuples,
    sets and dicts, which the framework itself does not see, are found as well: ``blocks[0].act``.
    """
    found: dict[str, Any] = {}
    _add(found, set(), framework, "", model)
    return found


def _add(found: dict[str, Any], seen: set[int], framework: Framework, path: str, item: Any) -> None:
    if id(item) in seen:
        return
    if framework.is_layer(item):
        seen.add(id(item))
        found[path] = item
        prefix = f"{path}." if path else ""
        for key, child in framework.children(item).items():
            _add(found, seen, framework, prefix + key, child)
        for key, value in vars(item).items():
            if key not in framework.internals and not framework.is_layer(value):
                _add(found, seen, framework, prefix + key, value)
    elif isinstance(item, (list, tuple, set, frozenset, dict)):
        seen.add(id(item))
        for key, value in _items(item):
            _add(found, seen, framework, f"{path}[{key!r}]", value)


def _items(container: Any) -> Iterator[tuple[Any, Any]]:
    return iter(container.items() if isinstance(container, dict) else enumerate(container))
