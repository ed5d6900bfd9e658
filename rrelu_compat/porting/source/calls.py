"""Turn the arguments of a call into those of the shim, with the meaning they had."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import libcst as cst

from rrelu_compat.porting.source.names import INPUT, Api
from rrelu_compat.porting.source.text import Edit, Position
from rrelu_compat.porting.source.tree import sole_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rrelu_compat.porting.source.resolve import Resolver

_LAYER_KEYWORDS = {
    ("torch", True): {"lower", "upper", "inplace"},
    ("paddle", True): {"lower", "upper", "name", "inplace"},  # inplace: Paddle's next release
}
_ANY_LAYER_KEYWORD = {"lower", "upper", "inplace", "name", "generator"}
_ANY_KEYWORD = {"input", "lower", "upper", "training", "inplace", "name", "generator"}


class ByHandError(Exception):
    """The call can't be rewritten safely; the message says why."""


@dataclass
class _Call:
    """A call while it is converted."""

    resolver: Resolver
    api: Api
    target: str
    args: Sequence[cst.Arg]
    edits: list[Edit] = field(default_factory=list)

    def insert(self, place: Position, text: str) -> None:
        self.edits.append(Edit(place, place, text))

    def start(self, index: int) -> Position:
        return self.resolver.tree.start(self.args[index])

    def end(self, index: int) -> Position:
        return self.resolver.tree.span(self.args[index])[1]

    def drop(self, index: int) -> None:
        """Delete an argument together with a comma."""
        if index:
            self.edits.append(Edit(self.end(index - 1), self.end(index), ""))
        elif len(self.args) > 1:
            self.edits.append(Edit(self.start(0), self.start(1), ""))
        else:
            self.edits.append(Edit(self.start(0), self.end(0), ""))

    def name_it(self, index: int, keyword: str) -> None:
        """Write an argument by keyword."""
        if self.args[index].keyword is None:
            self.insert(self.start(index), f"{keyword}=")

    def inplace(self, index: int) -> None:
        self.name_it(index, "inplace")
        value = self.args[index].value
        if isinstance(value, cst.Integer):  # PyTorch takes any truth value, the shim bools
            start, end = self.resolver.tree.span(value)
            self.edits.append(Edit(start, end, str(bool(value.evaluated_value))))

    def name(self, index: int, allowed: bool) -> None:
        if _is_none(self.args[index].value) and not allowed:
            self.drop(index)
        elif not allowed:
            raise ByHandError("the target's function has no name=")
        else:
            self.name_it(index, "name")

    def either(self, index: int, allowed: bool) -> None:
        """Convert an argument that is `inplace` if a bool and `name` if a str."""
        value = self.args[index].value
        if _is_bool(value):
            self.inplace(index)
        elif _is_none(value):
            self.drop(index)
        elif isinstance(value, (cst.SimpleString, cst.FormattedString, cst.ConcatenatedString)):
            self.name(index, allowed)
        elif not allowed:
            raise ByHandError("whether the last argument is inplace or name can't be known")

    def generator(self, index: int) -> None:
        value = self.args[index].value
        if _is_none(value):
            self.drop(index)
        elif self._is_our_generator(value):
            self.name_it(index, "generator")
        else:
            raise ByHandError(
                "generator= may hold a framework's own generator, which the target can't use: "
                "give a rrelu_compat.Generator, which runs in both"
            )

    def _is_our_generator(self, value: cst.BaseExpression) -> bool:
        if isinstance(value, cst.Name):
            value = sole_value(self.resolver.tree, value) or value
        if not isinstance(value, cst.Call):
            return False
        return self.resolver.meaning(value.func).path in (
            "rrelu_compat.Generator",
            "rrelu_compat.generator.Generator",
        )

    def star_length(self, value: cst.BaseExpression) -> int | None:
        """Return how many values a starred argument gives, or None if that can't be known."""
        if isinstance(value, cst.Name):
            inner = sole_value(self.resolver.tree, value)
            if not isinstance(inner, cst.Tuple):  # a list may have grown since; a tuple can't
                return None
            value = inner
        if not isinstance(value, (cst.Tuple, cst.List)):
            return None
        if any(isinstance(one, cst.StarredElement) for one in value.elements):
            return None
        return len(value.elements)


def convert_layer(resolver: Resolver, api: Api, target: str, args: Sequence[cst.Arg]) -> list[Edit]:
    """Return the edits to the arguments of a layer's construction.

    Raises
    ------
    ByHandError
        If it can't be done safely.
    """
    call = _Call(resolver, api, target, args)
    allowed = _LAYER_KEYWORDS.get((api.framework, api.native), _ANY_LAYER_KEYWORD)
    starred = False
    for index, arg in enumerate(args):
        # The layers' constructors agree in everything but the third positional, and all of them
        # take a bool or a str there.
        if arg.star:
            starred = True
        elif arg.keyword is not None:
            if arg.keyword.value not in allowed:
                raise ByHandError(f"{arg.keyword.value}= is not a parameter of the layer")
            if arg.keyword.value == "generator":
                call.generator(index)
            elif arg.keyword.value == "inplace":
                call.inplace(index)
        elif not starred and index == 2:
            if api.parameters[2] == "inplace":
                call.inplace(index)
            elif api.parameters[2] == "name":
                call.either(index, allowed=True)
        elif not starred and index >= len(api.parameters):
            raise ByHandError("more positional arguments than the layer takes")
    return call.edits


