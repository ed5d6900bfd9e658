"""Random small projects that reach RReLU in roundabout ways, and a harness that runs them before and after.

A project is two to five files. Its ``main`` returns values; a port is silent about a difference if its
report is complete and the ported program, with every other name of the framework converted, gives
something else.
"""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

import rrelu_compat
from rrelu_compat.porting import port_paths, write

if TYPE_CHECKING:
    from pathlib import Path

SPEAKS = {"torch": ("torch", "input"), "paddle": ("paddle", "x")}


@dataclass
class Thing:
    """What a file can hand on: how it is reached there, and whether it is a function or a module."""

    name: str
    kind: (
        str  # "function", "class", "module" (the functional one), "layers" (the other one), "file"
    )
    inside: list[Thing] = field(default_factory=list)


class Maker:
    """Makes one project from a seed."""

    def __init__(self, seed: int, framework: str, prefix: str) -> None:
        self.draw = random.Random(seed)
        self.framework = framework
        self.prefix = prefix
        self.kinds: set[str] = set()
        self.count = 0
        self.config = False
        self.package = self.draw.random() < 0.3

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
            "class import",
            "class under another name",
            "layers import",
            "layers assigned",
        )
        name = self.fresh("f")
        if kind == "function import":
            return [f"from {functional} import rrelu"], [Thing("rrelu", "function")]
        if kind == "function under another name":
            return [f"from {functional} import rrelu as {name}"], [Thing(name, "function")]
        layers = f"{fw}.nn"
        if kind == "class import":
            return [f"from {layers} import RReLU"], [Thing("RReLU", "class")]
        if kind == "class under another name":
            return [f"from {layers} import RReLU as {name}"], [Thing(name, "class")]
        if kind == "layers import":
            return [f"import {layers} as {name}"], [Thing(name, "layers")]
        if kind == "layers assigned":
            return [f"import {fw}", f"{name} = {layers}"], [Thing(name, "layers")]
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
        whole = f"import {source} as"
        if self.package:
            self.kinds.add("package")
            whole = f"from . import {source} as" if source else ""
            source = f".{source}"
            if not whole and kind == "file":
                kind = "from"
        if kind == "from":
            return [f"from {source} import {thing.name}"], [thing]
        name = self.fresh("g")
        if kind == "renamed":
            lines = [f"from {source} import {thing.name} as {name}"]
            return lines, [Thing(name, thing.kind, thing.inside)]
        if kind == "star of the project":
            return [f"from {source} import *"], things
        return [f"{whole} {name}"], [Thing(name, "file", things)]

    def expression(self, thing: Thing) -> str:
        """Return an expression for the function."""
        if thing.kind in ("function", "class"):
            return thing.name
        if thing.kind == "file":
            inner = self.draw.choice(thing.inside)
            return f"{thing.name}.{self.expression(inner)}"
        what = "RReLU" if thing.kind == "layers" else "rrelu"
        form = self.pick(
            "attribute",
            "attribute",
            "getattr",
            "getattr of a configured name",
            "dynamic getattr",
            "vars",
            "__dict__",
        )
        if form == "getattr":
            return f'getattr({thing.name}, "{what}")'
        if form == "getattr of a configured name":
            self.config = True
            return f'getattr({thing.name}, CONFIG["{what}"])'
        if form == "dynamic getattr":
            return (
                f'getattr({thing.name}, f"{{KIND}}{what[3:]}")'
                if what == "rrelu"
                else f"{thing.name}.RReLU"
            )
        if form == "vars":
            return f'vars({thing.name})["{what}"]'
        if form == "__dict__":
            return f'{thing.name}.__dict__["{what}"]'
        return f"{thing.name}.{what}"

    def innermost(self, thing: Thing) -> tuple[str, str]:
        """Return an expression for the function or the class, and which of both it is."""
        end = thing
        path = [thing.name]
        while end.kind == "file":
            end = self.draw.choice(end.inside)
            path.append(end.name)
        text = self.expression(Thing(".".join(path), end.kind))
        return text, "class" if end.kind in ("class", "layers") else "function"

    def layer(self, act: str) -> tuple[list[str], str]:
        """Return a definition that uses the class, and an expression of its value for ``x``."""
        name = self.fresh("layer")
        kind = self.pick(
            "built", "third positional", "subclass", "isinstance", "type in a list", "type", "factory",
            "hint", "attribute of self",
        )  # fmt: skip
        made = [f"{name} = {act}(0.1, 0.3)", f"{name}.eval()"]
        if kind == "third positional":
            third = "False" if self.framework == "torch" else "None"
            return [f"{name} = {act}(0.2, 0.2, {third})"], f"{name}(x)"
        if kind == "subclass":
            lines = [f"class Sub{name}({act}):", "    def forward(self, x):"]
            lines += ["        return super().forward(x)", f"{name} = Sub{name}(0.1, 0.3)"]
            return [*lines, f"{name}.eval()"], f"{name}(x)"
        if kind == "isinstance":
            return made, f"({name}(x) if isinstance({name}, {act}) else x)"
        if kind == "type in a list":
            lines = [*made, f"LIST{name} = [{act}]"]
            return lines, f"({name}(x) if type({name}) in LIST{name} else x)"
        if kind == "type":
            return made, f"({name}(x) if type({name}) is {act} else x)"
        if kind == "factory":
            lines = [f"def make{name}(cls, *args):", "    return cls(*args).eval() or cls(*args)"]
            lines = [f"def make{name}(cls, *args):", "    return cls(*args)"]
            return lines, f"make{name}({act}, 0.2, 0.2)(x)"
        if kind == "hint":
            return [
                f"def go{name}(x, layer: {act} = {act}(0.2, 0.2)):",
                "    return layer(x)",
            ], f"go{name}(x)"
        if kind == "attribute of self":
            lines = [f"class Holder{name}:", "    def __init__(self):"]
            lines += [f"        self.act = {act}(0.2, 0.3)", "        self.act.eval()"]
            low = "lower" if self.framework == "torch" else "_lower"
            lines += ["    def go(self, x):", f"        return x * self.act.{low} + self.act(x)"]
            return lines, f"Holder{name}().go(x)"
        return made, f"{name}(x)"

    def use(self, thing: Thing) -> tuple[list[str], str]:
        """Return a definition and an expression of its value for ``x``."""
        act, what = self.innermost(thing)
        if what == "class":
            return self.layer(act)
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

    def project(self) -> tuple[dict[str, str], str]:
        """Return the files and the one that has ``main(x)``."""
        names = [f"{self.prefix}{index}" for index in range(self.draw.randint(2, 5))]
        files: dict[str, str] = {}
        had: dict[str, list[Thing]] = {}
        folder = f"{self.prefix}package/" if self.package else ""
        if self.package:
            files[f"{folder}__init__.py"] = ""
        for index, name in enumerate(names):
            if index == 0 or self.draw.random() < 0.2:
                lines, things = self.base()
            else:
                source = self.draw.choice(list(had))
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
            if any("CONFIG" in one for one in [*lines, *results]):
                lines[:0] = [
                    "import json, pathlib",
                    f'FILE = pathlib.Path(__file__).with_name("{self.prefix}.json")',
                    "CONFIG = json.loads(FILE.read_text())",
                ]
                files[f"{folder}{self.prefix}.json"] = '{"rrelu": "rrelu", "RReLU": "RReLU"}\n'
            if not last and self.draw.random() < 0.2 and not any("*" in one for one in lines):
                self.kinds.add("__all__")
                lines.append(f"__all__ = {[one.name for one in things]!r}")
            lines += ["def main(x):", f"    return [{', '.join(results)}]"]
            files[f"{folder}{name}.py"] = "\n".join(lines) + "\n"
            if self.package and index == 0 and self.draw.random() < 0.5:
                handed, there = self.hand_on(name, things)
                files[f"{folder}__init__.py"] = "\n".join(handed) + "\n"
                had[""] = there
        main = f"{folder}{names[-1]}.py"
        if not self.package and self.draw.random() < 0.2:
            self.kinds.add("notebook")
            files[main.replace(".py", ".ipynb")] = _notebook(files.pop(main))
            main = main.replace(".py", ".ipynb")
        return files, main


