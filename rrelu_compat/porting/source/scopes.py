"""Scopes by Python's own rules: which bindings a name may refer to where it is read."""

from __future__ import annotations

import ast
import builtins
from collections import defaultdict
from dataclasses import dataclass, field

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False)
class Binding:
    """Something that gives a name its value.

    Attributes
    ----------
    node : ast.AST
        The alias of an import, the parameter, the definition, the target's name.
    values : tuple of ast.expr
        What it is given, where that is written down: one value, or those of a loop's literal.
    statement : ast.Import, ast.ImportFrom or None
        The import.
    """

    name: str
    node: ast.AST
    scope: Scope
    values: tuple[ast.expr, ...] = ()
    statement: ast.Import | ast.ImportFrom | None = None


@dataclass(eq=False)
class Scope:
    """A module, function, class or comprehension."""

    kind: str
    node: ast.AST
    parent: Scope | None = None
    bindings: defaultdict[str, list[Binding]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: dict[str, str] = field(default_factory=dict)  # by a global or nonlocal statement

    @property
    def module(self) -> Scope:
        """The outermost scope."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope

    def owner(self, name: str) -> Scope:
        """Return the scope in which an assignment here binds a name."""
        where = self.elsewhere.get(name)
        if where == "global":
            return self.module
        if where == "nonlocal":
            scope = self.parent
            while scope is not None and not (scope.kind == "function" and name in scope.bindings):
                scope = scope.parent
            return scope or self
        return self


class Scopes:
    """The scopes of a module, and where every node stands.

    A scope's own tree is walked without recursion, so that deep expressions do no harm.
    """

    def __init__(self, module: ast.Module) -> None:
        self.module = Scope("module", module)
        self.all = [self.module]
        self.of: dict[ast.AST, Scope] = {}
        self.names: defaultdict[str, list[ast.Name]] = defaultdict(list)
        self.redirected: set[str] = set()  # names in global and nonlocal statements
        pending: list[tuple[ast.AST, Scope]] = [(module, self.module)]
        while pending:
            node, scope = pending.pop()
            self.of[node] = scope
            pending += reversed(self._enter(node, scope))

    def lookup(self, scope: Scope, name: str) -> list[Binding]:
        """Return the bindings that a name may refer to where it is read in a scope."""
        found: list[Binding] = []
        here: Scope | None = scope.owner(name)
        first = True
        while here is not None:
            if name in here.bindings and (first or here.kind != "class"):
                found += here.bindings[name]
                if here.kind != "class":  # a class body that has not bound it yet reads on outside
                    break
            here = here.parent
            first = False
        return found

    def is_builtin(self, node: ast.AST, name: str) -> bool:
        """Whether an expression is a built-in that nothing in the file has rebound."""
        return (
            isinstance(node, ast.Name)
            and node.id == name
            and hasattr(builtins, name)
            and not self.lookup(self.of[node], name)
        )

    # Building

    def _bind(
        self,
        scope: Scope,
        name: str,
        node: ast.AST,
        values: tuple[ast.expr, ...] = (),
        statement: ast.Import | ast.ImportFrom | None = None,
    ) -> None:
        owner = scope.owner(name)
        owner.bindings[name].append(Binding(name, node, owner, values, statement))

    def _new(self, kind: str, node: ast.AST, parent: Scope) -> Scope:
        scope = Scope(kind, node, parent)
        self.all.append(scope)
        return scope

    def _enter(self, node: ast.AST, scope: Scope) -> list[tuple[ast.AST, Scope]]:
        """Bind what a node binds and return its children, each with the scope it stands in."""
        if isinstance(node, _FUNCTIONS):
            return self._function(node, scope)
        if isinstance(node, ast.ClassDef):
            self._bind(scope, node.name, node)
            inner = self._new("class", node, scope)
            outside = [*node.decorator_list, *node.bases, *node.keywords]
            inside = [*getattr(node, "type_params", ()), *node.body]
            return [(one, scope) for one in outside] + [(one, inner) for one in inside]
        if isinstance(node, _COMPREHENSIONS):
            return self._comprehension(node, scope)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self._import(node, scope)
        elif isinstance(node, ast.Name):
            self.names[node.id].append(node)
            if isinstance(node.ctx, ast.Del):
                scope.owner(node.id).bindings[node.id]  # makes it local, gives it nothing
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            kind = "global" if isinstance(node, ast.Global) else "nonlocal"
            scope.elsewhere.update(dict.fromkeys(node.names, kind))
            self.redirected.update(node.names)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)):
            if node.name is not None:
                self._bind(scope, node.name, node)
        elif isinstance(node, ast.MatchMapping):
            if node.rest is not None:
                self._bind(scope, node.rest, node)
        elif isinstance(getattr(node, "name", None), str) and hasattr(node, "default_value"):
            self._bind(scope, node.name, node)  # type: ignore[attr-defined]  # a type parameter
        self._targets(node, scope)
        return [
            (child, scope)
            for child in ast.iter_child_nodes(node)
            if not isinstance(child, ast.expr_context)
        ]

    def _function(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope
    ) -> list[tuple[ast.AST, Scope]]:
        inner = self._new("function", node, scope)
        arguments = node.args
        outside: list[ast.AST] = [*arguments.defaults, *filter(None, arguments.kw_defaults)]
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
        for one in every:
            self.of[one] = inner
            self._bind(inner, one.arg, one)
            if one.annotation is not None:
                outside.append(one.annotation)
        self.of[arguments] = scope
        if isinstance(node, ast.Lambda):
            inside: list[ast.AST] = [node.body]
        else:
            self._bind(scope, node.name, node)
            outside += [*node.decorator_list, *([node.returns] if node.returns else [])]
            inside = [*getattr(node, "type_params", ()), *node.body]
        return [(one, scope) for one in outside] + [(one, inner) for one in inside]

    def _comprehension(self, node: ast.AST, scope: Scope) -> list[tuple[ast.AST, Scope]]:
        inner = self._new("comprehension", node, scope)
        generators: list[ast.comprehension] = node.generators  # type: ignore[attr-defined]
        children: list[tuple[ast.AST, Scope]] = [(generators[0].iter, scope)]
        for number, generator in enumerate(generators):
            self.of[generator] = inner
            self._assign(generator.target, _elements(generator.iter), inner)
            children.append((generator.target, inner))
            if number:
                children.append((generator.iter, inner))
            children += [(one, inner) for one in generator.ifs]
        parts = ("elt", "key", "value")
        children += [(getattr(node, one), inner) for one in parts if hasattr(node, one)]
        return children

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        for alias in node.names:
            if alias.name != "*":
                name = alias.asname or alias.name
                if isinstance(node, ast.Import) and alias.asname is None:
                    name = name.split(".")[0]
                self._bind(scope, name, alias, statement=node)

    def _targets(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, (node.value,), scope)
        elif isinstance(node, ast.AnnAssign):
            self._assign(node.target, (node.value,) if node.value is not None else (), scope)
        elif isinstance(node, ast.AugAssign):
            self._assign(node.target, (), scope)
        elif isinstance(node, ast.NamedExpr):
            while scope.kind == "comprehension" and scope.parent is not None:
                scope = scope.parent
            self._assign(node.target, (node.value,), scope)
        elif isinstance(node, (ast.For, ast.AsyncFor)):
            self._assign(node.target, _elements(node.iter), scope)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            self._assign(node.optional_vars, (), scope)
        elif type(node).__name__ == "TypeAlias":
            self._assign(node.name, (), scope)  # type: ignore[attr-defined]

    def _assign(self, target: ast.AST, values: tuple[ast.expr, ...], scope: Scope) -> None:
        """Bind the names of a target, each to its part of the values where they are written out."""
        if isinstance(target, ast.Name):
            self._bind(scope, target.id, target, values)
        elif isinstance(target, (ast.Tuple, ast.List)):
            for index, one in enumerate(target.elts):
                starred = any(isinstance(other, ast.Starred) for other in target.elts)
                parts = tuple(
                    value.elts[index]
                    for value in values
                    if isinstance(value, (ast.Tuple, ast.List))
                    and not starred
                    and len(value.elts) == len(target.elts)
                    and not any(isinstance(other, ast.Starred) for other in value.elts)
                )
                self._assign(one, parts if len(parts) == len(values) else (), scope)
        elif isinstance(target, ast.Starred):
            self._assign(target.value, (), scope)


def _elements(node: ast.expr) -> tuple[ast.expr, ...]:
    """Return what a loop over a literal gives, one after the other."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        if not any(isinstance(one, ast.Starred) for one in node.elts):
            return tuple(node.elts)
    return ()
