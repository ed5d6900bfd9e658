"""Edit the import statements: redirect, insert the shim's, drop what nothing needs, choose local names."""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import MODULE, STARS, is_framework, lookup, origin
from rrelu_compat.porting.source.edits import Edit, Position, Span
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Context, Plan
from rrelu_compat.porting.source.rules.imports import is_redirected, local_name
from rrelu_compat.porting.source.tree import ImportStatement, is_star, module_of

if TYPE_CHECKING:
    from rrelu_compat.porting.source.scopes import Binding

_REFLECTION = {"eval", "exec", "globals", "locals", "vars"}


class ImportEditor:
    """Turns plans into edits: those of the uses, and those of the imports they need.

    Parameters
    ----------
    words : set of str
        Names that text outside the program takes from it: the magics of a notebook.
    """

    def __init__(self, context: Context, plans: list[Plan], words: set[str]) -> None:
        self.context = context
        self.tree = context.tree
        self.plans = plans
        self.words = words
        self.edits: list[Edit] = []
        self.wanted: dict[ImportStatement, set[str]] = {}
        self.moved = {one.alias: one for one in plans if is_redirected(one)}
        self.removed: set[ast.alias] = set()
        self.kept = {one.local: one.shim for one in plans if one.local and one.shim}
        self.local: dict[str, str] = {}
        self._bindings: defaultdict[str, list[Binding]] = defaultdict(list)
        for scope in self.tree.scopes.all:
            for name, found in scope.bindings.items():
                self._bindings[name] += found

    def run(self) -> list[Edit]:
        """Return all edits."""
        rewritten = [one for one in self.plans if one.status == REWRITTEN and one.shim]
        for plan in rewritten:
            self._use(plan)
        self._follow_stars()
        spans = [
            one.callee for one in rewritten if one.callee is not None and one.edits is not None
        ]
        self._find_unused([span for span in spans if span is not None])
        self._keep_framework()
        self._merge()
        for statement in self.tree.imports:
            self._statement(statement)
        return self.edits

    # The uses

    def _use(self, plan: Plan) -> None:
        if plan.kind == "import":
            return
        if plan.local:
            what = plan.shim if plan.local == plan.shim else f"{plan.shim} as {plan.local}"
            self._want(plan, what)
        elif plan.alias in self.moved:
            pass  # the name stays, the import changes
        elif plan.callee is not None:
            name = self._name_for(plan)
            if plan.status == REWRITTEN and name != self.tree.text.between(*plan.callee):
                self.edits.append(Edit(*plan.callee, name))
        if plan.status == REWRITTEN:
            self.edits += plan.edits

    def _follow_stars(self) -> None:
        """Put the shim's name behind a star import that brings a name which the file reads or has."""
        for star in self.context.resolver.stars:
            for name, path in STARS.get(module_of(star), {}).items():
                api = lookup(path)
                found = [one for one in self._bindings.get(name, ()) if one.scope.kind == "module"]
                if api is None or api.obstacle:
                    continue
                if api.framework in ("neutral", self.context.target):
                    continue
                if any(
                    isinstance(one.node, ast.alias)
                    and one.node not in self.moved
                    and self._shim_of(one.node) == api.shim(self.context.target)
                    and self.tree.start(one.node) > self.tree.start(star)
                    for one in found
                ):
                    continue  # an earlier run has put it there
                read = any(
                    isinstance(one.ctx, ast.Load) for one in self.tree.scopes.names.get(name, ())
                )
                if read or any(self.tree.start(one.node) < self.tree.start(star) for one in found):
                    shim = api.shim(self.context.target)
                    what = shim if shim == name else f"{shim} as {name}"
                    self.wanted.setdefault(star, set()).add(what)

    def _name_for(self, plan: Plan) -> str:
        """Return the name of the shim's class or function, and see to its import."""
        given = self._given(plan)
        if given:
            return given
        if plan.shim not in self.local:
            # A star import hands on what has no underscore, and would bind the name over there.
            hidden = "_" if self._handed_on_by_star else ""
            plain = [plan.shim, *(f"compat_{plan.shim}{n}" for n in ("", *range(2, 99)))]
            candidates = [hidden + name for name in plain]
            self.local[plan.shim] = next(
                name for name in candidates if not self._taken(name, plan.shim)
            )
        name = self.local[plan.shim]
        self._want(plan, plan.shim if name == plan.shim else f"{plan.shim} as {name}")
        return name

    def _given(self, plan: Plan) -> str:
        """Return the name under which the whole file has it already, or ""."""
        for statement in self.tree.imports:
            if not isinstance(statement, ast.ImportFrom) or is_star(statement):
                continue
            if not self._top_level(statement) or self.tree.start(statement) > plan.place:
                continue
            for alias in statement.names:
                name = local_name(alias)
                if self._shim_of(alias) == plan.shim and not self._taken(name, plan.shim):
                    return name
        return ""

    def _shim_of(self, alias: ast.alias) -> str:
        """Return the name of the target's module that an alias brings, once the edits are made."""
        if alias in self.moved:
            return self.moved[alias].shim
        statement = self.tree.parent(alias)
        if (
            isinstance(statement, ast.ImportFrom)
            and module_of(statement) == MODULE[self.context.target]
        ):
            return alias.name
        return ""

    def _top_level(self, statement: ast.AST) -> bool:
        return isinstance(self.tree.parent(statement), ast.Module)

    @cached_property
    def _handed_on_by_star(self) -> bool:
        """Whether another file of the run takes all names of this one."""
        file = self.context.file
        listed = "__all__" in self.tree.scopes.module.bindings
        return file is not None and not listed and self.context.project.starred(file)

    def _taken(self, name: str, shim: str) -> bool:
        """Whether a name means something else anywhere in the file."""
        if self.context.resolver.star_brings(name) and self.kept.get(name) != shim:
            return True
        for found in self._bindings.get(name, ()):
            if not isinstance(found.node, ast.alias) or found.node in self.removed:
                return True
            if self._shim_of(found.node) != shim or "." in found.node.name:
                return True
        if self.kept.get(name, shim) != shim:
            return True
        if name in self.kept:
            return False
        scopes = self.tree.scopes
        return any(
            not isinstance(node.ctx, ast.Store) and not scopes.lookup(scopes.of[node], name)
            for node in scopes.names.get(name, ())
        )

    def _want(self, plan: Plan, what: str) -> None:
        """Have something imported wherever a use's own import stands and can be seen from it."""
        places = list(plan.imports) if plan.local else self._first(plan.imports)
        if not places or not all(self._visible(one, plan) for one in places):
            places = self._outer()
        if not places:
            plan.give_up("no-import", "no import of this file can be followed by the shim's")
        for statement in places:
            self.wanted.setdefault(statement, set()).add(what)

    def _first(self, imports: tuple[ImportStatement, ...]) -> list[ImportStatement]:
        """Return the imports to stand by: all up to the first that runs in any case."""
        needed = []
        for statement in sorted(imports, key=self.tree.start):
            needed.append(statement)
            if isinstance(self.tree.parent(statement), (ast.Module, ast.FunctionDef, ast.ClassDef)):
                break
        return needed

    def _visible(self, statement: ImportStatement, plan: Plan) -> bool:
        """Whether a name that is bound next to an import can be read at a use."""
        scope = self.tree.scopes.of[statement]
        if scope.kind == "module":
            return True
        if any(name in scope.elsewhere for name in self._locals(statement)):
            return False
        node = next(
            (one for one in self.tree.places.values() if plan.place in (self._place(one),)), None
        )
        here = self.tree.scopes.of.get(node) if node is not None else None
        first = here
        while here is not None:
            if here is scope:
                return here.kind != "class" or here is first
            here = here.parent
        return False

    def _place(self, node: ast.AST) -> Position:
        if isinstance(node, ast.Attribute):
            return self.tree.name_place(node)
        return self.tree.start(node)

    def _locals(self, statement: ImportStatement) -> list[str]:
        return [(one.asname or one.name).split(".")[0] for one in statement.names]

    def _outer(self) -> list[ImportStatement]:
        """Return the first import at the top level that may be followed by another."""
        for statement in self.tree.imports:
            if self._top_level(statement) and getattr(statement, "module", "") != "__future__":
                return [statement]
        return []

    # What nothing needs any more

    def _find_unused(self, spans: list[Span]) -> None:
        """Remove the imports of a framework's modules that only rewritten uses needed."""
        file = self.context.file
        if file is not None and file.name == "__init__.py":
            return
        if self._reflects():
            return
        covered = sorted(spans)
        for statement in self.tree.imports:
            if is_star(statement):
                continue
            for alias in statement.names:
                if alias not in self.moved and self._is_unused(statement, alias, covered):
                    self.removed.add(alias)

    def _reflects(self) -> bool:
        return any(
            self.context.resolver.is_builtin(node, name)
            for name in _REFLECTION
            for node in self.tree.scopes.names.get(name, ())
            if isinstance(self.tree.parent(node), ast.Call)
        )

    def _is_unused(self, statement: ImportStatement, alias: ast.alias, covered: list[Span]) -> bool:
        name = (alias.asname or alias.name).split(".")[0]
        path = alias.name
        if isinstance(statement, ast.ImportFrom):
            path = f"{module_of(statement)}.{alias.name}"
        if not is_framework(path) or path.startswith("rrelu_compat"):
            return False
        if "noqa" in self.tree.text.lines[self.tree.start(statement).line - 1]:
            return False
        if any(
            not isinstance(one.node, ast.alias) or one.node.asname != alias.asname
            for one in self._bindings[name]
        ):
            return False
        if name in self.tree.scopes.redirected or name in self.words:
            return False
        nodes = self.tree.scopes.names.get(name, ())
        if not nodes or not all(_inside(self.tree.start(node), covered) for node in nodes):
            return False
        listed = self.context.resolver.listed or set()
        if name in listed or self._in_strings(name):
            return False
        scope = self.tree.scopes.of[statement]
        file = self.context.file
        return scope.kind != "module" or file is None or not self.context.project.taken(file, name)

    def _in_strings(self, name: str) -> bool:
        """Whether a doctest reads a name, or a string that is left by hand speaks of it."""
        word = re.compile(rf"\b{re.escape(name)}\b")
        for plan in self.plans:
            if plan.kind == "string" and plan.status == BY_HAND:
                if word.search(self.tree.text.lines[plan.place.line - 1]):
                    return True
        return any(
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and ">>>" in node.value
            and name in node.value
            for node in self.tree.nodes
        )

    def _keep_framework(self) -> None:
        """Keep an import of the framework that decides whose layers the neutral class builds."""
        if self.context.target != "neutral":
            return
        if not any(one.shim == "RReLU" and one.status == REWRITTEN for one in self.plans):
            return
        for statement in self.tree.imports:
            keep = [one for one in statement.names if one in self.removed]
            self.removed.difference_update(keep)
        left = [
            alias
            for statement in self.tree.imports
            for alias in statement.names
            if alias not in self.moved and self._framework_of(statement, alias)
        ]
        if left:
            return
        for statement in self.tree.imports:
            moved = [one for one in statement.names if one in self.moved]
            if any(self.moved[one].shim == "RReLU" for one in moved):
                api = self.moved[moved[0]].api
                if api is not None:
                    self.wanted.setdefault(statement, set()).add(f":{api.framework}")

    def _framework_of(self, statement: ImportStatement, alias: ast.alias) -> str:
        if isinstance(statement, ast.ImportFrom):
            return origin(module_of(statement))
        return origin(alias.name)

    # The statements

    def _merge(self) -> None:
        """Put what neighbouring imports want behind the last of them, once."""
        runs: dict[ast.AST, list[ImportStatement]] = {}
        for statement in self.tree.imports:
            if statement in self.wanted:
                runs.setdefault(self._run(statement), []).append(statement)
        given: set[str] = set()
        for statements in runs.values():
            names = set().union(*(self.wanted.pop(one) for one in statements))
            last = statements[-1]
            if self._top_level(last):
                if not is_star(last):  # what a star import took has to be given back each time
                    names -= given
                given |= names
            self.wanted[last] = names

    def _run(self, statement: ImportStatement) -> ast.AST:
        """Return the first of the unbroken run of imports that a statement stands in."""
        if is_star(statement):
            return statement
        block = self.tree.block(statement)
        first: ast.stmt = statement
        index = next(number for number, one in enumerate(block) if one is statement)
        for other in reversed(block[:index]):
            if not isinstance(other, (ast.Import, ast.ImportFrom)):
                break
            first = other
        return first

    def _statement(self, statement: ImportStatement) -> None:
        if is_star(statement):
            self._insert(statement, self._lines(statement, []))
            return
        aliases = statement.names
        moved = [alias for alias in aliases if alias in self.moved]
        gone = [alias for alias in aliases if alias in self.removed]
        rest = [alias for alias in aliases if alias not in moved and alias not in gone]
        if moved and not rest and isinstance(statement, ast.ImportFrom):
            self._redirect(statement, moved, gone)
            self._insert(statement, self._lines(statement, []))
            return
        lines = self._lines(statement, moved)
        if rest:
            if moved or gone:
                self._drop(aliases, [*moved, *gone])
            self._insert(statement, lines)
        elif self._alone(statement):
            self._replace(statement, lines)
        else:
            self._insert(statement, lines)

    def _lines(self, statement: ImportStatement, moved: list[ast.alias]) -> list[str]:
        wanted = self.wanted.get(statement, set())
        names = {one for one in wanted if not one.startswith(":")}
        for alias in moved:
            shim, local = self.moved[alias].shim, local_name(alias)
            names.add(shim if local == shim else f"{shim} as {local}")
        lines = [
            f"import {one[1:]}  # the framework of the layers"
            for one in sorted(wanted)
            if one.startswith(":")
        ]
        if names:
            lines.append(f"from {MODULE[self.context.target]} import {', '.join(sorted(names))}")
        return lines

    def _alone(self, statement: ImportStatement) -> bool:
        """Whether a statement has its lines to itself."""
        start, end = self.tree.span(statement)
        before = self.tree.text.lines[start.line - 1][: start.column]
        after = self.tree.text.lines[end.line - 1][end.column :].strip()
        return not before.strip() and (not after or after.startswith("#"))

    def _insert(self, statement: ImportStatement, lines: list[str]) -> None:
        """Insert lines after a statement."""
        if not lines:
            return
        start, end = self.tree.span(statement)
        if self._alone(statement):
            text = self.tree.text
            indent = text.lines[start.line - 1][: start.column].replace("\x0c", "")
            end = Position(end.line, len(text.lines[end.line - 1].rstrip("\r\n")))
            added = "".join(f"{text.newline}{indent}{line}" for line in lines)
        else:
            added = "".join(f"; {line}" for line in lines)
        self.edits.append(Edit(end, end, added))

    def _replace(self, statement: ImportStatement, lines: list[str]) -> None:
        """Replace a whole statement by lines, or delete its line if there are none."""
        start, end = self.tree.span(statement)
        text = self.tree.text
        if lines or len(self.tree.block(statement)) == 1:
            if not lines and self._top_level(statement):
                self.edits.append(Edit(Position(start.line, 0), Position(end.line + 1, 0), ""))
                return
            indent = text.lines[start.line - 1][: start.column]
            joined = f"{text.newline}{indent}".join(lines or ["pass"])
            self.edits.append(Edit(start, end, joined))
        else:
            self.edits.append(Edit(Position(start.line, 0), Position(end.line + 1, 0), ""))

    def _redirect(
        self, statement: ast.ImportFrom, moved: list[ast.alias], gone: list[ast.alias]
    ) -> None:
        """Make a ``from`` import take the shim's names instead."""
        tokens = self.tree.tokens(statement)
        number = [token.text for token in tokens].index("import")
        parts = tokens[1:number]
        self.edits.append(Edit(parts[0].start, parts[-1].end, MODULE[self.context.target]))
        for alias in moved:
            shim, local = self.moved[alias].shim, local_name(alias)
            new = shim if shim == local else f"{shim} as {local}"
            if new != self.tree.code(alias):
                self.edits.append(Edit(*self.tree.span(alias), new))
        if gone:
            self._drop(statement.names, gone)

    def _drop(self, aliases: list[ast.alias], dropped: list[ast.alias]) -> None:
        """Delete names from an import's list."""
        tree = self.tree
        last = max(index for index, alias in enumerate(aliases) if alias not in dropped)
        for index, alias in enumerate(aliases[:last]):
            if alias in dropped:
                self._cut(tree.start(alias), tree.start(aliases[index + 1]), [alias])
        if aliases[last + 1 :]:
            low, high = tree.end(aliases[last]), tree.end(aliases[-1])
            self._cut(low, high, aliases[last + 1 :])

    def _cut(self, low: Position, high: Position, aliases: list[ast.alias]) -> None:
        """Delete from `low` to `high`, or, to keep a comment there, just the names and their commas."""
        if "#" not in self.tree.text.between(low, high):
            self.edits.append(Edit(low, high, ""))
            return
        tokens = self.tree.tokens(self.tree.parent(aliases[0]))
        for alias in aliases:
            start, end = self.tree.span(alias)
            after = next((token for token in tokens if token.start >= end), None)
            if after is not None and after.text == ",":
                end = after.end
            self.edits.append(Edit(start, end, ""))


def _inside(place: Position, spans: list[Span]) -> bool:
    """Whether a place lies in one of the spans, which are in order and apart."""
    index = bisect_right(spans, place, key=lambda span: span[0]) - 1
    return index >= 0 and place < spans[index][1]
