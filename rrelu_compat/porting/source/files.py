"""Read and write source files without changing anything else about them."""

from __future__ import annotations

import codecs
import io
import os
import tempfile
import tokenize
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

SUFFIXES = (".py", ".pyi", ".ipynb")


@dataclass(frozen=True)
class Source:
    """The text of a file and how it was encoded."""

    text: str
    encoding: str
    mark: bool  # starts with a byte order mark


def read_source(file: Path) -> Source:
    """Read a Python file or a notebook.

    Raises
    ------
    SyntaxError, UnicodeDecodeError, OSError
        If it can't be decoded or read.
    """
    data = file.read_bytes()
    mark = data.startswith(codecs.BOM_UTF8)
    if file.suffix == ".ipynb":
        encoding = "utf-8"
    else:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    return Source(data[3 * mark :].decode(encoding), encoding, mark)


def write_source(file: Path, source: Source, text: str) -> None:
    """Replace a file's text; the file is whole at every moment and keeps its mode.

    Raises
    ------
    OSError
        If it can't be written.
    UnicodeEncodeError
        If the text does not fit the file's encoding.
    """
    data = (codecs.BOM_UTF8 if source.mark else b"") + text.encode(source.encoding)
    target = file.resolve()  # write through a symbolic link, don't replace it
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(data)
        os.chmod(name, target.stat().st_mode & 0o7777)
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the source files at and below the paths, each once, in order.

    Hidden folders, ``__pycache__``, ``node_modules`` and virtual environments are passed over, unless
    named themselves.
    """
    seen = set()
    for path in paths:
        for file in [path] if not path.is_dir() else _below(path):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            hidden = entry.name.startswith(".") or entry.name in ("__pycache__", "node_modules")
            if not (hidden or entry.is_symlink() or (entry / "pyvenv.cfg").exists()):
                yield from _below(entry)
        elif entry.suffix in SUFFIXES:
            yield entry
