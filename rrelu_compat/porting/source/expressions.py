"""Plans for the uses that stand in the program as names, attributes and imports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import libcst as cst
from libcst.metadata import ImportAssignment

from rrelu_compat.porting.source import contexts
from rrelu_compat.porting.source.calls import ByHandError, convert_function, convert_layer
from rrelu_compat.porting.source.names import MODULE, STARS, Api, is_framework, lookup
from rrelu_compat.porting.source.plan import BY_HAND, REWRITTEN, UNCHANGED, Plan
from rrelu_compat.porting.source.scan import IN_CODE
from rrelu_compat.porting.source.tree import literal, positional, sole_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rrelu_compat.porting.source.resolve import Meaning, Resolver
    from rrelu_compat.porting.source.text import Position
    from rrelu_compat.porting.source.tree import Tree

_FRAMEWORK = {"torch": "PyTorch", "paddle": "Paddle"}


@dataclass
class Expressions:
    """Finds the expressions of a file that stand for RReLU and plans what becomes of them."""

    resolver: Resolver
    target: str

    def __post_init__(self) -> None:
        self.tree: Tree = self.resolver.tree
        self._replaced = self._monkeypatched()

    def plans(self) -> Iterator[Plan]:
        """Yield a plan for every expression that stands for RReLU or is named like it."""
        for node in self.tree.nodes:
            if isinstance(node, cst.Attribute):
                yield from self._attribute(node)
            elif isinstance(node, cst.Name):
                yield from self._name(node)

    def _attribute(self, node: cst.Attribute) -> Iterator[Plan]:
        tree = self.tree
        if tree.enclosing(node, cst.Import, cst.ImportFrom) is not None:
            return
        named = IN_CODE.fullmatch(node.attr.value) is not None
        meaning = self.resolver.meaning(node)
        if meaning.api is None and not named:
            return
        above = tree.parent(node)
        outer: cst.Attribute = node
        if isinstance(above, cst.Attribute) and self.resolver.meaning(above).api is not None:
            if not named:
                return
            outer, meaning = above, self.resolver.meaning(above)
        elif not named and isinstance(node.value, cst.Attribute) and node.attr.value == "default":
            return  # torch.ops.aten.rrelu.default is planned at its name
        place = tree.start(node.attr)
        if not tree.is_load(outer):
            yield self._written(place, node, meaning)
        else:
            yield self.expression(place, node.attr.value, outer, meaning)

    def _written(self, place: Position, node: cst.Attribute, meaning: Meaning) -> Plan:
        name = node.attr.value
        if meaning.api is None and meaning.kind == "member":
            return Plan(place, name, "name", UNCHANGED, "an attribute of the program's own object")
        if meaning.api is None and meaning.kind == "object":
            return Plan(place, name, "name", UNCHANGED, "the program gives this attribute itself")
        return Plan(
            place, name, "unknown", BY_HAND, "the program replaces the framework's RReLU here"
        )

    def _name(self, node: cst.Name) -> Iterator[Plan]:
        tree = self.tree
        named = IN_CODE.fullmatch(node.value) is not None
        above = tree.parent(node)
        if isinstance(above, cst.Attribute) and above.attr is node:
            return
        place = tree.start(node)
        if tree.enclosing(node, cst.Import, cst.ImportFrom) is not None:
            return
        if not tree.is_load(node):
            if named:
                yield Plan(place, node.value, "name", UNCHANGED, self._binds(node))
            return
        meaning = self.resolver.meaning(node)
        if meaning.api is None and not named:
            return
        if self._is_alias(node):
            if named:
                why = (
                    "another name the program gives it: what it is, is decided where it is assigned"
                )
                yield Plan(place, node.value, "name", UNCHANGED, why)
            return
        plan = self.expression(place, node.value, node, meaning)
        plan.bare = True
        yield plan

    def _binds(self, node: cst.Name) -> str:
        above = self.tree.parent(node)
        if isinstance(above, (cst.Arg, cst.MatchKeywordElement)):
            return "the name of an argument or attribute"
        if isinstance(above, cst.Param):
            return "a parameter"
        if isinstance(above, (cst.FunctionDef, cst.ClassDef)):
            return "the program's own definition"
        return "the program's own name"

    def _is_alias(self, node: cst.Name) -> bool:
        """Whether a name is bound by something else than imports (and None, where one failed)."""
        found = self.tree.scope(node)[node.value]
        return any(
            not isinstance(one, ImportAssignment) and hasattr(one, "node") for one in found
        ) and not any(isinstance(one, ImportAssignment) for one in found)

    def expression(
        self, place: Position, name: str, node: cst.BaseExpression, meaning: Meaning
    ) -> Plan:
        """Plan what becomes of an expression that is read."""
        if meaning.api is None:
            return self.foreign(place, name, node, meaning)
        plan = self.decided(place, name, meaning, meaning.api)
        if plan is not None:
            if plan.status == UNCHANGED and meaning.through and not meaning.api.is_class:
                self._through(plan, node, meaning)
            return plan
        return self._convert(place, name, node, meaning, meaning.api)

    def _through(self, plan: Plan, node: cst.BaseExpression, meaning: Meaning) -> None:
        """Doubt a call of the target's function that another file of the project hands on."""
        call = self.tree.parent(node)
        if isinstance(call, cst.Call) and call.func is node:
            words = {arg.keyword.value for arg in call.args if arg.keyword is not None}
            if "training" in words or len(call.args) > 3:
                return
        plan.give_up(
            f"it comes through {meaning.through}, which takes it from {meaning.path}: whether this call "
            "was written for that default of training can't be known"
        )

    def foreign(
        self, place: Position, name: str, node: cst.BaseExpression, meaning: Meaning
    ) -> Plan:
        """Plan a use that is named like RReLU and stands for none that is known."""
        if meaning.kind == "own" or meaning.module:
            return Plan(place, name, "name", UNCHANGED, "defined by the program itself")
        if meaning.kind == "member":
            return Plan(place, name, "name", UNCHANGED, "an attribute of the program's own object")
        if meaning.kind == "object":
            if isinstance(node, cst.Name):
                return Plan(place, name, "name", UNCHANGED, "a local variable")
            if isinstance(node, cst.Attribute) and self._is_own_object(node.value):
                why = "an attribute of the program's own object"
                return Plan(place, name, "name", UNCHANGED, why)
            return Plan(place, name, "unknown", BY_HAND, meaning.why)
        if meaning.kind == "path":
            if meaning.path in STARS:
                why = "the program's own name for a module"
                return Plan(place, name, "name", UNCHANGED, why, bindings=meaning.bindings)
            if is_framework(meaning.path):
                why = f"{meaning.path} is not a name of RReLU that is known here"
            else:
                why = f"{meaning.path} lies in another package or file, which is not at hand"
            return Plan(place, name, "unknown", BY_HAND, why, bindings=meaning.bindings)
        return Plan(place, name, "unknown", BY_HAND, meaning.why or "what it is can't be known")

    def _is_own_object(self, node: cst.BaseExpression) -> bool:
        """Whether an expression is, for certain, an object of a class of the program."""
        if isinstance(node, cst.Call):
            return self.resolver.meaning(node.func).kind == "own"
        if isinstance(node, cst.Name):
            value = sole_value(self.tree, node)
            return isinstance(value, cst.Call) and self._is_own_object(value)
        return False

    def decided(self, place: Position, name: str, meaning: Meaning, api: Api) -> Plan | None:
        """Return the plan for a use that stays as it is whatever surrounds it, or None."""

        def stays(status: str, why: str) -> Plan:
            return Plan(place, name, "name", status, why, api=api, bindings=meaning.bindings)

        if api.framework == "neutral":
            return stays(UNCHANGED, "the neutral name, which runs in both frameworks")
        if api.framework == self.target:
            whose = (
                f"{_FRAMEWORK[api.framework]}'s own" if api.native else f"{MODULE[self.target]}'s"
            )
            return stays(UNCHANGED, f"{whose}, the target's already")
        if api.obstacle:
            return stays(BY_HAND, api.obstacle)
        if any(self.tree.scope(one.statement) is not one.scope for one in meaning.bindings):
            return stays(BY_HAND, "a global or nonlocal statement binds what an import brings")
        if api in self._replaced:
            return stays(BY_HAND, "the program replaces the framework's RReLU in this file")
        return None

    def _convert(
        self,
        place: Position,
        name: str,
        node: cst.BaseExpression,
        meaning: Meaning,
        api: Api,
    ) -> Plan:
        tree = self.tree
        inplace_by_keyword = self.target == "neutral" and api.name == "rrelu_"
        plan = Plan(
            place,
            name,
            "class" if api.is_class else "function",
            REWRITTEN,
            api=api,
            callee=tree.span(node),
            shim="rrelu" if inplace_by_keyword else api.name,
            bindings=meaning.bindings,
        )
        above = tree.parent(node)
        call = tree.parent(above) if isinstance(above, cst.Arg) else None
        if self._assigns(node):
            plan.give_up("the expression that names it also assigns a name")
            return plan
        try:
            if isinstance(above, cst.Call) and above.func is node:
                plan.kind = "call"
                self._arguments(plan, api, above.args, False)
            elif (
                isinstance(call, cst.Call)
                and call.args[0] is above
                and not above.star
                and above.keyword is None
                and self.resolver.meaning(call.func).path == "functools.partial"
            ):
                self._arguments(plan, api, call.args[1:], True)
                if not api.is_class:
                    why = contexts.calls_obstacle(self.resolver, call, api)
                    if why:
                        raise ByHandError(why)
            elif api.is_class:
                why = contexts.class_obstacle(self.resolver, node, self.target)
                if why:
                    raise ByHandError(why)
            elif not contexts.harmless_attribute(tree, node):
                why = contexts.function_obstacle(self.resolver, node, api)
                if why:
                    raise ByHandError(why)
                more = ", inplace=True" if inplace_by_keyword else ""
                plan.form = f"{{partial}}({{}}, training={api.training_default}{more})"
        except ByHandError as error:
            plan.give_up(str(error))
        return plan

    def _assigns(self, node: cst.CSTNode) -> bool:
        return isinstance(node, cst.NamedExpr) or any(map(self._assigns, node.children))

    def _arguments(self, plan: Plan, api: Api, args: object, partial: bool) -> None:
        assert isinstance(args, (list, tuple))
        assert plan.callee is not None
        if api.is_class:
            plan.edits = convert_layer(self.resolver, api, self.target, args)
        else:
            plan.edits = convert_function(
                self.resolver, api, self.target, args, plan.callee[1], partial=partial
            )

    def _monkeypatched(self) -> set[Api]:
        """Return what the program itself replaces in the frameworks' modules, for good or in a test."""
        found = set()
        for node in self.tree.nodes:
            api = None
            if isinstance(node, cst.Attribute) and not self.tree.is_load(node):
                if self.tree.enclosing(node, cst.Import, cst.ImportFrom) is None:
                    api = self.resolver.meaning(node).api
            elif isinstance(node, cst.Call):
                name = contexts.last_name(node.func)
                if name in ("setattr", "delattr", "object"):
                    api = self.resolver.set_by(node).api
                if name in ("setattr", "delattr", "patch"):
                    api = api or lookup(literal(positional(node, 0)) or "")
            if api is not None:
                found.add(api)
        return found
