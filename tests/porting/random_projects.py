"""Random small projects that reach RReLU in roundabout ways, and a harness that runs them before and after.

A project is two to five files. Its ``main`` returns values; a port is silent about a difference if its report is
complete and the ported program, with every other name of the framework converted, gives something else.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import rrelu_compat
from rrelu_compat.porting import port_paths, write

SPEAKS = {"torch": ("torch", "input"), "paddle": ("paddle", "x")}


@dataclass
class Thing:
    """What a file can hand on: how it is reached there, and whether it is a function or a module."""

    name: str
    kind: str  # "function", "module" (the functional one), "file"
    inside: list[Thing] = field(default_factory=list)


class Maker:
    """Makes one project from a seed."""

    def __init__(self, seed: int, framework: str, prefix: str) -> None:
        self.draw = random.Random(seed)
        self.framework = framework
        self.prefix = prefix
        self.kinds: set[str] = set()
        self.count = 0

    def fresh(self, stem: str) -> str:
        self.count += 1
        return f"{stem}{self.count}"

    def pick(self, *names: str) -> str:
        found = self.draw.choice(names)
        self.kinds.add(found)
        return found

    def base(self) -> tuple[list[str], list[Thing]]:
        """Return lines that bind RReLU's function or its module, and what they bind."""
        fw, functional = self.framework, f"{self.framework}.nn.functional"
        kind = self.pick(
            "function import",
            "function under another name",
            "module import",
            "module from package",
            "module assigned",
            "star",
            "star of functions",
            "unpacked",
        )
        name = self.fresh("f")
        if kind == "function import":
            return [f"from {functional} import rrelu"], [Thing("rrelu", "function")]
        if kind == "function under another name":
            return [f"from {functional} import rrelu as {name}"], [Thing(name, "function")]
        if kind == "module import":
            return [f"import {functional} as {name}"], [Thing(name, "module")]
        if kind == "module from package":
            return [f"from {fw}.nn import functional as {name}"], [Thing(name, "module")]
        if kind == "module assigned":
            return [f"import {fw}", f"{name} = {functional}"], [Thing(name, "module")]
        if kind == "unpacked":
            lines = [f"import {fw}", f"{name}, other{name} = {functional}, None"]
            return lines, [Thing(name, "module")]
        if kind == "star":
            return [f"import {fw}.nn", f"from {functional} import *"], [Thing("rrelu", "function")]
        return [f"from {functional} import *", f"{name} = rrelu"], [Thing(name, "function")]

    def hand_on(self, source: str, things: list[Thing]) -> tuple[list[str], list[Thing]]:
        """Return lines that take things from another file, and what is had then."""
        thing = self.draw.choice(things)
        kind = self.pick("from", "renamed", "star of the project", "file")
        if kind == "from":
            return [f"from {source} import {thing.name}"], [thing]
        name = self.fresh("g")
        if kind == "renamed":
            lines = [f"from {source} import {thing.name} as {name}"]
            return lines, [Thing(name, thing.kind, thing.inside)]
        if kind == "star of the project":
            return [f"from {source} import *"], things
        return [f"import {source} as {name}"], [Thing(name, "file", things)]

    def expression(self, thing: Thing) -> str:
        """Return an expression for the function."""
        if thing.kind == "function":
            return thing.name
        if thing.kind == "file":
            inner = self.draw.choice(thing.inside)
            return f"{thing.name}.{self.expression(inner)}"
        form = self.pick("attribute", "attribute", "getattr", "dynamic getattr", "vars", "__dict__")
        if form == "getattr":
            return f'getattr({thing.name}, "rrelu")'
        if form == "dynamic getattr":
            return f'getattr({thing.name}, f"{{KIND}}lu")'
        if form == "vars":
            return f'vars({thing.name})["rrelu"]'
        if form == "__dict__":
            return f'{thing.name}.__dict__["rrelu"]'
        return f"{thing.name}.rrelu"

    def use(self, thing: Thing) -> tuple[list[str], str]:
        """Return a definition and an expression of its value for ``x``."""
        act = self.expression(thing)
        name = self.fresh("use")
        more = self.draw.choice(["", "", ", training=False", ", 0.1, 0.3, False", ", lower=0.2"])
        if self.draw.random() < 0.2:
            more = ", training=True"
        kind = self.pick(
            "call", "alias", "default", "class body", "table", "partial", "method", "self", "walrus",
            "identity", "wraps", "map", "lambda", "rebound in a class", "attribute of a class",
        )  # fmt: skip
        call = f"{act}(x{more})"
        if kind == "call":
            return [f"def {name}(x):", f"    return {call}"], f"{name}(x)"
        if kind == "alias":
            return [f"{name} = {act}"], f"{name}(x{more})"
        if kind == "default":
            return [f"def {name}(x, act={act}):", f"    return act(x{more})"], f"{name}(x)"
        if kind == "class body":
            lines = [f"class {name}:", f"    act = staticmethod({act})"]
            return lines, f"{name}().act(x{more})"
        if kind == "table":
            return [f'{name} = {{"a": {act}, {act}: 1}}'], f'{name}["a"](x{more})'
        if kind == "partial":
            lines = ["import functools", f"{name} = functools.partial({act}, lower=0.1)"]
            return lines, f"{name}(x)"
        if kind == "method":
            lines = [f"class {name}:", "    def go(self, x):", f"        return {call}"]
            return lines, f"{name}().go(x)"
        if kind == "self":
            whole = thing.name if thing.kind == "module" else act
            after = ".rrelu" if thing.kind == "module" else ""
            lines = [f"class {name}:", "    def __init__(self):", f"        self.act = {whole}"]
            lines += ["    def go(self, x):", f"        return self.act{after}(x{more})"]
            return lines, f"{name}().go(x)"
        if kind == "walrus":
            lines = [f"[({name} := one) for one in [{act}]]"]
            return lines, f"{name}(x{more})"
        if kind == "identity":
            return [f"{name} = [{act}]"], f"({call} if {act} in {name} else x)"
        if kind == "wraps":
            lines = ["import functools", f"@functools.wraps({act})"]
            lines += [f"def {name}(x):", f"    return {call}"]
            return lines, f"({name}(x), {name}.__name__)"
        if kind == "map":
            return [], f"list(map({act}, [x, x]))"
        if kind == "lambda":
            return [f"{name} = lambda x, f={act}: f(x{more})"], f"{name}(x)"
        if kind == "rebound in a class" and thing.kind == "function":
            lines = [f"class {name}:", f"    {thing.name} = staticmethod({thing.name})"]
            return lines, f"{name}.{thing.name}(x{more})"
        if kind == "attribute of a class" and thing.kind == "module":
            return [f"class {name}:", f"    mod = {thing.name}"], f"{name}.mod.rrelu(x{more})"
        return [f"def {name}(x):", f"    return {call}"], f"{name}(x)"

    def project(self) -> dict[str, str]:
        """Return the files, the last one with ``main(x)``."""
        names = [f"{self.prefix}{index}" for index in range(self.draw.randint(2, 5))]
        files: dict[str, str] = {}
        had: dict[str, list[Thing]] = {}
        for index, name in enumerate(names):
            if index == 0 or self.draw.random() < 0.2:
                lines, things = self.base()
            else:
                source = self.draw.choice(names[:index])
                lines, things = self.hand_on(source, had[source])
            if self.draw.random() < 0.2:
                more, others = self.base()
                if not {one.name for one in others} & {one.name for one in things}:
                    lines, things = lines + more, things + others
            had[name] = things
            last = index == len(names) - 1
            lines.append('KIND = "rre"')
            results = []
            for _ in range(self.draw.randint(1, 3) if last else self.draw.randint(0, 1)):
                defined, value = self.use(self.draw.choice(things))
                lines += defined
                results.append(value)
            if not last and self.draw.random() < 0.2 and not any("*" in one for one in lines):
                self.kinds.add("__all__")
                lines.append(f"__all__ = {[one.name for one in things]!r}")
            lines += ["def main(x):", f"    return [{', '.join(results)}]"]
            files[f"{name}.py"] = "\n".join(lines) + "\n"
        return files


