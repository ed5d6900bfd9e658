"""Prove a port in training mode: run both models with the same random numbers, hold them side by side."""
