"""Shared kernel: what the models and the service agree on, in the standard library and NumPy only."""
