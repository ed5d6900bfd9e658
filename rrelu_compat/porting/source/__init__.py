"""Rewriting source files: names and scopes, a rule for each kind of use, the report."""
