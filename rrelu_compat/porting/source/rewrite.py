"""Rewrite the RReLU uses of one Python source."""

from __future__ import annotations

import ast
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst

from rrelu_compat.porting.source import contexts
from rrelu_compat.porting.source.attributes import Attributes
from rrelu_compat.porting.source.expressions import Expressions
from rrelu_compat.porting.source.imports import plan_imports
from rrelu_compat.porting.source.insertions import ImportEditor
from rrelu_compat.porting.source.names import TARGETS
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Plan
from rrelu_compat.porting.source.project import Project
from rrelu_compat.porting.source.report import FileReport, Use
from rrelu_compat.porting.source.resolve import Resolver
from rrelu_compat.porting.source.scan import scan
from rrelu_compat.porting.source.strings import Strings
from rrelu_compat.porting.source.text import Edit, OverlapError, Position, Text
from rrelu_compat.porting.source.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rrelu_compat.porting.source.scan import Hit


def port_source(
    source: str, to: str, *, file: Path | None = None, project: Project | None = None
) -> FileReport:
    """Rewrite every use of the other framework's RReLU in a Python source.

    Parameters
    ----------
    source : str
        The program. It is read, never executed.
    to : str
        "torch", "paddle" or "neutral".
    file : Path, optional
        Where it stands: what it imports from neighbouring files can then be looked up.
    project : Project, optional
        What is known about other files already.

    Returns
    -------
    FileReport
        With the text before and after and every use with its status. A source that can't be parsed
        comes back as it is, with `error` set.

    Raises
    ------
    ValueError
        If `to` is no target.

    Examples
    --------
    >>> report = port_source("import torch.nn.functional as F\\ny = F.rrelu(x)\\n", "paddle")
    >>> print(report.after, end="")
    from rrelu_compat.paddle import rrelu
    y = rrelu(x, training=False)
    """
    if to not in TARGETS:
        raise ValueError(f"to={to!r} is no target: {', '.join(TARGETS)} are allowed")
    return reported(analyse(source, to, file, project or Project()), source, file)


@dataclass(frozen=True)
class Analysis:
    """What is to be done with a source.

    ``handed_on`` holds the names, other than RReLU's own, under which other files could import a
    function whose default changes here.
    """

    plans: list[Plan]
    edits: list[Edit]
    error: str = ""
    handed_on: frozenset[str] = frozenset()


