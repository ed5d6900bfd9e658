"""``python -m rrelu_compat``."""

import sys

from rrelu_compat.cli import main

sys.exit(main())
