"""The Paddle adapter."""
