"""What memory of a GPU begins at, as kernels, plans and callers take it; apart, so that tensors need not know plans."""

from __future__ import annotations

ALIGNMENT = 16
"""Kernels take memory from multiples of this many bytes on, and may read it up to such a multiple, for nothing."""
