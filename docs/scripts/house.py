"""Draw the package's parts and what may import what: ``docs/assets/house.svg``.

Usage: python docs/scripts/house.py
"""

from __future__ import annotations

import pathlib
from xml.sax.saxutils import escape

ASSET = pathlib.Path(__file__).parents[1] / "assets" / "house.svg"
WIDTH, HEIGHT = 760, 470
BLUE, ORANGE, GREEN, GRAY = "#dbe7f6", "#fbe6cc", "#dff0dc", "#eeeeee"
FONT = 'font-family="Helvetica, Arial, sans-serif"'


def text(x: float, y: float, size: float, line: str, *, more: str = "") -> str:
    """Return a line of text."""
    return f'<text x="{x}" y="{y}" {FONT} font-size="{size}" {more}>{escape(line)}</text>'


def box(x: int, y: int, width: int, height: int, color: str, title: str, *lines: str) -> str:
    """Return a box with a title and lines of text."""
    middle, top = x + width / 2, y + height / 2 - 8 * len(lines) + 5
    shape = f'x="{x}" y="{y}" width="{width}" height="{height}" rx="6"'
    centred = 'text-anchor="middle"'
    return "\n".join(
        [
            f'<rect {shape} fill="{color}" stroke="#555"/>',
            text(middle, top, 13.5, title, more=f'{centred} font-weight="bold"'),
            *(
                text(middle, top + 17 * n, 12.5, line, more=centred)
                for n, line in enumerate(lines, 1)
            ),
        ]
    )


def arrow(x1: int, y1: int, x2: int, y2: int) -> str:
    """Return an arrow: the box at its start imports the one at its end."""
    ends = f'x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}"'
    return f'<line {ends} stroke="#333" stroke-width="1.4" marker-end="url(#head)"/>'


HEAD = f"""\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">
<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0L10 5L0 10z" fill="#333"/></marker></defs>
<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>
"""
NOTES = (
    "An arrow points at what is imported; a backend only when a tensor or layer of it is met.",
    "No backend imports another; the core imports no framework; kernels know pointers, not tensors.",
)


def drawing() -> str:
    """Return the drawing as SVG."""
    public = "RReLU, rrelu, RReLUSpec, Generator, manual_seed, slopes"
    columns = (20, 190, 360)
    parts = [box(20, 20, 490, 62, BLUE, "rrelu_compat", public)]
    for x, name in zip(columns, ("numpy", "torch", "paddle"), strict=True):
        mechanics = "arrays" if name == "numpy" else "tensors, autograd"
        parts += [
            box(x, 120, 150, 66, BLUE, f"rrelu_compat.{name}", "drop-in"),
            box(x, 224, 150, 66, ORANGE, f"backends/{name}", mechanics),
            *(arrow(x + 75, y, x + 75, y + 36) for y in (82, 186)),
        ]
    parts += [
        box(
            20,
            328,
            235,
            66,
            GREEN,
            "kernels",
            "rrelu.h: AVX-512, AVX2, C, CUDA;",
            "the same in NumPy",
        ),
        box(
            275,
            328,
            235,
            66,
            GREEN,
            "core",
            "spec, slopes (the definition),",
            "generator, dispatch, layers",
        ),
        *(arrow(x, 290, x, 326) for x in (95, 235, 295, 435)),
        box(
            570,
            120,
            170,
            100,
            GRAY,
            "conformance",
            "checks, subjects,",
            "runner, report,",
            "pytest plugin",
        ),
        box(
            570,
            270,
            170,
            100,
            GRAY,
            "porting",
            "rewriting rules,",
            "report; swap,",
            "copy, compare",
        ),
        arrow(570, 153, 513, 153),
        arrow(570, 350, 513, 350),
        *(text(20, 428 + 20 * n, 12.5, line) for n, line in enumerate(NOTES)),
    ]
    return HEAD + "\n".join(parts) + "\n</svg>\n"


if __name__ == "__main__":
    ASSET.write_text(drawing(), encoding="utf-8")
