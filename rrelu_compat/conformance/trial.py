"""`Trial`: what a check works with. It draws examples, calls the subject, notes what was done."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rrelu_compat.conformance import strategies
from rrelu_compat.conformance.numerics import Array, dtype_of, epsilon, same_bits, tiny
from rrelu_compat.conformance.snippets import Step

if TYPE_CHECKING:
    from rrelu_compat.conformance.case import Case

Pullback = Callable[[Array], Array]


class CheckFailure(AssertionError):
    """A requirement that does not hold; the message says which element, what it is and should be."""


def one_line(value: Any) -> str:
    """Return a bound as a program would write it."""
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    return repr(value)


class Trial:
    """One example of one case.

    Arrays are NumPy arrays; tensors are the subject's. The short methods (`forward`, `vjp`) take and
    return arrays; `tensor`, `apply` and `numpy` are for checks that look at the tensors themselves.

    Parameters
    ----------
    case : Case
        The check, and what it is run with.
    seed : int
        Start of the streams that this trial uses.
    draw : callable or None
        Draws from a Hypothesis strategy; None for checks that run once.
    """

    def __init__(self, case: Case, seed: int, draw: Any = None) -> None:
        self.case = case
        self.subject = case.subject
        self.device = case.device
        self.dtype = dtype_of(case.dtype or case.subject.capabilities.dtypes[0])
        self.mode = case.mode
        self.training = case.training
        self.inplace = case.inplace
        self.seed = seed
        self.steps: list[Step] = []
        self._draw = draw
        self._names: dict[int, str] = {}
        self._kept: list[Any] = []

    # Drawing

    def draw(self, strategy: Any) -> Any:
        """Draw from a Hypothesis strategy."""
        return self._draw(strategy)

    def draw_choice(self, options: tuple[str, ...]) -> str:
        """Draw one of `options`."""
        return strategies.draw_choice(self.draw, options)

    def draw_small(self, count: int) -> list[int]:
        """Draw `count` integers from 0 to 3."""
        return strategies.draw_small(self.draw, count)

    def draw_shape(self) -> tuple[int, ...]:
        """Draw a shape."""
        return strategies.draw_shape(self.draw)

    def draw_values(self, kind: str, shape: tuple[int, ...]) -> Array:
        """Draw an array of the case's dtype; `kind` as in `strategies.table`."""
        count = int(np.prod(shape, dtype=np.int64))
        return strategies.draw_values(self.draw, self.dtype.name, kind, count).reshape(shape)

    def draw_array(self, kind: str = "any") -> Array:
        """Draw an array of any shape, contiguous."""
        return self.draw_values(kind, self.draw_shape())

    def draw_bounds(self) -> tuple[float, float]:
        """Draw ``(lower, upper)`` within the subject's interval, of few binary digits."""
        return strategies.draw_bounds(self.draw, self.subject.capabilities.bounds, True)

    def draw_any_bounds(self) -> tuple[float, float]:
        """Draw any ``(lower, upper)`` within the subject's interval."""
        return strategies.draw_bounds(self.draw, self.subject.capabilities.bounds, False)

    def draw_layout(self, array: Array, layouts: tuple[str, ...] = strategies.LAYOUTS) -> Array:
        """Return the values of `array` in a drawn memory layout."""
        return strategies.draw_layout(self.draw, array, layouts)

    def rng(self) -> np.random.Generator:
        """Return NumPy's generator, seeded for this trial: inputs of checks that run once."""
        return np.random.default_rng(self.seed)

    def minus_ones(self, *shape: int) -> Array:
        """Return an array of -1, whose result in training is minus the slopes."""
        return np.full(shape, -1, self.dtype)

    def claims(self, capability: str) -> bool:
        """Whether the subject claims `capability`."""
        return bool(self.subject.capabilities.offers(capability))

    # Calling the subject

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
        tensor = self.subject.from_numpy(array, device=self.device)
        self._note("tensor", name=self._name(tensor, prefix), array=array)
        return tensor

    def numpy(self, tensor: Any) -> Array:
        """Return the values of a tensor."""
        return np.asarray(self.subject.to_numpy(tensor))

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
        tensor = self.tensor(x)
        keywords, names = self._arguments(tensor, lower, upper, training, inplace, generator)
        step = Step("vjp", {**names, "y": "y"})
        self.steps.append(step)
        y, pullback = self.subject.vjp(tensor, lower, upper, **keywords)
        step.fields["y"] = self._name(y, "y")
        return self.numpy(y), self._arrays(pullback, step.fields)

    def _arrays(self, pullback: Any, fields: dict[str, Any]) -> Pullback:
        def on_arrays(g: Array) -> Array:
            tensor = self.tensor(g, "g")
            step = Step("pullback", {**fields, "g": self._name(tensor, "g"), "gx": "gx"})
            self.steps.append(step)
            gx = pullback(tensor)
            step.fields["gx"] = self._name(gx, "gx")
            return self.numpy(gx)

        return on_arrays

    def special(self, method: str, target: str, *arguments: Any, **keywords: Any) -> Any:
        """Call an optional method of the subject; `target` names its results in the snippet."""
        shown = [self._names.get(id(a)) or one_line(a) for a in arguments]
        shown += [f"{k}={self._names.get(id(v)) or one_line(v)}" for k, v in keywords.items()]
        self._note(method, target=target, arguments=", ".join(shown))
        return getattr(self.subject, method)(*arguments, **keywords)

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

    # Judging

    def fail(self, message: str) -> NoReturn:
        """Fail the check."""
        raise CheckFailure(message)

    def ensure(self, condition: Any, message: str) -> None:
        """Fail with `message` unless `condition`."""
        if not condition:
            self.fail(message)

    def like(self, y: Array, x: Array, what: str) -> None:
        """Fail unless `y` has the shape and dtype of `x`."""
        self.ensure(y.shape == x.shape, f"{what} has shape {y.shape}, expected {x.shape}")
        self.ensure(y.dtype == x.dtype, f"{what} has dtype {y.dtype}, expected {x.dtype}")

    def equal(self, y: Array, expected: Array, what: str, x: Array | None = None) -> None:
        """Fail unless `y` has the bits of `expected`, any NaN equal to any other."""
        self.like(y, expected, what)
        self.holds(
            same_bits(y, expected),
            lambda at: (
                f"{what}{at} = {y[at]}, expected {expected[at]}"
                + (f" for x{at} = {x[at]}" if x is not None else "")
            ),
        )

    def specified(self, y: Array, expected: Array, x: Array, what: str = "y") -> None:
        """Fail unless `y` has the bits of `expected`; the sign of the result at 0 is not looked at.

        The checks ``special.signed-zeros*`` do that: one divergence, one failing check.
        """
        self.like(y, expected, what)
        self.holds(
            same_bits(y, expected) | ((x == 0) & (y == 0)),
            lambda at: f"{what}{at} = {y[at]}, expected {expected[at]} for x{at} = {x[at]}",
        )

    def close(self, y: Array, expected: Array, what: str) -> None:
        """Fail unless two arrays agree up to two roundings of their dtype; NaN equals NaN."""
        self.like(y, expected, what)
        a, b = y.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= 2 * epsilon(y.dtype) * np.abs(b) + tiny(y.dtype)
        self.holds(
            near | (a == b) | (np.isnan(a) & np.isnan(b)),
            lambda at: f"{what}{at} = {y[at]}, expected {expected[at]} up to rounding",
        )

    def holds(self, good: Array, message: Callable[[Any], str]) -> None:
        """Fail with `message` of the first index where `good` is False."""
        good = np.asarray(good)
        if not good.all():
            first = np.unravel_index(int(np.argmin(good.reshape(-1))), good.shape)
            at = _Index(int(k) for k in first)
            count = int(good.size - good.sum())
            more = f" (and {count - 1} more of {good.size})" if count > 1 else ""
            self.fail(message(at) + more)


class _Index(tuple):  # type: ignore[type-arg]
    """An index that prints as ``[1, 2]``."""

    __slots__ = ()

    def __str__(self) -> str:
        return f"[{', '.join(map(str, self))}]"
