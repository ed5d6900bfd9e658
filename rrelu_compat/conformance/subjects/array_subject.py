"""Subjects of arrays without autograd: gradients are those of the drop-in's ``rrelu_vjp``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rrelu_compat.conformance.capabilities import Capabilities
from rrelu_compat.conformance.kit_subject import FrameworkSubject
from rrelu_compat.conformance.programs import Snippets
from rrelu_compat.generator import Generator
from rrelu_compat.spec import RReLUSpec

if TYPE_CHECKING:
    from collections.abc import Callable


class ArraySubject(FrameworkSubject):
    """A subject of a drop-in with ``rrelu``, ``rrelu_vjp`` and ``RReLU``, as `rrelu_compat.numpy`.

    Parameters
    ----------
    name : str
        The library: "numpy".
    kit : object
        Its arrays; see `FrameworkSubject`.
    drop_in, backend : module
        ``rrelu_compat.NAME`` and ``rrelu_compat.backends.NAME``.
    tensor, seed : str
        How failures print an array and the seeding of the default stream.
    dtypes, devices, threads
        As of `Capabilities`.
    """

    def __init__(
        self,
        name: str,
        kit: Any,
        drop_in: Any,
        backend: Any,
        *,
        tensor: str,
        seed: str,
        dtypes: tuple[str, ...],
        devices: tuple[str, ...] = ("cpu",),
        threads: bool = True,
    ) -> None:
        self._drop_in = drop_in
        self._backend = backend

        def layer(lower: Any, upper: Any, *, inplace: bool, generator: Any) -> Any:
            return drop_in.RReLU(lower, upper, inplace, generator=generator)

        ours = f"rrelu_compat.{name}"
        library = "" if name == "numpy" else f"import {name}\n"
        super().__init__(
            name,
            kit,
            forward=drop_in.rrelu,
            layer=layer,
            generator=Generator,
            capabilities=Capabilities(
                dtypes=dtypes,
                devices=devices,
                gradients=True,
                inplace=True,
                layers=True,
                live_bounds=True,
                pickling=True,
                seeding=True,
                global_seeding=True,
                portable_slopes=True,
                manual_seed=True,
                portable_errors=True,
                strided=True,
                memory_format=True,
                device_names=True,
                threads=threads,
            ),
            snippets=Snippets(
                imports=f"{library}import {ours}",
                tensor=tensor,
                seed=seed,
                generator="{name} = rrelu_compat.Generator({seed})",
                forward=f"{{y}} = {ours}.rrelu("
                "{x}, {lower}, {upper}, training={training}{options})",
                vjp=f"{{y}}, pullback_{{y}} = {ours}.rrelu_vjp("
                "{x}, {lower}, {upper}, training={training})",
                pullback="{gx} = pullback_{y}({g})",
                layer=f"{{name}} = {ours}.RReLU({{lower}}, {{upper}}{{options}})",
                show='print("{name} =", {name})',
            ),
        )

    def vjp(
        self, x: Any, lower: Any, upper: Any, *, inplace: bool = False, **keywords: Any
    ) -> tuple[Any, Callable[[Any], Any]]:
        """Return the output and the pullback."""
        if inplace:
            pair: tuple[Any, Any] = self._backend.apply_with_vjp(
                x, RReLUSpec(lower, upper, True), **keywords
            )
        else:
            pair = self._drop_in.rrelu_vjp(x, lower, upper, **keywords)
        return pair
