"""Fusion: which operations become one kernel."""

from tenfoldc.fuse.grouping import fuse as fuse
