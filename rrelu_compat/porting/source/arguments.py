"""Turn the arguments of a call into those of the shim, with the meaning they had."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.apis import INPUT, Api
from rrelu_compat.porting.source.edits import Edit

if TYPE_CHECKING:
    from rrelu_compat.porting.source.edits import Position
    from rrelu_compat.porting.source.plan import Context
    from rrelu_compat.porting.source.tree import Argument

_LAYER_KEYWORDS = {
    ("torch", True): {"lower", "upper", "inplace"},
    ("paddle", True): {"lower", "upper", "name", "inplace"},  # inplace: Paddle's next release
}
_ANY_LAYER_KEYWORD = {"lower", "upper", "inplace", "name", "generator"}
_GENERATOR = (
    "generator= may hold a framework's own generator, which the target can't use: "
    "give a rrelu_compat.Generator, which runs in both"
)


class ByHandError(Exception):
    """The call can't be rewritten safely; the message says why."""


class KeepError(Exception):
    """The arguments have to stay as they are: the function with the source's signature takes them."""


@dataclass
class _Call:
    """A call while it is converted."""

    context: Context
    api: Api
    args: list[Argument]
    edits: list[Edit] = field(default_factory=list)

    def insert(self, place: Position, text: str) -> None:
        self.edits.append(Edit(place, place, text))

    def drop(self, index: int) -> None:
        """Delete an argument together with a comma."""
        if index:
            self.edits.append(Edit(self.args[index - 1].end, self.args[index].end, ""))
        elif len(self.args) > 1:
            self.edits.append(Edit(self.args[0].start, self.args[1].start, ""))
        else:
            self.edits.append(Edit(self.args[0].start, self.args[0].end, ""))

    def name_it(self, index: int, keyword: str) -> None:
        """Write an argument by keyword."""
        if not self.args[index].keyword:
            self.insert(self.args[index].start, f"{keyword}=")

    def inplace(self, index: int) -> None:
        self.name_it(index, "inplace")
        value = self.args[index].value
        # PyTorch takes any truth value, the shim bools.
        if isinstance(value, ast.Constant) and type(value.value) is int:
            self.edits.append(Edit(*self.context.tree.span(value), str(bool(value.value))))

    def name(self, index: int, allowed: bool) -> None:
        if _is_none(self.args[index].value) and not allowed:
            self.drop(index)
        elif not allowed:
            raise KeepError
        else:
            self.name_it(index, "name")

    def either(self, index: int, allowed: bool) -> None:
        """Convert an argument that is `inplace` if a bool and `name` if a str."""
        value = self.args[index].value
        if _is_bool(value):
            self.inplace(index)
        elif _is_none(value):
            self.drop(index)
        elif isinstance(value, ast.JoinedStr) or (
            isinstance(value, ast.Constant) and isinstance(value.value, str)
        ):
            self.name(index, allowed)
        elif not allowed:
            raise KeepError

    def generator(self, index: int) -> None:
        value = self.args[index].value
        if _is_none(value):
            self.drop(index)
        elif is_our_generator(self.context, value):
            self.name_it(index, "generator")
        else:
            raise ByHandError(_GENERATOR)


def foreign_generator(context: Context, call: ast.Call) -> str:
    """Return why a call's ``generator=`` can't stay, or ""."""
    for keyword in call.keywords:
        if keyword.arg == "generator" and not _is_none(keyword.value):
            if not is_our_generator(context, keyword.value):
                return _GENERATOR
    return ""


def is_our_generator(context: Context, value: ast.expr) -> bool:
    """Whether an expression is a `rrelu_compat.Generator` for certain."""
    if isinstance(value, ast.Name):
        value = sole_value(context, value) or value
    if not isinstance(value, ast.Call):
        return False
    return context.resolver.meaning(value.func).path in (
        "rrelu_compat.Generator",
        "rrelu_compat.generator.Generator",
    )


