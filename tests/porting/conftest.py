"""Cases of source rewriting as data, and a harness that runs a program before and after.

The files in ``cases`` hold one case after another::

    # case: NAME
    (the program)
    # becomes:
    (the program rewritten; nothing if it stays as it is)
    # by hand: NAME LINE, ...     (only where something is left to a person)

A program that defines ``run(x)`` or ``run(x, training)`` is executed, as it is in its framework and rewritten
in the other, with these names at hand: ``mode(layer, training)``, ``Module``, ``Sequential``.
"""

from __future__ import annotations

import functools
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rrelu_compat.porting import FileReport, port_source

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """A program, what it becomes, and what is left by hand."""

    name: str
    target: str
    source: str
    expected: str
    by_hand: str

    @property
    def origin(self) -> str:
        """The framework it is written for."""
        words = self.name.replace("to neutral: ", "").replace(",", " ").split()
        return words[0]


def _target(file: Path) -> str:
    return file.stem.split("to_")[1].split("_")[0]


def _cases() -> list[Case]:
    found = []
    for file in sorted(CASES.glob("*.txt")):
        for chunk in re.split(r"(?m)^# case: ", file.read_text("utf-8"))[1:]:
            name, _, rest = chunk.partition("\n")
            source, _, result = rest.partition("# becomes:\n")
            match = re.search(r"(?m)^# by hand: (.*)\n\Z", result)
            by_hand = match.group(1) if match else ""
            expected = result[: match.start()] if match else result
            where = file.stem.replace("_", " ")
            found.append(
                Case(f"{where}: {name}", _target(file), source, expected or source, by_hand)
            )
    return found


ALL = _cases()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `case` every case, and `runnable` those that can be executed."""
    for argument, cases in (
        ("case", ALL),
        ("runnable", [case for case in ALL if "def run(" in case.source]),
    ):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, cases, ids=[case.name for case in cases])


@dataclass
class Outcome:
    """What a run gave: its values, the gradient of the input, and the input afterwards."""

    values: list[Any]
    gradient: np.ndarray[Any, Any] | None
    after: np.ndarray[Any, Any]


class Framework:
    """Runs programs on the tensors of one framework."""

    def __init__(self, name: str) -> None:
        self.name = name
        if name == "torch":
            import torch

            self.module: Any = torch
            self.base, self.sequential = torch.nn.Module, torch.nn.Sequential
        else:
            import paddle

            self.module = paddle
            self.base, self.sequential = paddle.nn.Layer, paddle.nn.Sequential

    def leaf(self, array: np.ndarray[Any, Any]) -> Any:
        if self.name == "torch":
            return self.module.tensor(array, requires_grad=True)
        return self.module.to_tensor(array, stop_gradient=False)

    def is_tensor(self, value: Any) -> bool:
        return isinstance(value, self.module.Tensor)

    def array(self, tensor: Any) -> np.ndarray[Any, Any]:
        return np.array(tensor.detach().numpy())

    def _sequential(self, *layers: Any) -> Any:
        named = [layer for layer in layers if isinstance(layer, tuple)]
        if named and self.name == "torch":
            from collections import OrderedDict

            return self.sequential(OrderedDict(named))
        return self.sequential(*layers)

    def namespace(self) -> dict[str, Any]:
        def mode(layer: Any, training: bool) -> Any:
            layer.train() if training else layer.eval()
            return layer

        return {
            "__name__": "case",
            "mode": mode,
            "Module": self.base,
            "Sequential": self._sequential,
            "locate": lambda path: path,
        }

    def load(self, source: str) -> Callable[..., Any]:
        """Execute a program and return its `run`."""
        names = self.namespace()
        exec(compile(source, "<case>", "exec"), names)
        run: Callable[..., Any] = names["run"]
        return run

    def run(self, function: Callable[..., Any], array: Any, training: bool) -> Outcome:
        """Call `run` once: forward, and backward where a tensor with a gradient comes out."""
        leaf = self.leaf(array)
        x = leaf * 1  # not a leaf, so that it may be changed in place
        takes = "training" in inspect.signature(function).parameters
        result = function(x, training) if takes else function(x)
        flat = list(_flatten(result))
        tensors = [one for one in flat if self.is_tensor(one)]
        gradient = None
        if tensors:
            weights = self.module.to_tensor(_weights(array)) if self.name == "paddle" else None
            if weights is None:
                weights = self.module.tensor(_weights(array))
            sum(((one * weights).sum() for one in tensors), start=x.sum() * 0).backward()
            gradient = self.array(leaf.grad)
        values = [self.array(one) if self.is_tensor(one) else one for one in flat]
        return Outcome(values, gradient, self.array(x))


def _weights(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.linspace(0.5, 1.5, array.size, dtype=array.dtype).reshape(array.shape)


def _flatten(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _flatten(one)
    else:
        yield value


@functools.cache
def _ported(source: str, target: str) -> FileReport:
    return port_source(source, target)


@pytest.fixture(scope="session")
def ported() -> Callable[[str, str], FileReport]:
    """Rewrite a source, each only once: `port_source` depends on nothing else."""
    return _ported


@pytest.fixture(scope="session")
def cases() -> list[Case]:
    """Every case."""
    return ALL


@pytest.fixture(scope="session")
def frameworks() -> dict[str, Framework]:
    """Both frameworks, ready to run programs."""
    return {name: Framework(name) for name in ("torch", "paddle")}


@pytest.fixture(scope="session")
def example() -> np.ndarray[Any, Any]:
    """An input without zeros: there the natives' gradients differ from the shim's by design."""
    rng = np.random.default_rng(7)
    values = rng.uniform(0.2, 3.0, (40, 50)) * rng.choice([-1.0, 1.0], (40, 50))
    return values.astype(np.float32)