def convert_function(
    resolver: Resolver,
    api: Api,
    target: str,
    args: Sequence[cst.Arg],
    after: Position,
    *,
    partial: bool,
) -> list[Edit]:
    """Return the edits to the arguments of a functional's call.

    Parameters
    ----------
    after : Position
        Where a first argument would be added if there is none.
    partial : bool
        The call is a ``functools.partial``, so that more arguments follow later.

    Raises
    ------
    ByHandError
        If it can't be done safely.
    """
    call = _Call(resolver, api, target, args)
    seen = _convert_each(call)
    given = {name for name in seen if name is not None}
    stars = [index for index, arg in enumerate(args) if arg.star == "**"]
    if "*" in given and "training" not in given:
        raise ByHandError(
            "whether the starred arguments include training can't be known; "
            f"the source's default is training={api.training_default}"
        )
    if len(stars) > 1:
        raise ByHandError("which of several ** arguments holds what can't be known")
    if stars:
        _check_keywords(call, given, partial)
    elif not partial and not given & {"input", "*"}:
        raise ByHandError("the call has no input")
    added = []
    if "training" not in given:
        if stars:
            value = args[stars[0]].value
            start, end = resolver.tree.span(value)
            atom = isinstance(value, (cst.Name, cst.Attribute, cst.Call, cst.Subscript, cst.Dict))
            left, right = ("", "") if atom or value.lpar else ("(", ")")
            call.insert(start, f'{{"training": {api.training_default}, **{left}')
            call.insert(end, f"{right}}}")
        else:
            added.append(f"training={api.training_default}")
    if target == "neutral" and api.name == "rrelu_":
        added.append("inplace=True")
    if added:
        place = call.end(len(args) - 1) if args else after
        first = "" if not args and not partial else ", "
        call.insert(place, first + ", ".join(added))
    return call.edits


def _convert_each(call: _Call) -> list[str]:
    """Convert every argument; return what each one is, "*" for a starred one of unknown length."""
    seen: list[str] = []
    index = 0  # of the next positional parameter
    for number, arg in enumerate(call.args):
        if arg.star == "**":
            continue
        if arg.star == "*":
            length = call.star_length(arg.value)
            if length is None:
                seen.append("*")
                continue
            names = list(call.api.parameters[index : index + length])
            last = 3 if call.target == "neutral" else 4
            if len(names) < length or index + length > last:
                raise ByHandError("a starred argument holds what the target takes by keyword only")
            seen += names
            index += length
            continue
        if arg.keyword is None:
            if "*" in seen or index >= len(call.api.parameters):
                raise ByHandError("which parameter a positional argument is can't be known")
            name = call.api.parameters[index]
            index += 1
        else:
            name = _parameter(call.api, arg.keyword.value)
        _convert_one(call, number, name)
        seen.append(name)
    if any(seen.count(name) > 1 for name in set(seen) - {"*"}):
        raise ByHandError("an argument is given twice")
    return seen


def _parameter(api: Api, keyword: str) -> str:
    if keyword in api.input_names:
        return "input"
    known = set(api.parameters) if api.native else _ANY_KEYWORD
    if api.framework == "paddle" and api.plain:
        known = {*known, "inplace"}  # Paddle's next release
    if keyword not in known or keyword == "input":
        raise ByHandError(f"{keyword}= is not a parameter of the function")
    return keyword


def _convert_one(call: _Call, number: int, name: str) -> None:
    arg = call.args[number]
    has_name = call.target != "neutral" and not (
        call.target == "torch" and call.api.name == "rrelu_"
    )
    if name == "input" and arg.keyword is not None:
        if arg.keyword.value != INPUT[call.target]:
            start, end = call.resolver.tree.span(arg.keyword)
            call.edits.append(Edit(start, end, INPUT[call.target]))
    elif name == "training" and call.target == "neutral":
        call.name_it(number, "training")
    elif name == "inplace":
        call.inplace(number)
    elif name == "name" and arg.keyword is None and _is_bool(arg.value):
        call.inplace(number)  # Paddle's next release
    elif name == "name":
        call.name(number, has_name)
    elif name == "generator":
        call.generator(number)
    elif name == "inplace or name":
        call.either(number, has_name)


def _check_keywords(call: _Call, given: set[str], partial: bool) -> None:
    if not partial and "input" not in given:
        raise ByHandError("the ** argument may hold the input, whose name differs")
    if call.target == "neutral" and call.api.framework == "paddle":
        raise ByHandError("the ** argument may hold name=, which the neutral rrelu does not take")


def _is_none(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"


def _is_bool(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value in ("True", "False")
