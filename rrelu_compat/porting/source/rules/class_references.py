"""The class where it is named and not built: most places take the shim's class as well."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.rules import neutral_class
from rrelu_compat.porting.source.tree import last_name

if TYPE_CHECKING:
    from rrelu_compat.porting.source.plan import Context, Plan

_SUPER = (
    "super(RReLU, ...) starts above the class: above the shim's there is one more, so write "
    "super() or name the base that is meant"
)


def check(context: Context, plan: Plan, node: ast.expr) -> None:
    """Give a plan up where the shim's class can't stand for the native one."""
    above = context.tree.parent(node)
    if isinstance(above, ast.Call) and last_name(above.func) == "super" and above.func is not node:
        plan.give_up("super", _SUPER)
        plan.native = True
    elif context.target == "neutral":
        why = neutral_class.obstacle(context, node)
        if why:
            plan.give_up("neutral-class", why)
            plan.native = True
