"""RReLUs that the program itself replaces in the framework's modules, for good or in a test."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import Api, lookup
from rrelu_compat.porting.source.tree import last_name, literal, positional

if TYPE_CHECKING:
    from rrelu_compat.porting.source.plan import Context


def found(context: Context) -> set[Api]:
    """Return what the file replaces."""
    tree, resolver = context.tree, context.resolver
    apis = set()
    for node in tree.places.values():
        if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
            apis.add(resolver.meaning(node).api)
    for _, _, string in tree.strings:
        call = tree.parent(string)
        if isinstance(call, ast.Call):
            name = last_name(call.func)
            if name in ("setattr", "delattr", "object"):
                apis.add(resolver.set_by(call).api)
            if name in ("setattr", "delattr", "patch"):
                apis.add(lookup(literal(positional(call, 0)) or ""))
    return {api for api in apis if api is not None}
