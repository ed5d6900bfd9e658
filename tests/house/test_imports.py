"""Who may import whom: no circle, and nothing that runs from a lower floor up.

Every import counts, those in functions and those for type checkers alone included.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "rrelu_compat"

#: From the ground up. A module may import what stands on its own floor or below. The longest prefix counts.
FLOORS = [
    ["errors", "layout", "fork"],
    ["spec", "slopes", "generator", "frameworks"],
    ["kernels"],
    ["dispatch", "layers"],
    ["neutral", "foreign", "preload"],
    ["backends"],
    ["torch", "paddle", "numpy", "cupy", "_layer_types", ""],
    ["conformance", "porting"],
    ["cli", "__main__"],
]

#: The imports that go up, and why.
DOORS = {
    (
        "spec",
        "neutral",
    ): "lazy: RReLUSpec.apply, .layer and .from_layer are methods of the data they use",
    ("layers", "neutral"): "for type checkers: every layer is an instance of the neutral RReLU",
    ("neutral", "_layer_types"): "for type checkers: what RReLU(backend=...) returns",
}


def modules(root):
    """Return the files of a package by dotted name, the package's own name left out."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path, package, known):
    """Yield the modules of the package that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            if first != package:
                continue
            while rest and rest not in known:  # a name in a module
                rest = rest.rpartition(".")[0]
            yield rest


def graph(root):
    known = modules(root)
    return {
        name: {other for other in imports(path, root.name, known) if other != name}
        for name, path in known.items()
    }


def floor_of(name):
    best, floor = -1, None
    for height, names in enumerate(FLOORS):
        for prefix in names:
            inside = (
                (prefix == "" and name == "") or name == prefix or name.startswith(f"{prefix}.")
            )
            if prefix == "" and name != "":
                inside = False
            if inside and len(prefix) > best:
                best, floor = len(prefix), height
    assert floor is not None, f"{name} stands on no floor: add it to FLOORS"
    return floor


def circle(edges):
    """Return a circle of imports as a list of names, or None."""
    state, trail = {}, []

    def visit(name):
        state[name] = "open"
        trail.append(name)
        for other in sorted(edges.get(name, ())):
            if state.get(other) == "open":
                return [*trail[trail.index(other) :], other]
            if other not in state and (found := visit(other)):
                return found
        trail.pop()
        state[name] = "done"
        return None

    for name in sorted(edges):
        if name not in state and (found := visit(name)):
            return found
    return None


def without_doors(edges):
    return {name: {o for o in others if (name, o) not in DOORS} for name, others in edges.items()}


def test_there_is_no_circle_of_imports():
    assert circle(without_doors(graph(ROOT))) is None


def test_no_import_goes_up_but_through_the_doors():
    up = [
        f"{name or 'rrelu_compat'} -> {other}"
        for name, others in without_doors(graph(ROOT)).items()
        for other in others
        if floor_of(other) > floor_of(name)
    ]
    assert up == []


def test_every_door_is_used():
    edges = graph(ROOT)
    assert [door for door in DOORS if door[1] not in edges[door[0]]] == []


def test_backends_import_no_other_backend():
    for name, others in graph(ROOT).items():
        parts = name.split(".")
        if parts[0] == "backends" and len(parts) > 1:
            assert {
                o for o in others if o.startswith("backends.") and o.split(".")[1] != parts[1]
            } <= {"backends.arrays"}, name


@pytest.mark.parametrize("hidden", ["function", "typing", "plain"])
def test_a_circle_is_found_wherever_it_is_hidden(tmp_path, hidden):
    root = tmp_path / "package"
    (root / "room").mkdir(parents=True)
    (root / "__init__.py").write_text("")
    (root / "room" / "__init__.py").write_text("")
    (root / "low.py").write_text("from package.room import high\n")
    line = "from package import low\n"
    source = {
        "function": f"def f():\n    {line}",
        "typing": f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    {line}",
        "plain": line,
    }[hidden]
    (root / "room" / "high.py").write_text(source)
    assert circle(graph(root)) == ["low", "room.high", "low"]
