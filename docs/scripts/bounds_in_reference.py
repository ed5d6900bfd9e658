"""A griffe extension for the API reference: the defaults of `lower` and `upper` by value.

Functions name them ``LOWER`` and ``UPPER``, and docstrings describe both in one entry, to which only
the first one's default would be attached.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

VALUES = {"LOWER": "1 / 8", "UPPER": "1 / 3"}
BOTH = re.compile(r"^( *)lower, upper : (.*)\n((?:\1 +\S.*\n)+)", re.M)


class BoundsInReference(griffe.Extension):
    """Replace the names by their values, and split the entries."""

    def on_function(self, *, func: griffe.Function, **_: Any) -> None:
        """Replace the defaults of a function."""
        for parameter in func.parameters:
            if str(parameter.default) in VALUES:
                parameter.default = VALUES[str(parameter.default)]

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Split the entry of a docstring."""
        if obj.docstring:
            split = r"\1lower : \2\n\3\1upper : \2\n\3"
            obj.docstring.value = BOTH.sub(split, obj.docstring.value)
