"""Read and write source files without changing anything else about them."""

from __future__ import annotations

import codecs
import io
import os
import shutil
import stat
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
    SyntaxError, UnicodeDecodeError, ValueError, OSError
        If it is no regular file, can't be read or decoded, or its encoding would change other bytes.
    """
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("it is no regular file")
    data = file.read_bytes()
    mark = data.startswith(codecs.BOM_UTF8)
    if file.suffix == ".ipynb":
        encoding = "utf-8"
    else:
        encoding = tokenize.detect_encoding(io.BytesIO(data).readline)[0]
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    source = Source(data[3 * mark :].decode(encoding), encoding, mark)
    if encoding != "utf-8" and encoded(source, source.text) != data:
        raise ValueError(f"its encoding {encoding} does not give the same bytes back")
    return source


def encoded(source: Source, text: str) -> bytes:
    """Return a text as the bytes of the file that a source came from.

    Raises
    ------
    UnicodeEncodeError
        If the text does not fit the file's encoding.
    """
    return (codecs.BOM_UTF8 if source.mark else b"") + text.encode(source.encoding)


def replace_all(files: list[tuple[Path, bytes]]) -> list[Path]:
    """Give files new contents, all of them or none; each is whole at every moment and keeps its mode.

    Raises
    ------
    OSError
        If one can't be written: nothing is changed then, and what was changed is put back.
    """
    for path, _ in files:
        _check(path)
    temporaries: list[tuple[str, Path]] = []
    before: list[tuple[Path, bytes]] = []
    try:
        for path, data in files:
            temporaries.append((_temporary(path.resolve(), data), path.resolve()))
        for name, target in temporaries:
            before.append((target, target.read_bytes()))
            os.replace(name, target)
    except BaseException:
        for name, _ in temporaries:
            if os.path.exists(name):
                os.unlink(name)
        for target, data in before:
            if target.read_bytes() != data:
                os.replace(_temporary(target, data), target)
        raise
    return [path for path, _ in files]


def _check(path: Path) -> None:
    """Refuse a file that may not be replaced, before anything is."""
    target = path.resolve()
    if path.is_symlink() and path.parent.resolve() not in target.parents:
        raise PermissionError(
            f"{path} is a link to {target}, out of its folder: port that file itself"
        )
    status = target.stat()
    if not status.st_mode & stat.S_IWUSR or not os.access(target, os.W_OK):
        raise PermissionError(f"{path} is read-only: make it writable, or leave it out")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{target.parent} is read-only: {path.name} can't be replaced")
    if status.st_nlink > 1:
        raise PermissionError(f"{path} has other hard links, which would keep the old text")


def _temporary(target: Path, data: bytes) -> str:
    """Write a file beside the one it is to replace, with its mode and owner; return its name."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".rrelu-compat-")
    try:
        with os.fdopen(handle, "wb") as temporary:
            temporary.write(data)
            temporary.flush()
            os.fsync(temporary.fileno())
        shutil.copystat(target, name)  # mode, times and extended attributes
        os.utime(name)
        status = target.stat()
        if hasattr(os, "chown") and (status.st_uid, status.st_gid) != (os.getuid(), os.getgid()):
            os.chown(name, status.st_uid, status.st_gid)
    except BaseException:
        os.unlink(name)
        raise
    return name


_LEFT_OUT = {"__pycache__", "node_modules", "build", "site-packages"}


def walk(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the source files at and below the paths, each once, in order.

    Hidden folders, ``__pycache__``, ``node_modules``, ``build`` and virtual environments are passed over,
    unless named themselves, and so is what is no regular file or can't be looked at.
    """
    seen = set()
    for path in paths:
        for file in [path] if not path.is_dir() else _below(path):
            real = file.resolve()
            if real not in seen:
                seen.add(real)
                yield file


def _below(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        try:
            mode = entry.stat().st_mode
        except (OSError, RuntimeError):  # a link to nothing or to itself
            continue
        if stat.S_ISDIR(mode):
            hidden = entry.name.startswith(".") or entry.name in _LEFT_OUT
            if not (hidden or entry.is_symlink() or (entry / "pyvenv.cfg").exists()):
                yield from _below(entry)
        elif stat.S_ISREG(mode) and entry.suffix in SUFFIXES:
            yield entry
