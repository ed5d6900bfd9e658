"""Makes the adapters importable by name, as pickling needs, and the scripts that write the pages."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "docs" / "scripts")]
