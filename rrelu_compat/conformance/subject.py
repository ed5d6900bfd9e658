"""The `Subject` protocol: what the suite needs of an RReLU to check it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rrelu_compat.conformance.capabilities import METHODS, Capabilities, method_of

if TYPE_CHECKING:
    import numpy as np

_NEEDED = ("name", "capabilities", "from_numpy", "to_numpy", "forward")


class SubjectError(Exception):
    """A subject that can't be found, loaded or used."""


@runtime_checkable
class Subject(Protocol):
    """An RReLU to be checked. Tensors are whatever its framework uses; `device` is one of its own.

    `vjp` and `layer` are only needed by subjects whose capabilities claim them. Other optional methods,
    each needed by the capability of the same line in `rrelu_compat.conformance.capabilities.METHODS`::

        generator(seed)        an object that the methods below take as generator=
        seed(n)                seed the stream that is used without a generator
        strides(tensor)        its strides, in elements
        device_of(tensor)      the name of its device
        gradient(x, g, lower, upper, *, training, inplace=False, generator=None)
                               (y, gx) at once, instead of vjp, for the claim whole_gradients
        recomputed_vjp(x, lower, upper, *, training, variant, generator=None)
                               like vjp, the forward repeated when the gradient is asked for
        double_vjp(x, g, lower, upper, *, training, generator=None)
                               (y, gx, pullback2): the gradient gx of y for g, and the function that
                               maps h to the gradient of sum(gx * h) for g
        jvp(x, tangent, lower, upper, *, training, generator=None)      (y, tangent of y)
        vmap(x, lower, upper, *, training, generator=None)              y, mapped over the first axis

    and two optional attributes: ``expected_failures``, a mapping of case ids to reasons, and
    ``snippets``, a `Snippets` that prints failures as programs of the subject's own framework.
    """

    name: str
    capabilities: Capabilities

    def from_numpy(self, array: np.ndarray[Any, Any], *, device: str) -> Any:
        """Return a tensor with the values, shape and dtype of `array`, in memory of its own."""

    def to_numpy(self, tensor: Any) -> np.ndarray[Any, Any]:
        """Return the values of a tensor, as a copy; bfloat16 is that of ``ml_dtypes``."""

    def forward(
        self,
        x: Any,
        lower: float,
        upper: float,
        *,
        training: bool,
        inplace: bool = False,
        generator: Any = None,
    ) -> Any:
        """Return RReLU of `x`; `x` itself if `inplace`."""

    def vjp(
        self,
        x: Any,
        lower: float,
        upper: float,
        *,
        training: bool,
        inplace: bool = False,
        generator: Any = None,
    ) -> tuple[Any, Any]:
        """Return ``(y, pullback)``; ``pullback(g)`` is the gradient of ``sum(y * g)`` for `x`."""

    def layer(
        self, lower: float, upper: float, *, inplace: bool = False, generator: Any = None
    ) -> Any:
        """Build a layer: callable, with ``train()``, ``eval()`` and ``training``, training at first."""


def validate(subject: Any, origin: str) -> Any:
    """Return `subject` if it has what the protocol and its capabilities need.

    Raises
    ------
    SubjectError
        If it lacks something, with what and why.
    """
    for attribute in _NEEDED:
        if not hasattr(subject, attribute):
            raise SubjectError(f"subject {origin}: {subject!r} lacks {attribute}")
    if not isinstance(subject.name, str) or not subject.name:
        raise SubjectError(f"subject {origin}: name={subject.name!r} is not a string")
    if not isinstance(subject.capabilities, Capabilities):
        raise SubjectError(f"subject {origin}: capabilities={subject.capabilities!r}: Capabilities")
    for claim in METHODS:
        method = method_of(claim, subject.capabilities)
        if subject.capabilities.offers(claim) and not callable(getattr(subject, method, None)):
            raise SubjectError(f"subject {origin}: claims {claim} but has no {method}()")
    expected = getattr(subject, "expected_failures", {})
    if not isinstance(expected, Mapping) or not all(
        isinstance(reason, str) and reason.strip() for reason in expected.values()
    ):
        raise SubjectError(f"subject {origin}: expected_failures must map case ids to reasons")
    return subject
