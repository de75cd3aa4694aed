"""Simplification: a module and an entry in; one function without calls, redundant or dead operations out."""
