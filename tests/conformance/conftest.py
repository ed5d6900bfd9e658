"""Makes the adapters importable by name, as pickling needs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
