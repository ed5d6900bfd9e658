"""Edit the import statements: insert the shim's, drop what nothing needs, choose local names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import Assignment, ImportAssignment

from rrelu_compat.porting.source.names import MODULE
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Plan
from rrelu_compat.porting.source.text import Edit, Position
from rrelu_compat.porting.source.tree import literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rrelu_compat.porting.source.imports import ImportChanges
    from rrelu_compat.porting.source.resolve import Binding, ImportStatement, Resolver
    from rrelu_compat.porting.source.tree import Tree

_REFLECTION = {"eval", "exec", "globals", "locals", "vars"}


@dataclass
class ImportEditor:
    """Turns plans into edits: those of the uses, and those of the imports they need."""

    resolver: Resolver
    target: str
    plans: list[Plan]
    changes: ImportChanges
    keep_imports: bool  # other files may take names from this one, as from an __init__.py
    edits: list[Edit] = field(default_factory=list)
    wanted: dict[ImportStatement, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.tree: Tree = self.resolver.tree
        self.local: dict[str, str] = {}
        self._partial = ""

    def run(self) -> list[Edit]:
        """Return all edits."""
        rewritten = [
            plan for plan in self.plans if plan.status == REWRITTEN and plan.callee is not None
        ]
        for plan in rewritten:
            self._use(plan)
        if not self.keep_imports:
            self._find_unused(rewritten)
        self._merge()
        for statement in self.tree.imports:
            self._statement(statement)
        return self.edits

    def _merge(self) -> None:
        """Put what neighbouring imports want behind the last of them, once."""
        runs: dict[cst.CSTNode, list[ImportStatement]] = {}
        for statement in self.tree.imports:
            if statement in self.wanted:
                runs.setdefault(self._run(statement), []).append(statement)
        given: set[str] = set()
        for statements in runs.values():
            names = set().union(*(self.wanted.pop(one) for one in statements))
            last = statements[-1]
            if self._top_level(last):
                names -= given
                given |= names
            self.wanted[last] = names

    def _run(self, statement: ImportStatement) -> cst.CSTNode:
        """Return the first line of the unbroken run of imports that a statement stands in."""
        line = self.tree.parent(statement)
        block = self.tree.parent(line)
        if not isinstance(block, (cst.Module, cst.IndentedBlock)):
            return line
        first = line
        for other in reversed(block.body[: list(block.body).index(line)]):  # type: ignore[arg-type]
            if not isinstance(other, cst.SimpleStatementLine):
                break
            if not all(isinstance(one, (cst.Import, cst.ImportFrom)) for one in other.body):
                break
            first = other
        return first

    # The uses

    def _use(self, plan: Plan) -> None:
        assert plan.callee is not None
        in_place = [one for one in plan.bindings if one.alias in self.changes.in_place]
        name = in_place[0].local if plan.bare and in_place else self._name_for(plan)
        text = plan.form.replace("{}", name)
        if plan.wraps:
            text = text.replace("{partial}", self._partial_for(plan))
        if text != self.tree.text.between(*plan.callee):
            self.edits.append(Edit(*plan.callee, text))
        self.edits += plan.edits

    def _name_for(self, plan: Plan) -> str:
        """Return the name of the shim's class or function, and see to its import."""
        given = self._given(plan.shim, plan.place)
        if given:
            return given
        if plan.shim not in self.local:
            candidates = [plan.shim, *(f"compat_{plan.shim}{n}" for n in ("", *range(2, 99)))]
            self.local[plan.shim] = next(
                name for name in candidates if not self._taken(name, plan.shim)
            )
        name = self.local[plan.shim]
        self._want(plan, plan.shim if name == plan.shim else f"{plan.shim} as {name}")
        return name

    def _given(self, shim: str, place: Position) -> str:
        """Return the name under which the whole file has it already, or ""."""
        for aliases in (self.changes.existing, self.changes.in_place):
            for alias, api in aliases.items():
                statement = self.tree.enclosing(alias, cst.ImportFrom)
                name = alias.evaluated_alias or alias.evaluated_name
                if (
                    api.name == shim
                    and self._top_level(statement)
                    and self.tree.start(statement) < place
                    and not self._taken(name, shim)
                ):
                    return name
        return ""

    def _top_level(self, statement: cst.CSTNode) -> bool:
        line = self.tree.parent(statement)
        return isinstance(line, cst.SimpleStatementLine) and isinstance(
            self.tree.parent(line), cst.Module
        )

    def _taken(self, name: str, shim: str) -> bool:
        """Whether a name means something else anywhere in the file."""
        if name in self.tree.captures:
            return True
        fine = {**self.changes.existing, **self.changes.in_place}
        for scope in self.tree.scopes:
            for found in scope.assignments[name]:
                if not isinstance(found, ImportAssignment):
                    return True
                alias = _alias_of(found, name)
                same = alias in fine and fine[alias].name == shim
                if alias is None or not (same or alias in self.changes.removed):
                    return True
        # A bare name that nothing binds: from a star import, whose uses may be rewritten to it.
        free = [
            self.tree.start(node)
            for node in self.tree.nodes
            if isinstance(node, cst.Name) and node.value == name and self._is_free(node)
        ]
        ours = {
            plan.place
            for plan in self.plans
            if plan.status == REWRITTEN and plan.bare and plan.shim == shim
        }
        return any(place not in ours for place in free)

    def _is_free(self, node: cst.Name) -> bool:
        above = self.tree.parent(node)
        if isinstance(above, cst.Attribute) and above.attr is node:
            return False
        return self.tree.is_load(node) and not any(
            isinstance(one, (Assignment, ImportAssignment))
            for one in self.tree.scope(node)[node.value]
        )

    def _partial_for(self, plan: Plan) -> str:
        for name, text in (("functools", "functools.partial"), ("partial", "partial")):
            found = [one for scope in self.tree.scopes for one in scope.assignments[name]]
            if (
                len(found) == 1
                and isinstance(found[0], ImportAssignment)
                and self._top_level(found[0].node)
                and self.tree.start(found[0].node) < plan.place
                and self._imports(found[0], name)
            ):
                return text
        taken = any(scope.assignments["functools"] for scope in self.tree.scopes)
        only_import = all(
            isinstance(one, ImportAssignment) and self._imports(one, "functools")
            for scope in self.tree.scopes
            for one in scope.assignments["functools"]
        )
        if taken and not only_import:
            self._want(plan, "functools:partial")
            return "compat_partial"
        self._want(plan, "functools:")
        return "functools.partial"

    def _imports(self, found: ImportAssignment, name: str) -> bool:
        path = "functools" if name == "functools" else "functools.partial"
        return self.resolver.name(name, found.scope).path == path

    def _want(self, plan: Plan, what: str) -> None:
        """Have something imported wherever a use's own import stands."""
        for binding in self._first(plan.bindings):
            self.wanted.setdefault(binding.statement, set()).add(what)

    def _first(self, bindings: Sequence[Binding]) -> list[Binding]:
        """Return the imports to stand by: all up to the first that runs in any case."""
        ordered = sorted(bindings, key=lambda one: self.tree.start(one.statement))
        needed = []
        for binding in ordered:
            needed.append(binding)
            if self._unconditional(binding):
                break
        return needed

    def _unconditional(self, binding: Binding) -> bool:
        block = self.tree.parent(self.tree.parent(binding.statement))
        return isinstance(block, cst.Module) or isinstance(
            self.tree.parent(block), (cst.FunctionDef, cst.ClassDef)
        )

    # What nothing needs any more

    def _find_unused(self, rewritten: list[Plan]) -> None:
        if any(plan.status == BY_HAND and plan.kind == "string" for plan in self.plans):
            return
        if any(
            isinstance(node, cst.Name) and node.value in _REFLECTION and self._is_free(node)
            for node in self.tree.nodes
        ):
            return
        spans = [plan.callee for plan in rewritten if plan.callee is not None and not plan.bare]
        exported = {literal(node) for node in self.tree.nodes if isinstance(node, cst.SimpleString)}
        for plan in rewritten:
            for binding in plan.bindings:
                if plan.bare or binding.alias is None or binding.local in exported:
                    continue
                if "noqa" in self.tree.text.lines[self.tree.start(binding.statement).line - 1]:
                    continue
                uses = self._references(binding)
                if uses and all(any(low <= use < high for low, high in spans) for use in uses):
                    self.changes.removed.add(binding.alias)

    def _references(self, binding: Binding) -> list[Position]:
        found = []
        for one in binding.scope.assignments:
            if one.name == binding.local or one.name.startswith(binding.local + "."):
                found += [self.tree.start(access.node) for access in one.references]
        return found

    # The statements

    def _statement(self, statement: ImportStatement) -> None:
        if isinstance(statement.names, cst.ImportStar):
            self._insert(statement, self._lines(statement, []))
            return
        aliases = list(statement.names)
        in_place = [alias for alias in aliases if alias in self.changes.in_place]
        removed = [alias for alias in aliases if alias in self.changes.removed]
        rest = [alias for alias in aliases if alias not in in_place and alias not in removed]
        if in_place and not rest:
            self._redirect(statement, in_place, removed)
            self._insert(statement, self._lines(statement, []))
            return
        lines = self._lines(statement, in_place)
        if rest:
            self._drop(aliases, [*in_place, *removed])
            self._insert(statement, lines)
        elif self._alone(statement):
            self._replace(statement, lines)
        else:
            self._insert(statement, lines)

    def _lines(self, statement: ImportStatement, moved: list[cst.ImportAlias]) -> list[str]:
        wanted = sorted(self.wanted.get(statement, ()))
        names = {one for one in wanted if not one.startswith("functools:")}
        for alias in moved:
            shim = self.changes.in_place[alias].name
            local = alias.evaluated_alias or alias.evaluated_name
            names.add(shim if local == shim else f"{shim} as {local}")
        lines = []
        if "functools:" in wanted:
            lines.append("import functools")
        if "functools:partial" in wanted:
            lines.append("from functools import partial as compat_partial")
        if names:
            lines.append(f"from {MODULE[self.target]} import {', '.join(sorted(names))}")
        return lines

    def _alone(self, statement: ImportStatement) -> bool:
        line = self.tree.parent(statement)
        return isinstance(line, cst.SimpleStatementLine) and len(line.body) == 1

    def _insert(self, statement: ImportStatement, lines: list[str]) -> None:
        """Insert lines after a statement."""
        if not lines:
            return
        start, end = self.tree.span(statement)
        if self._alone(statement):
            text = self.tree.text
            indent = text.lines[start.line - 1][: start.column]
            end = Position(end.line, len(text.lines[end.line - 1].rstrip("\r\n")))
            added = "".join(f"{text.newline}{indent}{line}" for line in lines)
        else:
            added = "".join(f"; {line}" for line in lines)
        self.edits.append(Edit(end, end, added))

    def _replace(self, statement: ImportStatement, lines: list[str]) -> None:
        """Replace a whole statement by lines, or delete its line if there are none."""
        start, end = self.tree.span(statement)
        text = self.tree.text
        block = self.tree.parent(self.tree.parent(statement))
        body = block.body if isinstance(block, (cst.Module, cst.IndentedBlock)) else ()
        if lines or len(body) == 1:
            indent = text.lines[start.line - 1][: start.column]
            joined = f"{text.newline}{indent}".join(lines or ["pass"])
            self.edits.append(Edit(start, end, joined))
        else:
            self.edits.append(Edit(Position(start.line, 0), Position(end.line + 1, 0), ""))

    def _redirect(
        self,
        statement: ImportStatement,
        aliases: list[cst.ImportAlias],
        removed: list[cst.ImportAlias],
    ) -> None:
        """Make a ``from`` import take the shim's names instead."""
        assert isinstance(statement, cst.ImportFrom)
        tree = self.tree
        parts = [*statement.relative, *([statement.module] if statement.module else [])]
        start, end = tree.start(parts[0]), tree.span(parts[-1])[1]
        self.edits.append(Edit(start, end, MODULE[self.target]))
        for alias in aliases:
            shim = self.changes.in_place[alias].name
            name = alias.evaluated_name
            if name != shim:
                kept = "" if alias.asname is not None else f" as {name}"
                self.edits.append(Edit(*tree.span(alias.name), f"{shim}{kept}"))
        self._drop([*aliases, *removed], removed)

    def _drop(self, aliases: list[cst.ImportAlias], dropped: list[cst.ImportAlias]) -> None:
        """Delete names from an import's list."""
        tree = self.tree
        aliases = sorted(aliases, key=tree.start)
        last = max(index for index, alias in enumerate(aliases) if alias not in dropped)
        for index, alias in enumerate(aliases[:last]):
            if alias in dropped:
                self._cut(tree.start(alias), tree.start(aliases[index + 1]), [alias])
        if aliases[last + 1 :]:
            low, high = tree.span(aliases[last])[1], tree.span(aliases[-1])[1]
            self._cut(low, high, aliases[last + 1 :])

    def _cut(self, low: Position, high: Position, aliases: list[cst.ImportAlias]) -> None:
        """Delete from `low` to `high`, or, to keep a comment there, just the names and their commas."""
        if "#" not in self.tree.text.between(low, high):
            self.edits.append(Edit(low, high, ""))
            return
        for alias in aliases:
            start, end = self.tree.span(alias)
            if isinstance(alias.comma, cst.Comma):
                end = self.tree.span(alias.comma)[1]
            self.edits.append(Edit(start, end, ""))


def _alias_of(found: ImportAssignment, name: str) -> cst.ImportAlias | None:
    statement = found.node
    if not isinstance(statement, cst.ImportFrom) or isinstance(statement.names, cst.ImportStar):
        return None
    for alias in statement.names:
        if (alias.evaluated_alias or alias.evaluated_name) == name:
            return alias
    return None
