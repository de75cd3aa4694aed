"""The runtime: artifacts in, results out.  Loads and calls shared libraries that the compiler made, and keeps
them on disk.
"""