def _notebook(program: str) -> str:
    """Return a program as a notebook, its definitions in cells of their own."""
    parts = re.split(r"(?m)^(?=def main|class )", program)
    cells = [
        {"cell_type": "code", "metadata": {}, "source": part.splitlines(keepends=True)}
        for part in parts
        if part
    ]
    return json.dumps(
        {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1
    )


def _main(folder: Path, main: str) -> Any:
    """Import or execute the file that has ``main`` and return that."""
    if main.endswith(".ipynb"):
        names: dict[str, Any] = {"__name__": "notebook", "__file__": str(folder / main)}
        for cell in json.loads((folder / main).read_text())["cells"]:
            exec("".join(cell["source"]), names)
        return names["main"]
    return importlib.import_module(main.removesuffix(".py").replace("/", ".")).main


def values(folder: Path, main: str, framework: str) -> Any:
    """Run a project's ``main`` twice; return what it gives, None where it is random."""
    module = importlib.import_module(framework)
    make = module.tensor if framework == "torch" else module.to_tensor
    x = make(-np.linspace(0.5, 2.0, 64, dtype=np.float32))
    sys.path.insert(0, str(folder))
    importlib.invalidate_caches()
    try:
        function = _main(folder, main)
        runs = [list(_flat(function(x))) for _ in range(2)]
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.startswith(main.split("_")[0] + "_")]:
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
    files, main = maker.project()
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    shown = json.dumps(files, indent=1).replace("\\n", "\n    ")
    try:
        before = values(folder, main, source)
    except (ImportError, AttributeError, NameError, TypeError, ValueError, KeyError):
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
    rrelu_compat.set_default_backend(runs_in)
    try:
        after = values(folder, main, runs_in)
    except Exception as error:
        after = f"{type(error).__name__}: {error}"
    rrelu_compat.set_default_backend(None)
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
