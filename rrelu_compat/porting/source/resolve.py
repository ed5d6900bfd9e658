"""What a name or expression stands for: followed through imports, aliases and the project's files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import (
    Assignment,
    BuiltinAssignment,
    ClassScope,
    ImportAssignment,
)

from rrelu_compat.porting.source.names import STARS, Api, canonical, is_framework, join, lookup
from rrelu_compat.porting.source.project import UNKNOWN, Project, find_module, is_standard
from rrelu_compat.porting.source.tree import (
    Tree,
    assigned_value,
    dotted,
    literal,
    module_of,
    positional,
)

if TYPE_CHECKING:
    from pathlib import Path

    from libcst.metadata import BaseAssignment, Scope

ImportStatement = cst.Import | cst.ImportFrom


@dataclass(frozen=True, eq=False)
class Binding:
    """An import that makes a name: its statement, its alias in it (None for a star), and its scope."""

    statement: ImportStatement
    alias: cst.ImportAlias | None
    scope: Scope

    @property
    def local(self) -> str:
        """The name as the program writes it."""
        if self.alias is None:
            return "*"
        name = self.alias.evaluated_alias or self.alias.evaluated_name
        return name if isinstance(self.statement, cst.ImportFrom) else name.split(".")[0]


@dataclass(frozen=True)
class Meaning:
    """What an expression stands for.

    Attributes
    ----------
    kind : str
        "path": the qualified name `path`. "own": something this file or project defines. "self": the
        object whose method this is. "object": a value that only a run would tell. "unknown": could be
        one thing or another; `why` says so. "unbound": no binding anywhere.
    bindings : tuple of Binding
        The imports it came by.
    through : str
        The project file that a path was found through, or "".
    module : bool
        The path is a file or package of the project.
    """

    kind: str
    path: str = ""
    why: str = ""
    bindings: tuple[Binding, ...] = ()
    through: str = ""
    module: bool = False

    @property
    def api(self) -> Api | None:
        """The RReLU it stands for, or None."""
        return lookup(self.path) if self.kind == "path" else None


_OWN = Meaning("own")
_NOTHING = Meaning("nothing")  # assigned None: where an import failed


class Resolver:
    """Answers what expressions of one file stand for."""

    def __init__(self, tree: Tree, project: Project, file: Path | None) -> None:
        self.tree = tree
        self.project = project
        self.file = file
        self._stars = [
            node
            for node in tree.nodes
            if isinstance(node, cst.ImportFrom) and isinstance(node.names, cst.ImportStar)
        ]
        self._pending: set[cst.CSTNode] = set()
        self._known: dict[cst.CSTNode, Meaning] = {}

    def meaning(self, node: cst.BaseExpression) -> Meaning:
        """Return what an expression stands for."""
        if node in self._known:
            return self._known[node]
        if node in self._pending:  # a = a
            return Meaning("object", why="it is defined by itself")
        self._pending.add(node)
        found = self._meaning(node)
        self._pending.remove(node)
        self._known[node] = found
        return found

    def is_builtin(self, node: cst.BaseExpression, name: str) -> bool:
        """Whether an expression is a built-in name that nothing in the file has rebound."""
        return (
            isinstance(node, cst.Name)
            and node.value == name
            and all(isinstance(one, BuiltinAssignment) for one in self.tree.scope(node)[node.value])
        )

    def _meaning(self, node: cst.BaseExpression) -> Meaning:
        if isinstance(node, cst.Name):
            return self.name(node.value, self.tree.scope(node))
        if isinstance(node, cst.NamedExpr):
            return self.meaning(node.value)
        if isinstance(node, cst.Attribute):
            return self.member(self.meaning(node.value), node.attr.value, dotted(node.value))
        if isinstance(node, cst.Call):
            return self._call(node)
        if isinstance(node, cst.Subscript):
            return self._subscript(node)
        return Meaning("object", why="its value is only known when the program runs")

    def member(self, base: Meaning, name: str, written: str | None) -> Meaning:
        """Return what an attribute of something stands for."""
        if base.kind == "path":
            return self._follow(replace(base, path=join(base.path, name), module=False))
        if base.kind in ("own", "self"):
            return Meaning("member", why=base.kind)
        if base.kind == "unknown":
            return base
        return Meaning("object", why=f"what {written or 'its object'} is, only a run would tell")

    def _follow(self, found: Meaning) -> Meaning:
        """Look a path outside the frameworks up in the project."""
        if is_framework(found.path):
            return replace(found, path=canonical(found.path))
        if self.file is None or is_standard(found.path):
            return found
        export = self.project.look_up(self.file, found.path)
        if export.module:
            return replace(found, module=True)
        if export.own:
            return _OWN
        if export == UNKNOWN:
            return found
        return replace(found, path=export.path, through=found.path)

    def _call(self, node: cst.Call) -> Meaning:
        first = positional(node, 0)
        second = literal(positional(node, 1))
        if self.is_builtin(node.func, "getattr") and first is not None and second is not None:
            return self.member(self.meaning(first), second, dotted(first))
        if self.is_builtin(node.func, "super"):
            return Meaning("self")
        named = literal(first)
        if named is not None and is_framework(named):
            function = self.meaning(node.func)
            if function.kind == "path" and function.path == "importlib.import_module":
                return Meaning("path", canonical(named), bindings=function.bindings)
        return Meaning("object", why="what a call returns, only a run would tell")

    def value(self, found: BaseAssignment) -> cst.BaseExpression | None:
        """Return the expression that an assignment gives to its name, or None."""
        return assigned_value(self.tree, found) if isinstance(found, Assignment) else None

    def set_by(self, node: cst.Call) -> Meaning:
        """Return what ``setattr(base, "name", ...)`` sets."""
        base, name = positional(node, 0), literal(positional(node, 1))
        if base is None or name is None:
            return Meaning("object")
        return self.member(self.meaning(base), name, dotted(base))

    def imported(self, statement: cst.ImportFrom, alias: cst.ImportAlias) -> Meaning:
        """Return what a ``from`` import brings."""
        binding = Binding(statement, alias, self.tree.scope(statement))
        path = join(module_of(statement), alias.evaluated_name)
        return self._follow(Meaning("path", path, bindings=(binding,)))

    def _subscript(self, node: cst.Subscript) -> Meaning:
        key = subscript_key(node)
        if key is not None:
            base = node.value
            if isinstance(base, cst.Call) and self.is_builtin(base.func, "vars"):
                inside = positional(base, 0)
                if inside is not None:
                    return self.member(self.meaning(inside), key, dotted(inside))
            if isinstance(base, cst.Attribute) and base.attr.value == "__dict__":
                return self.member(self.meaning(base.value), key, dotted(base.value))
            found = self.meaning(base)
            if found.path == "sys.modules" and is_framework(key):
                return Meaning("path", canonical(key), bindings=found.bindings)
        return Meaning("object", why="what an item is, only a run would tell")

    def name(self, name: str, scope: Scope) -> Meaning:
        """Return what a name stands for in a scope."""
        found = self.tree.assignments(scope, name)
        if all(isinstance(one, BuiltinAssignment) for one in found):
            if name in self.tree.captures:
                return Meaning("object", why=f"a match statement binds {name}")
            return self._builtin_or_star(name, bool(found))
        meanings = [
            self._assignment(one) for one in found if not isinstance(one, BuiltinAssignment)
        ]
        if name in self.tree.captures:
            meanings.append(Meaning("object"))
        if all(one.kind == "own" for one in meanings):
            return _OWN
        certain = [one for one in meanings if one.kind != "nothing"]
        if len(certain) == 1:
            return self._unless_overridden(certain[0], name)
        paths = [one for one in certain if one.kind == "path"]
        if not paths:
            return Meaning("object", why=f"{name} is assigned in several places")
        same = {one.api or one.path for one in paths}
        if len(paths) == len(certain) and len(same) == 1:
            bindings = tuple(binding for one in paths for binding in one.bindings)
            return replace(paths[0], bindings=bindings)
        listed = " or ".join(
            dict.fromkeys(one.path if one.kind == "path" else "something else" for one in certain)
        )
        return Meaning("unknown", why=f"{name} is {listed}, depending on how the program runs")

    def _unless_overridden(self, found: Meaning, name: str) -> Meaning:
        """Doubt a name of RReLU that a later star import may bind again."""
        if found.kind != "path" or not any(name in names for names in STARS.values()):
            return found
        for statement in self._stars:
            module = module_of(statement)
            bound = [self.tree.start(one.statement) for one in found.bindings]
            if is_standard(module) or any(self.tree.start(statement) < place for place in bound):
                continue
            file = find_module(self.file, module) if self.file is not None else None
            if is_framework(module):
                overrides = name in STARS.get(module, {}) and lookup(STARS[module][name]) != lookup(
                    found.path
                )
            else:
                overrides = file is None or self.project.exports(file, name) != UNKNOWN
            if overrides:
                why = f"{name} may be bound again by the star import of {module}"
                return Meaning("unknown", why=why)
        return found

    def _assignment(self, found: BaseAssignment) -> Meaning:
        if isinstance(found, ImportAssignment):
            return self._imported(found)
        if not isinstance(found, Assignment):
            return Meaning("object")
        node = found.node
        if isinstance(node, (cst.FunctionDef, cst.ClassDef)):
            return _OWN
        if isinstance(node, cst.Param) and self._is_self(node):
            return Meaning("self")
        value = assigned_value(self.tree, found)
        if value is None:
            what = "a parameter" if isinstance(node, cst.Param) else "a variable"
            return Meaning("object", why=f"{found.name} is {what}")
        if isinstance(value, cst.Name) and value.value == "None":
            return _NOTHING
        if isinstance(value, cst.IfExp):
            return Meaning("object", why=f"{found.name} is one thing or another")
        meaning = self.meaning(value)
        return meaning if meaning.kind != "unbound" else Meaning("object")

    def _is_self(self, node: cst.Param) -> bool:
        parameters = self.tree.parent(node)
        function = self.tree.parent(parameters)
        return (
            isinstance(function, cst.FunctionDef)
            and isinstance(parameters, cst.Parameters)
            and node is next(iter([*parameters.posonly_params, *parameters.params]), None)
            and isinstance(self.tree.scope(function), ClassScope)
        )

    def _imported(self, found: ImportAssignment) -> Meaning:
        statement = found.node
        if not isinstance(statement, (cst.Import, cst.ImportFrom)):
            return Meaning("object")
        if isinstance(statement.names, cst.ImportStar):
            return Meaning("object")
        for alias in statement.names:
            local = alias.evaluated_alias
            if isinstance(statement, cst.Import):
                whole = alias.evaluated_name
                binding = Binding(statement, alias, found.scope)
                if local == found.name:
                    return self._follow(Meaning("path", whole, bindings=(binding,)))
                if local is None and whole.split(".")[0] == found.name:
                    return Meaning("path", found.name, bindings=(binding,))
            elif (local or alias.evaluated_name) == found.name:
                return self.imported(statement, alias)
        return Meaning("object")

    def _builtin_or_star(self, name: str, builtin: bool) -> Meaning:
        """Return what a name without a binding is: a built-in, or what a star import brought."""
        found = Meaning("unbound", why=f"{name} is not defined in this file")
        for statement in self._stars:  # a later one overrides
            module = module_of(statement)
            binding = Binding(statement, None, self.tree.scope(statement))
            if name in STARS.get(module, {}):
                found = Meaning("path", STARS[module][name], bindings=(binding,))
            elif not (is_framework(module) or is_standard(module)):
                found = self._star(name, module, binding, found, builtin)
        return found

    def _star(
        self, name: str, module: str, binding: Binding, before: Meaning, builtin: bool
    ) -> Meaning:
        file = find_module(self.file, module) if self.file is not None else None
        if file is None:
            if builtin:
                return before
            return Meaning("unknown", why=f"{name} may come from {module} by its star import")
        export = self.project.exports(file, name)
        if export.own:
            return _OWN
        if export == UNKNOWN:
            return before
        return Meaning("path", export.path, bindings=(binding,), through=module)


def subscript_key(node: cst.Subscript) -> str | None:
    """Return the key of ``x["key"]``, or None."""
    if len(node.slice) == 1 and isinstance(node.slice[0].slice, cst.Index):
        return literal(node.slice[0].slice.value)
    return None
