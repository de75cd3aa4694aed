"""Calls of tensor functions outside a trace: recorded, then compiled and run in groups when a value is looked at."""
