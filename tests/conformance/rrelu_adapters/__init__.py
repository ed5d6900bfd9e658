"""Adapters in plain NumPy: a right one, and many that are wrong in one way each."""
