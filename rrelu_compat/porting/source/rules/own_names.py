"""Names that the program itself binds: they stay."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.plan import UNCHANGED, Plan

if TYPE_CHECKING:
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.plan import Context


def plan(context: Context, place: Position, name: str, node: ast.AST) -> Plan | None:
    """Plan a name that is bound, or the keyword of an argument."""
    if isinstance(node, (ast.keyword, ast.MatchClass)):
        why = "the name of an argument or attribute"
    elif isinstance(node, ast.arg):
        why = "a parameter"
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        why = "the program's own definition"
    elif isinstance(node, (ast.Attribute, ast.alias, ast.ImportFrom)) or (
        isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
    ):
        return None
    else:
        why = "the program's own name"
    return Plan(place, name, "name", UNCHANGED, "own-name", why)
