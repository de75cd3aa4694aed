"""Transformations of Python functions: derivatives forward and backward, and batching."""
