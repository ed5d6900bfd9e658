"""`Recorder`: calling the subject from arrays, and noting each step for a printed program."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rrelu_compat.conformance.arithmetic import Array, dtype_of
from rrelu_compat.conformance.guarding import CheckFailure
from rrelu_compat.conformance.programs import Step

if TYPE_CHECKING:
    from rrelu_compat.conformance.registry import Case

Pullback = Callable[[Array], Array]


def one_line(value: Any) -> str:
    """Return a bound as a program would write it."""
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    return repr(value)


class Recorder:
    """The part of a `Trial` that talks to the subject.

    Parameters
    ----------
    case : Case
        The check, and what it is run with.
    """

    def __init__(self, case: Case) -> None:
        self.case = case
        self.subject = case.subject
        self.device = case.device
        self.dtype = dtype_of(case.dtype or case.subject.capabilities.dtypes[0])
        self.mode = case.mode
        self.training = case.training
        self.inplace = case.inplace
        self.steps: list[Step] = []
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    def claims(self, capability: str) -> bool:
        """Whether the subject claims `capability`."""
        return bool(self.subject.capabilities.offers(capability, self.dtype.name))

    def _note(self, kind: str, **fields: Any) -> None:
        self.steps.append(Step(kind, fields))

    def _name(self, thing: Any, prefix: str) -> str:
        if thing is None:
            return "None"
        known = self._names.get(id(thing))
        if known is None:
            known = f"{prefix}{sum(n.startswith(prefix) for n in self._names.values()) or ''}"
            self._names[id(thing)] = known
            self._kept.append(thing)  # so that no other object gets its id
        return known

    def tensor(self, array: Array, prefix: str = "x") -> Any:
        """Return `array` as a tensor of the subject."""
        # An array, of no dimension too: never a NumPy scalar.
        array = np.asarray(array)
        try:
            tensor = self.subject.from_numpy(array, device=self.device)
        except Exception:
            # The program that is printed must show the call that raised.
            self._note("tensor", name=prefix, array=array)
            raise
        self._note("tensor", name=self._name(tensor, prefix), array=array)
        return tensor

    def numpy(self, tensor: Any) -> Array:
        """Return the values of a tensor."""
        values = self.subject.to_numpy(tensor)
        if isinstance(values, np.ma.MaskedArray):
            raise CheckFailure("to_numpy returned a masked array, which hides values")
        # A copy: what a later call does to the tensor must not change it.
        array = np.array(values)
        if array.dtype == object:
            raise CheckFailure(f"to_numpy returned {type(values).__name__}, not an array")
        return array

    def reseed(self, seed: int) -> None:
        """Seed the default stream, if the subject has seeds."""
        if self.claims("global_seeding"):
            self._note("seed", seed=seed)
            self.subject.seed(seed)

    def generator(self, seed: int) -> Any:
        """Return one of the subject's generators."""
        generator = self.subject.generator(seed)
        self._note("generator", name=self._name(generator, "generator"), seed=seed)
        return generator

    def _arguments(
        self,
        x: Any,
        lower: Any,
        upper: Any,
        training: bool | None,
        inplace: bool | None,
        generator: Any,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        keywords: dict[str, Any] = {
            "training": self.training if training is None else training,
            "inplace": self.inplace if inplace is None else inplace,
        }
        names = {
            **keywords,
            "x": self._name(x, "x"),
            "lower": self._names.get(id(lower)) or one_line(lower),
            "upper": self._names.get(id(upper)) or one_line(upper),
            "generator": self._name(generator, "generator"),
        }
        # Subjects that offer no place and no generators need not have the arguments.
        if not keywords["inplace"] and not self.claims("inplace"):
            del keywords["inplace"]
        if generator is not None:
            keywords["generator"] = generator
        return keywords, names

    def apply(
        self,
        x: Any,
        lower: Any,
        upper: Any,
        *,
        training: bool | None = None,
        inplace: bool | None = None,
        generator: Any = None,
    ) -> Any:
        """Call the subject's forward on a tensor; `training` and `inplace` default to the case's."""
        keywords, names = self._arguments(x, lower, upper, training, inplace, generator)
        # Noted first, so that a call that raises is in the snippet.
        step = Step("forward", {**names, "y": "y"})
        self.steps.append(step)
        y = self.subject.forward(x, lower, upper, **keywords)
        step.fields["y"] = self._name(y, "y")
        return y

    def forward(self, x: Array, lower: Any, upper: Any, **keywords: Any) -> Array:
        """Like `apply`, from array to array."""
        return self.numpy(self.apply(self.tensor(x), lower, upper, **keywords))

    def vjp(
        self,
        x: Array,
        lower: Any,
        upper: Any,
        *,
        training: bool | None = None,
        inplace: bool | None = None,
        generator: Any = None,
    ) -> tuple[Array, Pullback]:
        """Return the output and the function from output gradients to input gradients, as arrays."""
        y, pullback = self.apply_vjp(
            self.tensor(x), lower, upper, training=training, inplace=inplace, generator=generator
        )

        def on_arrays(g: Array) -> Array:
            return self.numpy(pullback(self.tensor(g, "g")))

        return self.numpy(y), on_arrays

    def apply_vjp(
        self,
        x: Any,
        lower: Any,
        upper: Any,
        *,
        training: bool | None = None,
        inplace: bool | None = None,
        generator: Any = None,
    ) -> tuple[Any, Callable[[Any], Any]]:
        """Like `vjp`, from tensor to tensor."""
        keywords, names = self._arguments(x, lower, upper, training, inplace, generator)
        step = Step("vjp", {**names, "y": "y"})
        self.steps.append(step)
        y, pullback = self.subject.vjp(x, lower, upper, **keywords)
        step.fields["y"] = self._name(y, "y")
        return y, self._noting(pullback, step.fields)

    def gradient(
        self,
        x: Array,
        g: Array,
        lower: Any,
        upper: Any,
        *,
        training: bool | None = None,
        inplace: bool | None = None,
        generator: Any = None,
    ) -> tuple[Array, Array]:
        """Return the output and the input gradient for the output gradient `g`, as arrays."""
        if self.claims("pullbacks"):
            y, pullback = self.vjp(
                x, lower, upper, training=training, inplace=inplace, generator=generator
            )
            return y, pullback(g)
        y, gx = self.apply_gradient(
            self.tensor(x),
            self.tensor(g, "g"),
            lower,
            upper,
            training=training,
            inplace=inplace,
            generator=generator,
        )
        return self.numpy(y), self.numpy(gx)

    def apply_gradient(
        self,
        x: Any,
        g: Any,
        lower: Any,
        upper: Any,
        *,
        training: bool | None = None,
        inplace: bool | None = None,
        generator: Any = None,
    ) -> tuple[Any, Any]:
        """Call the subject's ``gradient``: the output and the input gradient, as tensors."""
        keywords, names = self._arguments(x, lower, upper, training, inplace, generator)
        step = Step("gradient", {**names, "g": self._name(g, "g"), "y": "y", "gx": "gx"})
        self.steps.append(step)
        y, gx = self.subject.gradient(x, g, lower, upper, **keywords)
        step.fields |= {"y": self._name(y, "y"), "gx": self._name(gx, "gx")}
        return y, gx

    def _noting(
        self, pullback: Any, fields: dict[str, Any], kind: str = "pullback"
    ) -> Callable[[Any], Any]:
        def on_tensors(g: Any) -> Any:
            step = Step(kind, {**fields, "g": self._name(g, "g"), "gx": "gx"})
            self.steps.append(step)
            gx = pullback(g)
            step.fields["gx"] = self._name(gx, "gx")
            return gx

        return on_tensors

    def _arrays(self, pullback: Any, fields: dict[str, Any], kind: str) -> Pullback:
        noting = self._noting(pullback, fields, kind)
        return lambda g: self.numpy(noting(self.tensor(g, "g")))

    def recomputed(
        self, x: Array, lower: Any, upper: Any, *, generator: Any = None
    ) -> tuple[Array, Pullback]:
        """Like `vjp` in training, the forward repeated by the variant that the case's mode names."""
        tensor = self.tensor(x)
        _, names = self._arguments(tensor, lower, upper, True, False, generator)
        keywords = {} if generator is None else {"generator": generator}
        step = Step("recomputed_vjp", {**names, "variant": self.mode, "y": "y"})
        self.steps.append(step)
        y, pullback = self.subject.recomputed_vjp(
            tensor, lower, upper, training=True, variant=self.mode, **keywords
        )
        step.fields["y"] = self._name(y, "y")
        return self.numpy(y), self._arrays(pullback, step.fields, "recomputed_pullback")

    def double_vjp(
        self, x: Array, g: Array, lower: Any, upper: Any
    ) -> tuple[Array, Array, Pullback]:
        """Return the output, the gradient for `g`, and the pullback of that gradient to `g`."""
        tensor, g_tensor = self.tensor(x), self.tensor(g, "g")
        _, names = self._arguments(tensor, lower, upper, None, False, None)
        step = Step("double_vjp", {**names, "g": self._name(g_tensor, "g"), "y": "y", "gx": "gx"})
        self.steps.append(step)
        y, gx, second = self.subject.double_vjp(
            tensor, g_tensor, lower, upper, training=self.training
        )
        step.fields |= {"y": self._name(y, "y"), "gx": self._name(gx, "gx")}
        fields = {
            "x": step.fields["x"],
            "y": step.fields["y"],
            "of": step.fields["gx"],
            "gradient": step.fields["g"],
        }
        return self.numpy(y), self.numpy(gx), self._arrays(second, fields, "second_pullback")

    def jvp(self, x: Array, tangent: Array, lower: Any, upper: Any) -> tuple[Array, Array]:
        """Return the output and its derivative in a direction."""
        tensor, direction = self.tensor(x), self.tensor(tangent, "v")
        _, names = self._arguments(tensor, lower, upper, None, False, None)
        step = Step("jvp", {**names, "v": self._name(direction, "v"), "y": "y", "gx": "dy"})
        self.steps.append(step)
        y, dy = self.subject.jvp(tensor, direction, lower, upper, training=self.training)
        step.fields |= {"y": self._name(y, "y"), "gx": self._name(dy, "dy")}
        return self.numpy(y), self.numpy(dy)

    def vmap(self, x: Array, lower: Any, upper: Any) -> Array:
        """Return the forward, mapped over the first axis."""
        tensor = self.tensor(x)
        _, names = self._arguments(tensor, lower, upper, None, False, None)
        step = Step("vmap", {**names, "y": "y"})
        self.steps.append(step)
        y = self.subject.vmap(tensor, lower, upper, training=self.training)
        step.fields["y"] = self._name(y, "y")
        return self.numpy(y)

    def layer(
        self, lower: Any, upper: Any, *, inplace: bool | None = None, generator: Any = None
    ) -> Any:
        """Build one of the subject's layers."""
        keywords, names = self._arguments(None, lower, upper, True, inplace, generator)
        del keywords["training"]
        step = Step("layer", {**names, "name": "layer"})
        self.steps.append(step)
        layer = self.subject.layer(lower, upper, **keywords)
        step.fields["name"] = self._name(layer, "layer")
        return layer

    def adopt(self, layer: Any, text: str) -> Any:
        """Note a layer made from another one, by the expression `text`."""
        name = self._name(layer, "layer")
        self._note("expression", text=f"{name} = {text}")
        return layer

    def name_of(self, thing: Any) -> str:
        """Return the name that snippets give a layer, tensor or generator."""
        return self._names[id(thing)]

    def method(self, layer: Any, text: str) -> None:
        """Do ``layer.<text>``: "train()", "eval()" or an assignment such as "lower = 0.5"."""
        self._note("method", layer=self._name(layer, "layer"), method=text)
        attribute, equals, value = text.partition(" = ")
        if equals:
            setattr(layer, attribute, float(value))
        else:
            getattr(layer, text.removesuffix("()"))()

    def bounds_of(self, layer: Any) -> tuple[Any, Any]:
        """Return ``(layer.lower, layer.upper)``."""
        name = self.name_of(layer)
        self._note("expression", text=f"print({name}.lower, {name}.upper)")
        return layer.lower, layer.upper

    def call(self, layer: Any, x: Any) -> Any:
        """Apply a layer to a tensor."""
        step = Step(
            "call", {"layer": self._name(layer, "layer"), "x": self._name(x, "x"), "y": "y"}
        )
        self.steps.append(step)
        y = layer(x)
        step.fields["y"] = self._name(y, "y")
        return y

    def call_array(self, layer: Any, x: Array) -> Array:
        """Apply a layer to an array."""
        return self.numpy(self.call(layer, self.tensor(x)))

    def copies(self, layer: Any) -> Any:
        """Return a deep copy of a layer."""
        return self.adopt(
            copy.deepcopy(layer), f"__import__('copy').deepcopy({self.name_of(layer)})"
        )
