"""What surrounds training, under PyTorch's names: `tn.utils.data`."""

from tenfold.utils import data

__all__ = ["data"]
