"""The NumPy adapter."""
