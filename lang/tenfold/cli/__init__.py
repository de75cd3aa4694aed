"""The command line: `tenfold compile`, `run`, `cache` and `doctor`."""

from tenfold.cli.main import main

__all__ = ["main"]
