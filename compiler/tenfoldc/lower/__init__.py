"""Lowering: groups of operations become kernels of loops."""

from tenfoldc.lower.program import lower as lower
