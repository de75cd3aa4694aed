"""The version of the distribution; part of every cache key, since a new compiler may emit new code."""

__version__ = "0.1.0"
