"""Lowering: groups of operations become kernels of loops."""
