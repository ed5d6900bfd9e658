"""Subjects made of two parts: what a framework does with tensors, and an RReLU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.capabilities import METHODS, Capabilities, method_of
from rrelu_compat.conformance.programs import Snippets
from rrelu_compat.generator import Generator
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class FrameworkSubject:
    """A `Subject` of a tensor kit and an RReLU.

    Parameters
    ----------
    name : str
        The subject's name.
    kit : object
        What the framework does with tensors; see below.
    forward : callable
        ``forward(x, lower, upper, *, training, inplace, generator)``.
    layer : callable, optional
        ``layer(lower, upper, *, inplace, generator)``.
    generator : callable, optional
        ``generator(seed)``.
    capabilities : Capabilities
        What is claimed.
    expected_failures : mapping of str to str, optional
        Case ids and reasons.
    snippets : Snippets, optional
        How failures are printed.

    Notes
    -----
    A kit has ``from_numpy(array, *, device)`` and ``to_numpy(tensor)``; and, where the capabilities claim
    them, ``seed(n)``, ``strides(tensor)``, ``device_of(tensor)``, and the derivatives of any function
    ``f`` of one tensor: ``vjp(f, x, inplace)``, ``recomputed_vjp(f, x, variant)``, ``double_vjp(f, x, g)``,
    ``jvp(f, x, tangent)``, ``vmap(f, x)``.
    """

    def __init__(
        self,
        name: str,
        kit: Any,
        *,
        forward: Callable[..., Any],
        capabilities: Capabilities,
        layer: Callable[..., Any] | None = None,
        generator: Callable[[int], Any] | None = None,
        expected_failures: Mapping[str, str] | None = None,
        snippets: Snippets | None = None,
    ) -> None:
        self.name = name
        self.kit = kit
        self.capabilities = capabilities
        self.expected_failures = dict(expected_failures or {})
        self.snippets = snippets or Snippets()
        self._forward = forward
        self._layer = layer
        self._generator = generator
        given = {"layer": layer, "generator": generator}
        for claim in METHODS:
            method = method_of(claim, capabilities)
            own = getattr(type(self), method, None) is not getattr(FrameworkSubject, method, None)
            offered = given[method] if method in given else getattr(kit, method, None)
            if capabilities.offers(claim) and offered is None and not own:
                raise ValueError(f"{name} claims {claim}, and nothing gives {method}()")

    def from_numpy(self, array: Any, *, device: str) -> Any:
        """Return `array` as a tensor."""
        return self.kit.from_numpy(array, device=device)

    def to_numpy(self, tensor: Any) -> Any:
        """Return a tensor's values."""
        return self.kit.to_numpy(tensor)

    def seed(self, n: int) -> None:
        """Seed the framework's default stream."""
        self.kit.seed(n)

    def generator(self, seed: int) -> Any:
        """Return a generator."""
        assert self._generator is not None
        return self._generator(seed)

    def strides(self, tensor: Any) -> tuple[int, ...]:
        """Return a tensor's strides in elements."""
        return tuple(self.kit.strides(tensor))

    def device_of(self, tensor: Any) -> str:
        """Return the name of a tensor's device."""
        return str(self.kit.device_of(tensor))

    def forward(self, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        """Return RReLU of `x`."""
        return self._function(lower, upper, **keywords)(x)

    def _function(
        self,
        lower: Any,
        upper: Any,
        *,
        training: bool,
        inplace: bool = False,
        generator: Any = None,
    ) -> Callable[[Any], Any]:
        return lambda x: self._forward(
            x, lower, upper, training=training, inplace=inplace, generator=generator
        )

    def vjp(
        self, x: Any, lower: Any, upper: Any, *, inplace: bool = False, **keywords: Any
    ) -> tuple[Any, Any]:
        """Return the output and the pullback."""
        function = self._function(lower, upper, inplace=inplace, **keywords)
        result: tuple[Any, Any] = self.kit.vjp(function, x, inplace)
        return result

    def recomputed_vjp(
        self, x: Any, lower: Any, upper: Any, *, variant: str, **keywords: Any
    ) -> tuple[Any, Any]:
        """Return the output and a pullback that repeats the forward."""
        function = self._function(lower, upper, **keywords)
        result: tuple[Any, Any] = self.kit.recomputed_vjp(function, x, variant)
        return result

    def double_vjp(self, x: Any, g: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        """Return the output, the gradient for `g`, and the pullback of that gradient."""
        return self.kit.double_vjp(self._function(lower, upper, **keywords), x, g)

    def jvp(self, x: Any, tangent: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        """Return the output and its tangent."""
        return self.kit.jvp(self._function(lower, upper, **keywords), x, tangent)

    def vmap(self, x: Any, lower: Any, upper: Any, **keywords: Any) -> Any:
        """Return the function mapped over the first axis."""
        return self.kit.vmap(self._function(lower, upper, **keywords), x)

    def layer(self, lower: Any, upper: Any, *, inplace: bool = False, generator: Any = None) -> Any:
        """Build a layer."""
        assert self._layer is not None
        return self._layer(lower, upper, inplace=inplace, generator=generator)


def backend_subject(
    backend: Any,
    kit: Any,
    *,
    capabilities: Capabilities,
    name: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    snippets: Snippets | None = None,
) -> FrameworkSubject:
    """Wrap any `rrelu_compat.Backend` as a `Subject`.

    Parameters
    ----------
    backend : Backend
        What is checked: its ``apply`` and ``layer``. Generators are `rrelu_compat.Generator`.
    kit : object
        The framework's tensors and derivatives, as `FrameworkSubject` describes.
    capabilities : Capabilities
        What is claimed.
    name : str, optional
        The subject's name; the backend's if not given.
    expected_failures, snippets
        As of `FrameworkSubject`.
    """

    def forward(
        x: Any, lower: Any, upper: Any, *, training: bool, inplace: bool, generator: Any
    ) -> Any:
        spec = RReLUSpec(lower, upper, inplace)
        return backend.apply(x, spec, training=training, generator=generator)

    def layer(lower: Any, upper: Any, *, inplace: bool, generator: Any) -> Any:
        return backend.layer(RReLUSpec(lower, upper, inplace), generator)

    return FrameworkSubject(
        name or backend.name,
        kit,
        forward=forward,
        layer=layer,
        generator=Generator,
        capabilities=capabilities,
        expected_failures=expected_failures,
        snippets=snippets,
    )
