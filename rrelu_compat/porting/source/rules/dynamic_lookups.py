"""Look-ups by a name that is no literal in a module that holds RReLU: ``getattr(F, config["act"])``."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import MODULE, STARS
from rrelu_compat.porting.source.mentions import IN_CODE
from rrelu_compat.porting.source.plan import BY_HAND, Plan
from rrelu_compat.porting.source.tree import last_name, literal, positional

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.plan import Context

WORDS = re.compile(
    r"\bgetattr\(\s*[\w.]+\s*,\s*(?![rbu]?[\"'][^\"'{]*[\"'])|\b__dict__\b|\bvars\(|\battrgetter\("
)
_NAMES = ("RReLU", "rrelu", "rrelu_")
_ROOTS = ("torch", "paddle", "torch.nn", "paddle.nn", "torch.nn.functional", "paddle.nn.functional")


def plans(context: Context) -> Iterator[Plan]:
    """Yield a plan for every look-up that may find an RReLU."""
    if WORDS.search(context.tree.text.source) is None:
        return
    resolver = context.resolver
    for node in context.tree.nodes:
        base: ast.expr | None = None
        key: ast.expr | None = None
        if isinstance(node, ast.Call):
            if resolver.is_builtin(node.func, "getattr"):
                base, key = positional(node, 0), positional(node, 1)
            elif last_name(node.func) in ("get", "pop") and isinstance(node.func, ast.Attribute):
                base, key = resolver.namespace(node.func.value), positional(node, 0)
            elif resolver.meaning(node.func).path == "operator.attrgetter":
                key = positional(node, 0)
                if key is not None and literal(key) is None and _may_be(key):
                    yield _plan(context, node, "what attrgetter looks up")
                continue
        elif isinstance(node, ast.Subscript):
            base, key = resolver.namespace(node.value), node.slice
        if base is None or key is None or literal(key) is not None:
            continue
        meaning = resolver.meaning(base)
        if meaning.path.split(".")[0] == context.target or not isinstance(node, ast.expr):
            continue
        if meaning.path in (MODULE[context.target], MODULE["neutral"]):
            continue
        words = _words(context, key)
        if words is not None and not any(map(IN_CODE.fullmatch, words)):
            continue
        if (meaning.path in STARS or meaning.path in _ROOTS) and _may_be(key):
            yield _plan(context, node, meaning.path)


def _words(context: Context, key: ast.expr) -> list[str] | None:
    """Return all that a name can be, where that is written down."""
    if isinstance(key, ast.IfExp):
        parts = [_words(context, one) for one in (key.body, key.orelse)]
        return None if None in parts else [word for part in parts for word in part or ()]
    if isinstance(key, ast.Constant):
        return [key.value] if isinstance(key.value, str) else []
    if not isinstance(key, ast.Name):
        return None
    found = context.tree.scopes.lookup(context.resolver.scope(key), key.id)
    words = [literal(value) for one in found for value in one.values or (None,)]
    return [word for word in words if word] if words and None not in words else None


def _plan(context: Context, node: ast.expr, where: str) -> Plan:
    why = (
        f"a name that only a run knows is looked up in {where}: if it may be RReLU or rrelu, give "
        "that name a line of its own"
    )
    place = context.tree.start(node)
    return Plan(place, last_name(node) or "getattr", "look-up", BY_HAND, "look-up", why)


def _may_be(key: ast.expr) -> bool:
    """Whether a computed name may be one of RReLU's, as far as its literal parts say."""
    if isinstance(key, ast.JoinedStr) and key.values:
        first, last = literal(key.values[0]), literal(key.values[-1])
    elif isinstance(key, ast.BinOp):
        first, last = literal(key.left), literal(key.right)
    else:
        return True
    return any(
        (first is None or _starts(name, first)) and (last is None or _ends(name, last))
        for name in _NAMES
    )


def _starts(name: str, part: str) -> bool:
    part = part.rpartition(".")[2]
    return name.startswith(part)


def _ends(name: str, part: str) -> bool:
    return name.endswith(part)
