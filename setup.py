"""Build of the compiled CPU kernel, and README as an index shows it; everything else is in pyproject.toml.

The extension is optional: without a C compiler the package installs all the same, and NumPy serves.
"""

from __future__ import annotations

import os
import re
import sys
import sysconfig
from glob import glob
from pathlib import Path

from setuptools import Extension, setup

# One binary for every CPython from 3.10 on; free-threaded builds have no limited API yet.
ABI3 = not sysconfig.get_config_var("Py_GIL_DISABLED")
# The user's flags (CFLAGS) come first, so what changes bits is taken back here. When linking too: GCC
# would add code that flushes subnormal numbers. No contraction: every operation of the definition rounds
# on its own. No instruction set either: the files name theirs function by function and the choice is made
# at run time. No debug symbols: Python is often built with -g, and its flags are taken; they would be seven
# eighths of the binary.
if sys.platform == "win32":
    EXACT = []
    FLAGS = ["/O2", "/fp:precise"]
else:
    EXACT = [
        *("-O3", "-fno-fast-math", "-fno-unsafe-math-optimizations", "-fno-associative-math"),
        *("-fno-reciprocal-math", "-fno-finite-math-only", "-fsigned-zeros"),
    ]
    FLAGS = [
        *EXACT,
        "-g0",
        "-ffp-contract=off",
        "-fno-math-errno",
        "-fno-trapping-math",
        "-std=c11",
    ]


def readme() -> str:
    """Return README with links into the repository: on an index relative ones lead nowhere."""
    here = Path(__file__).parent
    source = re.search(r'^Source = "(.+)"$', (here / "pyproject.toml").read_text("utf-8"), re.M)
    text = (here / "README.md").read_text("utf-8")
    for what, before in (("raw", r"(!\[[^]]*\]\()"), ("blob", r"(?<!!)(\[[^]]*\]\()")):
        text = re.sub(before + r"(?!https?://|#)", rf"\1{source[1]}/{what}/main/", text)
    return text


setup(
    long_description=readme(),
    long_description_content_type="text/markdown",
    ext_modules=[
        Extension(
            "rrelu_compat.kernels._cpu",
            sources=sorted(glob("rrelu_compat/kernels/_cpu*.c")),
            depends=sorted(glob("rrelu_compat/kernels/*.h")),
            define_macros=[("Py_LIMITED_API", "0x030A0000")] if ABI3 else [],
            extra_compile_args=FLAGS,
            extra_link_args=[] if sys.platform == "win32" else ["-pthread", *EXACT],
            py_limited_api=ABI3,
            # Set by tests of the build itself: a broken kernel must not hide behind NumPy there.
            optional="RRELU_COMPAT_REQUIRE_KERNEL" not in os.environ,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp310"}} if ABI3 else {},
)
