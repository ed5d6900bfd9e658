"""Rewrite the RReLU uses of one Python source."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import TARGETS
from rrelu_compat.porting.source.edits import Edit, OverlapError, Position, Text
from rrelu_compat.porting.source.exports import Project
from rrelu_compat.porting.source.import_edits import ImportEditor
from rrelu_compat.porting.source.meaning import Resolver, resolver
from rrelu_compat.porting.source.mentions import scan
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, Context, Plan
from rrelu_compat.porting.source.report import FileReport, Use
from rrelu_compat.porting.source.rules import (
    dynamic_lookups,
    layer_attributes,
    neutral_class,
    planned,
    replaced,
    strings,
)
from rrelu_compat.porting.source.rules.imports import is_redirected
from rrelu_compat.porting.source.tree import Tree

if TYPE_CHECKING:
    from pathlib import Path

    from rrelu_compat.porting.source.mentions import Hit


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
        raise ValueError(f"to must be one of {', '.join(TARGETS)}, got to={to!r}")
    return reported(analyse(source, to, file, project or Project()), source, file)


@dataclass(frozen=True)
class Analysis:
    """What is to be done with a source; `error` says why nothing can be."""

    plans: list[Plan]
    edits: list[Edit]
    error: str = ""


def analyse(
    source: str, to: str, file: Path | None, project: Project, unseen: str = ""
) -> Analysis:
    """Return the plans and edits for a source; ``unseen`` is text beside it that may use its names."""
    try:
        hits = scan(source)
        known = resolver(project, file) if file is not None and file.suffix != ".ipynb" else None
        if known is None or known.tree.text.source != source:
            known = Resolver(Tree(source), project, file)
    except (SyntaxError, ValueError, RecursionError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Analysis([], [], f"can't be parsed: {why}")
    context = Context(known.tree, known, project, file, to)
    context.replaced = replaced.found(context)
    return _analyse(context, hits, unseen)


def reported(done: Analysis, source: str, file: Path | None) -> FileReport:
    """Return the report of an analysed source."""
    path = str(file) if file is not None else "<source>"
    if done.error:
        return FileReport(path, (), source, source, done.error)
    text = Text(source)
    return FileReport(path, _uses(done.plans, text), source, text.apply(done.edits))


def _analyse(context: Context, hits: list[Hit], unseen: str) -> Analysis:
    plans = [_planned(context, hit) for hit in hits]
    if context.target == "neutral":
        plans += neutral_class.aliases(context)
    plans += dynamic_lookups.plans(context)
    _keep_what_is_needed(plans)
    paddle = any(plan.api is not None and plan.api.framework == "paddle" for plan in plans)
    if context.target != "paddle" and (paddle or context.project.builds_paddle_layers):
        left = any(
            plan.status == BY_HAND and plan.api is not None and plan.api.is_class for plan in plans
        )
        plans += layer_attributes.plans(context, left)
    edits = ImportEditor(context, plans, set(re.findall(r"\w+", unseen))).run()
    edits += [
        edit for plan in plans if plan.status == REWRITTEN and not plan.shim for edit in plan.edits
    ]
    if not _sound(context.tree.text, edits):
        for plan in plans:
            if plan.status == REWRITTEN:
                plan.give_up("overlap", "the changes to this file get in each other's way")
        return Analysis(plans, [])
    return Analysis(plans, edits)


def _planned(context: Context, hit: Hit) -> Plan:
    """Return what becomes of a mention."""
    place = Position(hit.line, hit.column)
    node = context.tree.places.get(place)
    found = planned(context, place, hit.name, node) if node is not None else None
    if found is None and hit.in_string:
        found = strings.plan(context, hit)
    why = "what this mention does is not understood"
    return found or Plan(place, hit.name, "unknown", BY_HAND, "not-understood", why)


def _keep_what_is_needed(plans: list[Plan]) -> None:
    """Leave the imports alone whose names are still needed by what is left by hand."""
    needed: dict[object, list[str]] = {}
    for plan in plans:
        if plan.native and plan.alias is not None:
            needed.setdefault(plan.alias, []).append(str(plan.place.line))
    for plan in plans:
        if is_redirected(plan) and plan.alias in needed:
            lines = needed[plan.alias]
            plural = "s" if len(lines) > 1 else ""
            why = f"still needed by what is left by hand in line{plural} {', '.join(lines)}"
            plan.give_up("needed", why)


def _sound(text: Text, edits: list[Edit]) -> bool:
    """Whether the edits can be made and leave a program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text.apply(edits))
    except (OverlapError, SyntaxError):
        return False
    return True


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
                code=plan.code,
            )
            for plan in plans
        )
    )
