"""Neural networks as in PyTorch: `tn.nn.functional` holds the functions that layers compute."""

from tenfold.nn import functional

__all__ = ["functional"]
