"""What a name or expression stands for: followed through imports, aliases and the project's files."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import STARS, Api, canonical, is_framework, join, lookup
from rrelu_compat.porting.source.exports import Project, is_standard
from rrelu_compat.porting.source.tree import (
    ImportStatement,
    Tree,
    dotted,
    is_star,
    literal,
    module_of,
    positional,
)

if TYPE_CHECKING:
    from pathlib import Path

    from rrelu_compat.porting.source.scopes import Binding, Scope


@dataclass(frozen=True)
class Meaning:
    """What an expression stands for.

    Attributes
    ----------
    kind : str
        "path": the qualified name `path`. "module": the project's file `file`. "class": the project's
        class `definition`; "instance": an object of it; "self": the object whose method this is.
        "own": another thing that the project defines. "member": an attribute of something of its own.
        "object": a value that only a run would tell. "unknown": could be one thing or another; `why`
        says so. "unbound": no binding anywhere. "nothing": None, as where an import failed.
    imports : tuple of ImportStatement
        The imports of this file by which it came.
    home : Path or None
        The other file in which an import or assignment decides that it is an RReLU.
    star : bool
        A star import brings it.
    """

    kind: str
    path: str = ""
    why: str = ""
    imports: tuple[ImportStatement, ...] = ()
    home: Path | None = None
    star: bool = False
    file: Path | None = None
    definition: tuple[Resolver, ast.ClassDef] | None = None

    @property
    def api(self) -> Api | None:
        """The RReLU it stands for, or None."""
        return lookup(self.path) if self.kind == "path" else None

    @property
    def is_framework(self) -> bool:
        """Whether it lies in PyTorch, Paddle or this package."""
        return self.kind == "path" and is_framework(self.path)

    @property
    def _key(self) -> tuple[object, ...]:
        return (self.kind, self.api or self.path, self.file, self.definition)


_OWN = Meaning("own")
_NOTHING = Meaning("nothing")
_MEMBER = Meaning("member")
_OWN_KINDS = ("own", "class", "instance", "self", "member", "module")


class Resolver:
    """Answers what expressions of one file stand for."""

    def __init__(self, tree: Tree, project: Project, file: Path | None) -> None:
        self.tree = tree
        self.project = project
        self.file = file
        self.stars = [
            one for one in tree.imports if isinstance(one, ast.ImportFrom) and is_star(one)
        ]
        self._pending: set[ast.AST] = set()
        self._known: dict[ast.AST, Meaning] = {}

    def meaning(self, node: ast.AST | None) -> Meaning:
        """Return what an expression stands for."""
        if node is None:
            return Meaning("object")
        if node in self._known:
            return self._known[node]
        if node in self._pending:  # a = a
            return _NOTHING
        self._pending.add(node)
        try:
            found = self._meaning(node)
        except RecursionError:
            found = Meaning("object", why="it is nested too deeply")
        finally:
            self._pending.remove(node)
        self._known[node] = found
        return found

    def is_builtin(self, node: ast.AST, name: str) -> bool:
        """Whether an expression is a built-in that nothing in the file has rebound."""
        return self.tree.scopes.is_builtin(node, name)

    def scope(self, node: ast.AST) -> Scope:
        """Return the scope that a node stands in."""
        return self.tree.scopes.of.get(node) or self.tree.scopes.of[self.tree.parent(node)]

    def _meaning(self, node: ast.AST) -> Meaning:
        if isinstance(node, ast.Name):
            return self.name(node.id, self.scope(node))
        if isinstance(node, ast.NamedExpr):
            return self.meaning(node.value)
        if isinstance(node, ast.Attribute):
            return self.member(self.meaning(node.value), node.attr, dotted(node.value))
        if isinstance(node, ast.Call):
            return self._call(node)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.IfExp):
            return _combined([self.meaning(node.body), self.meaning(node.orelse)], "it")
        if isinstance(node, ast.BoolOp):
            return _combined([self.meaning(one) for one in node.values], "it")
        if isinstance(node, ast.Constant) and node.value is None:
            return _NOTHING
        return Meaning("object", why="its value is only known when the program runs")

    # Names

    def name(self, name: str, scope: Scope) -> Meaning:
        """Return what a name stands for in a scope."""
        found = self.tree.scopes.lookup(scope, name)
        if not found:
            return self._star(name)
        meanings = [self.bound(one) for one in found]
        # Python reads on outside of a class body that has not bound the name yet.
        outside = all(one.scope.kind == "class" for one in found)
        if self.stars and (outside or any(one.scope.kind == "module" for one in found)):
            later = self._star(name, explicit=not outside)
            if later.kind != "unbound":
                meanings.append(later)
        return _combined(meanings, name)

    def bound(self, binding: Binding) -> Meaning:
        """Return what one binding gives its name."""
        node = binding.node
        if binding.statement is not None and isinstance(node, ast.alias):
            return self.imported(binding.statement, node)
        if isinstance(node, ast.ClassDef):
            return Meaning("class", definition=(self, node))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return _OWN
        if isinstance(node, ast.arg):
            if self._is_self(node):
                return Meaning("self", definition=self._class_of(node))
            return Meaning("object", why=f"{binding.name} is a parameter")
        if not binding.values:
            return Meaning("object", why=f"{binding.name} is a variable")
        return _combined([self.meaning(value) for value in binding.values], binding.name)

    def imported(self, statement: ImportStatement, alias: ast.alias) -> Meaning:
        """Return what one name of an import brings."""
        if isinstance(statement, ast.Import):
            path = alias.name if alias.asname else alias.name.split(".")[0]
            return replace(self._path(path), imports=(statement,))
        return replace(self._from(module_of(statement), alias.name), imports=(statement,))

    def _from(self, module: str, name: str) -> Meaning:
        if is_framework(module):
            return Meaning("path", canonical(join(module, name)))
        file = self._file(module)
        if file is not None:
            return self._export(file, name)
        found = self._file(join(module, name))
        if found is not None:
            return Meaning("module", file=found)
        return Meaning("path", join(module, name))

    def _file(self, module: str) -> Path | None:
        return self.project.find(self.file, module) if self.file is not None else None

    def _path(self, path: str) -> Meaning:
        """Return what a qualified name is: in a framework, a file of the project, or elsewhere."""
        if is_framework(path):
            return Meaning("path", canonical(path))
        if not is_standard(path):
            file = self._file(path)
            if file is not None:
                return Meaning("module", file=file)
        return Meaning("path", path)

    def _export(self, file: Path, name: str) -> Meaning:
        """Return what a name at the top level of another file is."""
        other = resolver(self.project, file)
        key = (file, name)
        if other is None or key in self.project.active:
            return Meaning("object", why=f"{file.name} can't tell")
        self.project.active.add(key)
        try:
            found = other.name(name, other.tree.scopes.module)
        finally:
            self.project.active.remove(key)
        if found.kind == "unbound":
            inside = file.parent / name if file.name == "__init__.py" else None
            if inside is not None:
                for place in (inside / "__init__.py", inside.with_name(name + ".py")):
                    if place.is_file():
                        return Meaning("module", file=place)
            if "__getattr__" in other.tree.scopes.module.bindings:
                return Meaning("object", why=f"{file.name} makes its names when asked for them")
            return Meaning("object", why=f"{file.name} has no {name}")
        home = (found.home or file) if found.api is not None else None
        return replace(found, imports=(), home=home)

    # Star imports

    def _star(self, name: str, explicit: bool = False) -> Meaning:
        """Return what star imports bring under a name; `explicit`: it is bound otherwise, too."""
        found: list[Meaning] = []
        unseen = ""
        for statement in self.stars:
            module = module_of(statement)
            if is_framework(module):
                if name in STARS.get(module, {}):
                    path = STARS[module][name]
                    found.append(Meaning("path", path, imports=(statement,), star=True))
            elif not is_standard(module):
                file = self._file(module)
                if file is None:
                    unseen = module
                    continue
                brought = self._brought(file, name)
                if brought.kind != "unbound":
                    found.append(replace(brought, imports=(statement,)))
        if found:
            if len({one._key for one in found}) > 1 and any(one.api for one in found):
                apis = {one.api.framework if one.api else "" for one in found}
                block = self.tree.module.body  # of those that run in any case, the last one counts
                if len(apis) > 1 and not all(one in block for one in self.stars):
                    return Meaning("unknown", why=f"several star imports bring {name}")
            if not explicit and unseen and found[-1].star and self._is_last(unseen):
                why = f"{name} may be bound again by the star import of {unseen}"
                return Meaning("unknown", why=why)
            last = found[-1]
            if last.star:
                alike = [one for one in found if one.star and one.api == last.api]
                imports = tuple(each for one in alike for each in one.imports)
                last = replace(last, imports=imports)
            return last
        if unseen and not explicit:
            return Meaning("unknown", why=f"{name} may come from {unseen} by its star import")
        return Meaning("unbound", why=f"{name} is not defined in this file")

    def star_brings(self, name: str) -> bool:
        """Whether a star import brings a name, as far as it can be seen."""
        return bool(self.stars) and self._star(name, explicit=True).kind != "unbound"

    def _is_last(self, module: str) -> bool:
        return module_of(self.stars[-1]) == module

    def _brought(self, file: Path, name: str) -> Meaning:
        """Return what ``from file import *`` binds a name to."""
        other = resolver(self.project, file)
        if other is None:
            return Meaning("unbound")
        listed = other.listed
        if listed is not None and name not in listed and not other.lists_more:
            return Meaning("unbound")
        if listed is None and name.startswith("_"):
            return Meaning("unbound")
        found = self._export(file, name)
        if found.kind == "object" and found.why.endswith(f"has no {name}"):
            return Meaning("unbound")
        if (
            listed is None
            and found.kind == "module"
            and name not in other.tree.scopes.module.bindings
        ):
            return Meaning("unbound")  # a submodule that nothing has imported
        return found

    @cached_property
    def listed(self) -> set[str] | None:
        """The names in ``__all__``, None if there is none."""
        if "__all__" not in self.tree.scopes.module.bindings:
            return None
        names: set[str] = set()
        for node in self._all_values:
            if isinstance(node, (ast.List, ast.Tuple)):
                names.update(filter(None, map(literal, node.elts)))
        return names

    @cached_property
    def lists_more(self) -> bool:
        """Whether ``__all__`` holds more than can be read here."""
        return any(
            not isinstance(node, (ast.List, ast.Tuple)) or not all(map(literal, node.elts))
            for node in self._all_values
        )

    @cached_property
    def _all_values(self) -> list[ast.expr]:
        values: list[ast.expr] = []
        for name in self.tree.scopes.names["__all__"]:
            above = self.tree.parent(name)
            if isinstance(above, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and above.value:
                values.append(above.value)
            elif isinstance(above, ast.Attribute):
                call = self.tree.parent(above)
                if isinstance(call, ast.Call) and call.args:
                    one = call.args[0]
                    values.append(ast.List([one], ast.Load()) if above.attr == "append" else one)
        return [part for value in values for part in _added(value)]

    # Attributes

    def member(self, base: Meaning, name: str, written: str | None) -> Meaning:
        """Return what an attribute of something stands for."""
        if base.kind == "path":
            return replace(self._path(join(base.path, name)), imports=base.imports)
        if base.kind == "module":
            assert base.file is not None
            return replace(self._export(base.file, name), imports=base.imports)
        if base.kind in ("class", "instance", "self"):
            return self._attribute(base, name)
        if base.kind in ("own", "unknown"):
            return _MEMBER if base.kind == "own" else base
        return Meaning("object", why=f"what {written or 'its object'} is, only a run would tell")

    def _attribute(self, base: Meaning, name: str) -> Meaning:
        """Return what an attribute of a class of the project, or of its objects, stands for."""
        if base.definition is None:
            return _MEMBER
        owner, node = base.definition
        found = owner.given(node, name, base.kind != "class")
        if not found:
            return _MEMBER
        meaning = _combined(found, name)
        if meaning.api is not None or meaning.kind in (
            "object",
            "own",
            "self",
            "member",
            "nothing",
        ):
            return _MEMBER  # what it was given is decided where it was given
        if meaning.is_framework or meaning.kind == "unknown":
            spread = name in owner.set_from_outside or self.project.spoken_of(name, owner.file)
            if spread or meaning.kind == "unknown":
                why = f"{name} may be {meaning.path or 'one thing or another'} or something else"
                return Meaning("unknown", why=why)
        return meaning if owner is self else replace(meaning, imports=base.imports)

    def given(self, node: ast.ClassDef, name: str, objects: bool) -> list[Meaning]:
        """Return what a class, its bases and its methods give to an attribute."""
        inner = next(one for one in self.tree.scopes.all if one.node is node)
        found = [self.bound(one) for one in inner.bindings.get(name, ())]
        if objects:
            found += [self.meaning(value) for value in self._set_on_self[node, name]]
        if not found:
            for base in node.bases:
                meaning = self.meaning(base)
                if meaning.kind == "class" and meaning.definition not in (None, (self, node)):
                    owner, definition = meaning.definition
                    found += owner.given(definition, name, objects)
        return found

    @cached_property
    def stored(self) -> list[tuple[ast.Attribute, ast.expr | None]]:
        """The attributes that are set, with their values where these are written out."""
        found: list[tuple[ast.Attribute, ast.expr | None]] = []
        for node in self.tree.nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                above = self.tree.parent(node)
                plain = isinstance(above, (ast.Assign, ast.AnnAssign))
                found.append((node, above.value if plain else None))  # type: ignore[attr-defined]
        return found

    @cached_property
    def _set_on_self(self) -> defaultdict[tuple[ast.ClassDef, str], list[ast.expr | None]]:
        found: defaultdict[tuple[ast.ClassDef, str], list[ast.expr | None]] = defaultdict(list)
        for node, value in self.stored:
            base = self.meaning(node.value)
            if base.kind == "self" and base.definition is not None:
                found[base.definition[1], node.attr].append(value)
        return found

    @cached_property
    def set_from_outside(self) -> set[str]:
        """The names of attributes that are set on other objects than self."""
        return {node.attr for node, _ in self.stored if self.meaning(node.value).kind != "self"}

    def _is_self(self, node: ast.arg) -> bool:
        function = self.tree.enclosing(node, ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            return False
        first = next(iter([*function.args.posonlyargs, *function.args.args]), None)
        return (
            node is first
            and isinstance(self.tree.parent(function), ast.ClassDef)
            and not any(dotted(one) == "staticmethod" for one in function.decorator_list)
        )

    def _class_of(self, node: ast.AST) -> tuple[Resolver, ast.ClassDef]:
        return self, self.tree.enclosing(node, ast.ClassDef)

    # Calls and items

    def _call(self, node: ast.Call) -> Meaning:
        first = positional(node, 0)
        second = literal(positional(node, 1))
        if self.is_builtin(node.func, "getattr") and first is not None and second is not None:
            return self.member(self.meaning(first), second, dotted(first))
        if self.is_builtin(node.func, "super"):
            owner = self.tree.enclosing(node, ast.ClassDef)
            return Meaning("self", definition=(self, owner) if owner is not None else None)
        named = literal(first)
        if self.is_builtin(node.func, "__import__") and named is not None:
            return self._path(named.split(".")[0])
        function = self.meaning(node.func)
        if named is not None and function.path == "importlib.import_module":
            return replace(self._path(named), imports=function.imports)
        if function.kind == "class":
            return replace(function, kind="instance")
        return Meaning("object", why="what a call returns, only a run would tell")

    def set_by(self, node: ast.Call) -> Meaning:
        """Return what ``setattr(base, "name", ...)`` sets."""
        base, name = positional(node, 0), literal(positional(node, 1))
        if base is None or name is None:
            return Meaning("object")
        return self.member(self.meaning(base), name, dotted(base))

    def _subscript(self, node: ast.Subscript) -> Meaning:
        key = literal(node.slice)
        if key is not None:
            inside = self.namespace(node.value)
            if inside is not None:
                return self.member(self.meaning(inside), key, dotted(inside))
            found = self.meaning(node.value)
            if found.path == "sys.modules":
                return replace(self._path(key), imports=found.imports)
        return Meaning("object", why="what an item is, only a run would tell")

    def namespace(self, node: ast.AST) -> ast.expr | None:
        """Return x of ``vars(x)`` and ``x.__dict__``."""
        if isinstance(node, ast.Call) and self.is_builtin(node.func, "vars"):
            return positional(node, 0)
        if isinstance(node, ast.Attribute) and node.attr == "__dict__":
            return node.value
        return None


def resolver(project: Project, file: Path) -> Resolver | None:
    """Return the resolver of a file of the project, None if it can't be parsed."""
    if file not in project.resolvers:
        tree = project.tree(file)
        project.resolvers[file] = None if tree is None else Resolver(tree, project, file)
    found = project.resolvers[file]
    assert found is None or isinstance(found, Resolver)
    return found


def _combined(meanings: list[Meaning], name: str) -> Meaning:
    """Return what a name stands for that is one of several things."""
    certain = [one for one in meanings if one.kind != "nothing"]
    if not certain:
        return _NOTHING if meanings else Meaning("object")
    first = certain[0]
    if all(one._key == first._key for one in certain):
        imports = tuple(dict.fromkeys(each for one in certain for each in one.imports))
        return replace(first, imports=imports)
    if any(one.is_framework or one.kind in ("unknown", "module") for one in certain):
        listed = " or ".join(
            dict.fromkeys(one.path if one.kind == "path" else "something else" for one in certain)
        )
        return Meaning("unknown", why=f"{name} is {listed}, depending on how the program runs")
    if all(one.kind in _OWN_KINDS for one in certain):
        return _OWN
    return Meaning("object", why=f"{name} is assigned in several places")


def _added(node: ast.expr) -> list[ast.expr]:
    """Return the parts of a sum."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [*_added(node.left), *_added(node.right)]
    return [node]
