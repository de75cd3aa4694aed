"""The command line: `tenfold compile`, `run`, `inspect`, `tune`, `profile`, `cache` and `doctor`."""

from tenfold.cli.main import main

__all__ = ["main"]
