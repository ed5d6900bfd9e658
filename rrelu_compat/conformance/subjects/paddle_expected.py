"""Expected failures."""

FAILURES: dict[str, str] = {}
