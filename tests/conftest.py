"""Hypothesis profiles: deterministic by default, larger for the slow set; never a deadline."""

import os

from hypothesis import settings

settings.register_profile("default", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("slow", deadline=None, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("RRELU_COMPAT_TEST_PROFILE", "default"))
