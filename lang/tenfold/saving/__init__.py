"""`tn.save` and `tn.load`: tensors and plain data in files of PyTorch's, safetensors' and NumPy's formats."""

from tenfold.saving.files import load, save

__all__ = ["load", "save"]
