"""What is to be done about one use, before names are chosen and edits are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.report import BY_HAND, REWRITTEN, UNCHANGED

if TYPE_CHECKING:
    import ast
    from pathlib import Path

    from rrelu_compat.porting.source.apis import Api
    from rrelu_compat.porting.source.edits import Edit, Position, Span
    from rrelu_compat.porting.source.exports import Project
    from rrelu_compat.porting.source.meaning import Resolver
    from rrelu_compat.porting.source.tree import ImportStatement, Tree


@dataclass
class Plan:
    """One use.

    Attributes
    ----------
    place : Position
        Where its name stands.
    code : str
        A word for the reason `why`, by which it can be acknowledged.
    callee : (Position, Position) or None
        The text that becomes the shim's name.
    shim : str
        The name in the target's drop-in module.
    local : str
        The name that the file has for it and keeps; "" where one is chosen.
    edits : list of Edit
        Everything else that changes about it.
    imports : tuple of ImportStatement
        The imports by which it came, behind which the shim's is put.
    alias : ast.alias or None
        The alias of the import that binds the name it is used by.
    native : bool
        Left by hand because the source's own has to stay, and with it its import.
    """

    place: Position
    name: str
    kind: str
    status: str
    code: str = ""
    why: str = ""
    api: Api | None = None
    callee: Span | None = None
    shim: str = ""
    local: str = ""
    edits: list[Edit] = field(default_factory=list)
    imports: tuple[ImportStatement, ...] = ()
    alias: ast.alias | None = None
    native: bool = False

    def give_up(self, code: str, why: str) -> Plan:
        """Leave the use to a person."""
        self.status, self.code, self.why, self.edits = BY_HAND, code, why, []
        self.callee, self.shim = None, ""
        return self


@dataclass
class Context:
    """The file that is planned, and where it is to run."""

    tree: Tree
    resolver: Resolver
    project: Project
    file: Path | None
    target: str
    replaced: set[Api] = field(
        default_factory=set
    )  # what the program itself puts another thing for


__all__ = ["BY_HAND", "REWRITTEN", "UNCHANGED", "Context", "Plan"]
