"""Draw the figure of the porting guide: do what the page says and keep the plot that it makes.

python docs/scripts/porting_guide.py      writes docs/assets/compared.svg
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1]
FILE = re.compile(r'^```python title="([^"]+)"\n(.*?)^```', re.M | re.S)


def main() -> None:
    """Write the files of the page, train, port and compare."""
    with tempfile.TemporaryDirectory() as work:
        for name, code in FILE.findall((DOCS / "porting.md").read_text("utf-8")):
            (Path(work) / name).parent.mkdir(exist_ok=True)
            (Path(work) / name).write_text(code, "utf-8")
        environment = {**os.environ, "PYTHONPATH": str(DOCS.parent)}
        for command in (
            ["train.py"],
            ["-m", "rrelu_compat", "port", "model", "--to", "neutral", "--write"],
            ["prove.py"],
        ):
            subprocess.run([sys.executable, *command], check=True, cwd=work, env=environment)
        shutil.copy(Path(work) / "compared.svg", DOCS / "assets" / "compared.svg")


if __name__ == "__main__":
    main()
