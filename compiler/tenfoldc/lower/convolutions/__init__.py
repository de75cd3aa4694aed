"""Lowering of convolutions."""