def analyse(source: str, to: str, file: Path | None, project: Project) -> Analysis:
    """Return the plans and edits for a source; `error` is set if it can't be parsed."""
    try:
        hits = scan(source)
        tree = Tree(source)
    except (SyntaxError, ValueError, RecursionError, cst.ParserSyntaxError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Analysis([], [], f"can't be parsed: {why}")
    return _analyse(tree, hits, to, file, project)


def reported(done: Analysis, source: str, file: Path | None) -> FileReport:
    """Return the report of an analysed source."""
    path = str(file) if file is not None else "<source>"
    if done.error:
        return FileReport(path, (), source, source, done.error)
    text = Text(source)
    return FileReport(path, _uses(done.plans, text), source, text.apply(done.edits))


def _analyse(tree: Tree, hits: list[Hit], to: str, file: Path | None, project: Project) -> Analysis:
    expressions = Expressions(Resolver(tree, project, file), to)
    plans = list(expressions.plans())
    strings = Strings(expressions)
    known = {plan.place for plan in plans}
    for hit in hits:
        if hit.in_string and (hit.line, hit.column) not in known:
            plan = strings.plan(hit)
            if plan is not None:
                plans.append(plan)
    _doubt_identity(expressions, plans)
    if to != "paddle" and any(plan.api and plan.api.framework == "paddle" for plan in plans):
        left = any(
            plan.status == BY_HAND and plan.api is not None and plan.api.is_class for plan in plans
        )
        plans += Attributes(expressions.resolver, left).plans()
    imported, changes = plan_imports(expressions, plans)
    plans += imported
    known = {plan.place for plan in plans}
    for hit in hits:
        if (hit.line, hit.column) not in known:
            why = "what this mention does is not understood"
            place = Position(hit.line, hit.column)
            plans.append(Plan(place, hit.name, "unknown", BY_HAND, why))
    keep_imports = file is not None and file.name == "__init__.py"
    edits = ImportEditor(expressions.resolver, to, plans, changes, keep_imports).run()
    edits += [
        edit
        for plan in plans
        if plan.status == REWRITTEN and plan.callee is None
        for edit in plan.edits
    ]
    if not _sound(tree.text, edits):
        for plan in plans:
            if plan.status == REWRITTEN:
                plan.give_up("the changes to this file get in each other's way")
        return Analysis(plans, [])
    handed_on = {
        alias.evaluated_alias or alias.evaluated_name
        for alias, api in changes.in_place.items()
        if not api.is_class
    }
    return Analysis(plans, edits, handed_on=frozenset(handed_on - {"rrelu", "rrelu_"}))


def _sound(text: Text, edits: list[Edit]) -> bool:
    """Whether the edits can be made and leave a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.apply(edits))
    except (OverlapError, SyntaxError):
        return False
    return True


def _doubt_identity(expressions: Expressions, plans: list[Plan]) -> None:
    """Leave function references by hand where one of them may be compared with something.

    Each becomes a ``functools.partial`` of its own, so that ``act in ACTIVATIONS`` would turn false.
    """
    wrapped = [plan for plan in plans if plan.status == REWRITTEN and plan.wraps]
    compared = list(_comparisons(expressions.tree)) if wrapped else []
    for plan in wrapped:
        holders = _given_to(expressions.tree, plan)
        lines = [line for line, names in compared if names & holders]
        if not lines and len(wrapped) > 1:  # several may be compared with each other anywhere
            lines = [line for line, _ in compared]
        if lines:
            plan.give_up(
                "each reference becomes an object of its own to keep its default, and line "
                f"{lines[0]} may compare it with another"
            )


def _comparisons(tree: Tree) -> Iterator[tuple[int, set[str]]]:
    """Yield the line and the names of every comparison between two names or attributes."""
    for node in tree.nodes:
        if not isinstance(node, cst.Comparison):
            continue
        for comparison in node.comparisons:
            sides = (node.left, comparison.comparator)
            identity = isinstance(
                comparison.operator,
                (cst.Is, cst.IsNot, cst.In, cst.NotIn, cst.Equal, cst.NotEqual),
            )
            if not identity or not all(isinstance(one, (cst.Name, cst.Attribute)) for one in sides):
                continue
            names = {contexts.last_name(side) for side in sides}
            if "None" not in names:
                yield tree.start(node).line, names


def _given_to(tree: Tree, plan: Plan) -> set[str]:
    """Return the names of what holds a reference: assigned to, or a parameter's default."""
    names = set()
    for node in tree.nodes:
        if not isinstance(node, (cst.Assign, cst.AnnAssign, cst.Param)):
            continue
        # The span of a parameter is that of its name.
        value = node.default if isinstance(node, cst.Param) else node.value
        if value is None:
            continue
        low, high = tree.span(value)
        if low <= plan.place < high:
            targets = [one.target for one in node.targets] if isinstance(node, cst.Assign) else []
            if isinstance(node, cst.AnnAssign):
                targets = [node.target]
            elif isinstance(node, cst.Param):
                targets = [node.name]
            names |= {contexts.last_name(target) for target in targets}
    return names


def _uses(plans: list[Plan], text: Text) -> tuple[Use, ...]:
    return tuple(
        sorted(
            Use(
                plan.place.line,
                plan.place.column,
                plan.name,
                plan.kind,
                plan.status,
                plan.why,
                text.line(plan.place.line),
            )
            for plan in plans
        )
    )
