"""The CuPy adapter."""