def values(folder: Path, main: str, framework: str) -> Any:
    """Run a project's ``main`` twice; return what it gives, None where it is random."""
    module = importlib.import_module(framework)
    make = module.tensor if framework == "torch" else module.to_tensor
    x = make(-np.linspace(0.5, 2.0, 64, dtype=np.float32))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        runs = [list(_flat(importlib.import_module(main).main(x))) for _ in range(2)]
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith(main[:-1])]:
            del sys.modules[name]
    return [one if str(one) == str(two) else None for one, two in zip(*runs, strict=True)]


def _flat(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, str):
        yield value
    else:
        yield value.numpy().round(5).tolist()


def verdict(seed: int, source: str, target: str, folder: Path) -> tuple[str, set[str], str]:
    """Return "same", "by hand", "useless" or "silent", the kinds in the project, and its text."""
    maker = Maker(seed, source, f"p{seed}{source[0]}{target[0]}_")
    files = maker.project()
    for name, text in files.items():
        (folder / name).write_text(text)
    main = list(files)[-1].removesuffix(".py")
    shown = json.dumps(files, indent=1).replace("\\n", "\n    ")
    try:
        before = values(folder, main, source)
    except (ImportError, AttributeError, NameError, TypeError, ValueError):
        return "useless", maker.kinds, shown
    report = port_paths([folder], target)
    write(report)
    other = {"torch": "paddle", "paddle": "torch"}[source]
    runs_in = other if target == "neutral" else target
    for name in files:  # what a general converter does with all other names
        text = (folder / name).read_text()
        if target != "neutral":
            text = re.sub(rf"(?<!rrelu_compat\.)\b{source}\b", runs_in, text)
        else:
            text = re.sub(rf"\b{source}\b", runs_in, text)
        (folder / name).write_text(text)
    try:
        after = values(folder, main, runs_in)
    except Exception as error:
        after = f"{type(error).__name__}: {error}"
    shown += f"\nbefore {str(before)[:300]}\nafter {str(after)[:300]}\n{report}"
    shown += "".join(f"\n--- {name}\n{(folder / name).read_text()}" for name in files)
    if _equal(before, after):
        return "same", maker.kinds, shown
    return ("silent" if report.complete else "by hand"), maker.kinds, shown


def _equal(before: Any, after: Any) -> bool:
    if not isinstance(after, list) or len(before) != len(after):
        return False
    return all(
        (one is None and two is None)
        or one == two
        or (isinstance(one, list) and isinstance(two, list) and np.allclose(one, two, atol=2e-5))
        for one, two in zip(before, after, strict=True)
    )


rrelu_compat.set_default_backend(None)
