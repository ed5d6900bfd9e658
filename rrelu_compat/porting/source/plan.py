"""What is to be done about one use, before names are chosen and edits are made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.report import BY_HAND, REWRITTEN, UNCHANGED

if TYPE_CHECKING:
    from rrelu_compat.porting.source.names import Api
    from rrelu_compat.porting.source.resolve import Binding
    from rrelu_compat.porting.source.text import Edit, Position
    from rrelu_compat.porting.source.tree import Span


@dataclass
class Plan:
    """One use.

    Attributes
    ----------
    place : Position
        Where its name stands.
    callee : (Position, Position) or None
        The text that becomes the shim's name, put into `form`.
    form : str
        What replaces the callee: "{}" or, for a function whose default has to be kept,
        "{partial}({}, training=False)".
    shim : str
        The name in the shim: "RReLU", "rrelu" or "rrelu_".
    edits : list of Edit
        Everything else that changes about it.
    bindings : tuple of Binding
        The imports it came by.
    bare : bool
        Written as a single name that an import binds, not as an attribute.
    """

    place: Position
    name: str
    kind: str
    status: str
    why: str = ""
    api: Api | None = None
    callee: Span | None = None
    form: str = "{}"
    shim: str = ""
    edits: list[Edit] = field(default_factory=list)
    bindings: tuple[Binding, ...] = ()
    bare: bool = False

    @property
    def wraps(self) -> bool:
        """Whether the callee is put into ``functools.partial``."""
        return "{partial}" in self.form

    def give_up(self, why: str) -> None:
        """Leave the use to a person."""
        self.status, self.why, self.edits = BY_HAND, why, []
        self.callee = None


__all__ = ["BY_HAND", "REWRITTEN", "UNCHANGED", "Plan"]