def sole_value(context: Context, name: ast.Name) -> ast.expr | None:
    """Return the expression that a name's only assignment gives it, or None."""
    found = context.tree.scopes.lookup(context.resolver.scope(name), name.id)
    if len(found) != 1 or len(found[0].values) != 1:
        return None
    return found[0].values[0]


def convert_layer(context: Context, api: Api, call: ast.Call) -> list[Edit]:
    """Return the edits to the arguments of a layer's construction.

    Raises
    ------
    ByHandError
        If it can't be done safely.
    """
    done = _Call(context, api, context.tree.arguments(call))
    allowed = _LAYER_KEYWORDS.get((api.framework, api.native), _ANY_LAYER_KEYWORD)
    starred = False
    for index, arg in enumerate(done.args):
        # The layers' constructors agree in everything but the third positional, and all of them
        # take a bool or a str there.
        if arg.star:
            starred = True
        elif arg.keyword:
            if arg.keyword not in allowed:
                raise ByHandError(f"{arg.keyword}= is not a parameter of the layer")
            if arg.keyword == "generator":
                done.generator(index)
            elif arg.keyword == "inplace":
                done.inplace(index)
        elif not starred and index == 2:
            if api.parameters[2] == "inplace":
                done.inplace(index)
            elif api.parameters[2] == "name":
                done.either(index, allowed=True)
        elif not starred and index >= len(api.parameters):
            raise ByHandError("more positional arguments than the layer takes")
    return done.edits


def convert_function(context: Context, api: Api, call: ast.Call) -> list[Edit]:
    """Return the edits to the arguments of a functional's call.

    Raises
    ------
    KeepError
        If they can only stay as they are.
    ByHandError
        If it can't be done safely at all.
    """
    done = _Call(context, api, context.tree.arguments(call))
    why = foreign_generator(context, call)
    if why:
        raise ByHandError(why)
    names = [_parameter(api, index, arg) for index, arg in enumerate(done.args)]
    if len(set(names)) < len(names) or "input" not in names:
        raise KeepError
    for index, name in enumerate(names):
        _convert_one(done, index, name)
    added = [] if "training" in names else [f"training={api.training_default}"]
    if context.target == "neutral" and api.name == "rrelu_":
        added.append("inplace=True")
    if added:
        done.insert(done.args[-1].end, ", " + ", ".join(added))
    return done.edits


def _parameter(api: Api, index: int, arg: Argument) -> str:
    """Return which parameter an argument is; the first one is called "input"."""
    if arg.star:
        raise KeepError
    if not arg.keyword:
        if index >= len(api.parameters):
            raise KeepError
        return api.parameters[index]
    if arg.keyword in api.input_names:
        return "input"
    known = {*api.parameters}
    if not api.native:
        known |= {"lower", "upper", "training", "inplace", "name", "generator"}
    if api.framework == "paddle" and api.plain:
        known.add("inplace")  # Paddle's next release
    if arg.keyword not in known or arg.keyword == "input":
        raise KeepError
    return arg.keyword


def _convert_one(call: _Call, index: int, name: str) -> None:
    arg = call.args[index]
    target = call.context.target
    has_name = target != "neutral" and not (target == "torch" and call.api.name == "rrelu_")
    if name == "input" and arg.keyword and arg.keyword != INPUT[target]:
        end = type(arg.start)(arg.start.line, arg.start.column + len(arg.keyword))
        call.edits.append(Edit(arg.start, end, INPUT[target]))
    elif name == "training" and target == "neutral":
        call.name_it(index, "training")
    elif name == "inplace":
        call.inplace(index)
    elif name == "name" and not arg.keyword and _is_bool(arg.value):
        call.inplace(index)  # Paddle's next release
    elif name == "name":
        call.name(index, has_name)
    elif name == "generator":
        call.generator(index)
    elif name == "inplace or name":
        call.either(index, has_name)


def _is_none(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and value.value is None


def _is_bool(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant) and isinstance(value.value, bool)
