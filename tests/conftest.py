"""Hypothesis: the same inputs in every run; with RRELU_COMPAT_SEED new ones, and more. Never a deadline."""

import os

from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("fresh", deadline=None, max_examples=300, print_blob=True)
settings.load_profile("fresh" if "RRELU_COMPAT_SEED" in os.environ else "same")
