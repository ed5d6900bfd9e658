"""Several imports of one name, stars among them: the shim's follows each star."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import STARS, lookup
from rrelu_compat.porting.source.edits import Position
from rrelu_compat.porting.source.meaning import Meaning
from rrelu_compat.porting.source.plan import REWRITTEN, Plan
from rrelu_compat.porting.source.rules import outcomes
from rrelu_compat.porting.source.tree import module_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.plan import Context
    from rrelu_compat.porting.source.scopes import Binding


def plans(context: Context) -> Iterator[Plan]:
    """Yield a plan for each name that a framework's star import brings and another import, too."""
    bound = context.tree.scopes.module.bindings
    for statement in context.resolver.stars:
        assert isinstance(statement, ast.ImportFrom)
        for name, path in STARS.get(module_of(statement), {}).items():
            api = lookup(path)
            others = [one for one in bound.get(name, ()) if one.statement is not None]
            stars = [one for one in context.resolver.stars if name in STARS.get(module_of(one), {})]
            if api is None or not (others or (stars[1:] and name in context.tree.scopes.names)):
                continue
            if _ours_follows(context, statement, others):
                continue
            place = context.tree.end(statement)
            meaning = Meaning("path", path, imports=(statement,), star=True)
            if outcomes.decided(context, place, name, meaning, api) is not None:
                continue
            done = Plan(Position(place.line, place.column - 1), "*", "star", REWRITTEN, api=api)
            done.imports, done.shim, done.local = (statement,), api.shim(context.target), name
            yield done


def _ours_follows(context: Context, star: ast.ImportFrom, bindings: list[Binding]) -> bool:
    """Whether the shim's function is imported behind a star import already."""
    return any(
        context.resolver.bound(one).api is not None
        and context.resolver.bound(one).api.framework == context.target  # type: ignore[union-attr]
        and context.tree.start(one.node) > context.tree.start(star)
        for one in bindings
    )
