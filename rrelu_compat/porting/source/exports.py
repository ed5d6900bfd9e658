"""The files of a project: which module is which file, and what one file takes from another."""

from __future__ import annotations

import re
import sys
from functools import cached_property
from typing import TYPE_CHECKING

from rrelu_compat.porting.source.files import read_source
from rrelu_compat.porting.source.mentions import mentions
from rrelu_compat.porting.source.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# Names looked up in a framework's module, and attributes that only Paddle's layer has.
_LOOK_UP = re.compile(r"\bgetattr\s*\(|\b__dict__\b|\bvars\s*\(")
_CLASS_AS = re.compile(r"\bRReLU\s+as\s+(\w+)|^(\w+)\s*=\s*[\w.]*\bRReLU\s*$", re.M)
_ATTRIBUTE = re.compile(r"\b_(?:lower|upper)\b")


class Project:
    """What is known of the files around the one that is rewritten, each read once and when asked for.

    Parameters
    ----------
    given : iterable of Path
        The files of this run: their imports are rewritten, too.
    roots : iterable of Path
        The folders that the run was given, from which modules may be imported.
    """

    def __init__(self, given: Iterable[Path] = (), roots: Iterable[Path] = ()) -> None:
        self.given = {file.resolve() for file in given}
        self.roots = [root.resolve() for root in roots]
        self.active: set[tuple[Path, str]] = set()  # against files that import each other
        self.resolvers: dict[Path, object] = {}
        self._trees: dict[Path, Tree | None] = {}
        self._texts: dict[Path, str] = {}
        self._found: dict[tuple[Path, str], Path | None] = {}

    def tree(self, file: Path) -> Tree | None:
        """Return a file's syntax tree, None if it can't be read or parsed."""
        if file not in self._trees:
            try:
                self._trees[file] = Tree(self.text(file))
            except (SyntaxError, ValueError, RecursionError):
                self._trees[file] = None
        return self._trees[file]

    def text(self, file: Path) -> str:
        """Return a file's text, "" if it can't be read."""
        if file not in self._texts:
            try:
                self._texts[file] = read_source(file).text
            except (SyntaxError, ValueError, OSError, LookupError):
                self._texts[file] = ""
        return self._texts[file]

    @cached_property
    def builds_paddle_layers(self) -> bool:
        """Whether a file of the run may build Paddle's RReLU."""
        return any("paddle" in self.text(file) and mentions(self.text(file)) for file in self.given)

    @cached_property
    def _other_names(self) -> re.Pattern[str] | None:
        """The names under which files of the run hand the class on."""
        texts = [text for file in self.given if mentions(text := self.text(file))]
        found = {
            name for text in texts for pair in _CLASS_AS.findall(text) for name in pair if name
        }
        while found:
            names = "|".join(map(re.escape, sorted(found)))
            again = re.compile(
                rf"\b(?:{names})\s+as\s+(\w+)|^(\w+)\s*=\s*[\w.]*\b(?:{names})\s*$", re.M
            )
            more = {
                name
                for file in self.given
                for pair in again.findall(self.text(file))
                for name in pair
                if name
            }
            if more <= found:
                return re.compile(rf"\b(?:{names})\b")
            found |= more
        return None

    def concerned(self, text: str, to: str) -> bool:
        """Whether a file that does not name RReLU may reach it all the same."""
        if _LOOK_UP.search(text) or (_ATTRIBUTE.search(text) and self.builds_paddle_layers):
            return True
        return to == "neutral" and bool(self._other_names and self._other_names.search(text))

    def is_given(self, file: Path) -> bool:
        """Whether a file is one of this run."""
        return file.resolve() in self.given

    def taken(self, file: Path, name: str) -> bool:
        """Whether another file of the run may take a name from one, as far as their words say."""
        stem = file.parent.name if file.stem == "__init__" else file.stem
        word = re.compile(rf"\b{re.escape(name)}\b")
        home = re.compile(rf"\b{re.escape(stem)}\b")
        own = file.resolve()
        for other in self.given:
            if other == own:
                continue
            text = self.text(other)
            if stem in text and home.search(text) and ("*" in text or word.search(text)):
                if word.search(text) or re.search(r"\bimport\s*\*", text):
                    return True
        return False

    def starred(self, file: Path) -> bool:
        """Whether another file of the run has a star import of one."""
        stem = file.parent.name if file.stem == "__init__" else file.stem
        dots = r"|\.+" if file.stem == "__init__" else ""
        pattern = re.compile(rf"\bfrom\s+(?:[\w.]*\b{re.escape(stem)}{dots})\s+import\s*\(?\s*\*")
        own = file.resolve()
        return any(pattern.search(self.text(one)) for one in self.given if one != own)

    def spoken_of(self, word: str, besides: Path | None) -> bool:
        """Whether a word stands in another file of the run."""
        pattern = re.compile(rf"\b{re.escape(word)}\b")
        own = besides.resolve() if besides is not None else None
        return any(
            word in self.text(other) and pattern.search(self.text(other))
            for other in self.given
            if other != own
        )

    def find(self, importer: Path, module: str) -> Path | None:
        """Return the file of a module as seen from the file that imports it, or None."""
        key = (importer, module)
        if key not in self._found:
            self._found[key] = self._find(importer, module)
        return self._found[key]

    def _find(self, importer: Path, module: str) -> Path | None:
        dots = len(module) - len(module.lstrip("."))
        parts = [part for part in module[dots:].split(".") if part]
        folder = importer.parent
        if dots:
            for _ in range(dots - 1):
                folder = folder.parent
            return _module_file(folder, parts)
        # Above the outermost package lies what the interpreter searches; a script finds its neighbours.
        while True:
            found = _module_file(folder, parts)
            if found is not None:
                return found
            if not (folder / "__init__.py").exists() or folder.parent == folder:
                break
            folder = folder.parent
        if is_standard(module):
            return None
        candidates = self._modules.get(module, set())
        return next(iter(candidates)) if len(candidates) == 1 else None

    @cached_property
    def _modules(self) -> dict[str, set[Path]]:
        """The given files by the names under which they may be imported."""
        found: dict[str, set[Path]] = {}
        for file in self.given:
            if file.suffix != ".py":
                continue
            root = file.parent
            while (root / "__init__.py").exists() and root.parent != root:
                root = root.parent
            for base in {root, *self.roots, *(one / "src" for one in self.roots)}:
                if base in file.parents:
                    parts = file.relative_to(base).with_suffix("").parts
                    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                    found.setdefault(name, set()).add(file)
        return found


def _module_file(folder: Path, parts: list[str]) -> Path | None:
    place = folder.joinpath(*parts)
    for candidate in (place / "__init__.py", place.with_name(place.name + ".py")):
        if parts and candidate.is_file():
            return candidate
    return place / "__init__.py" if (place / "__init__.py").is_file() else None


def is_standard(module: str) -> bool:
    """Whether a module belongs to the standard library, which has no RReLU."""
    return module.split(".", 1)[0] in sys.stdlib_module_names
