"""The checks, one module for each family. No check names a subject or a framework."""
