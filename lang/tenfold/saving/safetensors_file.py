"""Files of the safetensors format, a flat dict of tensors, through the library of that name."""

from __future__ import annotations

import importlib
from typing import Any

from tenfold.saving.arrays import named_arrays, tensor_over
from tenfold.saving.replacing import replaced, save_error
from tenfold.tensor import Tensor
from tenfold_rt.errors import FileFormatError


def save_safetensors(obj: object, path: str) -> None:
    """Write a flat dict of tensors; those that share memory are written one by one."""
    arrays = named_arrays(obj, ".safetensors")
    library, failure = _library()
    with replaced(path) as temporary:
        try:
            library.save_file(arrays, temporary)
        except failure as error:
            raise save_error(path, str(error)) from error


def load_safetensors(path: str) -> dict[str, Tensor]:
    """The dict of tensors in the file at `path`, in memory of their own."""
    library, failure = _library()
    try:
        arrays = library.load_file(path)
    except (failure, KeyError, TypeError) as error:
        raise FileFormatError(f"load: {path} is not a whole file of safetensors: {error}") from error
    return {name: tensor_over(array, path, name) for name, array in arrays.items()}


def _library() -> tuple[Any, type[Exception]]:
    """The library's functions on arrays, and its error; imported when first used, which programs seldom do."""
    functions = importlib.import_module("safetensors.numpy")
    return functions, importlib.import_module("safetensors").SafetensorError
