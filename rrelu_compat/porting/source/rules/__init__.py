"""One file for each kind of use. `planned` asks them in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rrelu_compat.porting.source.rules import imported_names, imports, own_names, qualified_names

if TYPE_CHECKING:
    import ast

    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.plan import Context, Plan

_RULES = (imports.plan, own_names.plan, qualified_names.plan, imported_names.plan)


def planned(context: Context, place: Position, name: str, node: ast.AST) -> Plan | None:
    """Return the plan of the first rule that knows what to do with an identifier."""
    for rule in _RULES:
        found = rule(context, place, name, node)
        if found is not None:
            return found
    return None
