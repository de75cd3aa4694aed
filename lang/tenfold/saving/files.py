"""`tn.save` chooses a file's format by its suffix, `tn.load` by how the file begins."""

from __future__ import annotations

import importlib
import os
import re
from typing import IO, Any, TypeAlias

from tenfold.device import Device, usable_device
from tenfold.library import load as load_library
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError

File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
_LIBRARY = re.compile(r".*\.so(\.\d+)*")


def save(obj: object, f: File) -> None:
    """Write tensors and plain data to a file, which is replaced as a whole or left as it was.

    A path that ends in `.safetensors` or `.npz` gets that format, which holds a flat dict of tensors; any other path,
    and an open file, PyTorch's: tensors, numbers, strings, None, and dicts, lists, tuples and sets of them, which
    `torch.load` reads too.  Tensors that share memory share it again when they are loaded from PyTorch's format.

    `ArgumentError` for what the format does not hold; `SaveError`, which is an `OSError`, where it cannot be written.
    """
    _formats().save(obj, f)


def load(f: File, map_location: Device | str | None = None, *, weights_only: bool = True) -> Any:
    """What a file holds: what `tn.save`, `torch.save`, safetensors or `numpy.savez` wrote, or a compiled library.

    A library, as `tn.export` writes it, has its functions as attributes: `tn.load("libmodel.so").predict(w, x)`;
    `ArtifactError` where it is missing, damaged, not made by Tenfold or made for another processor.

    In other files only tensors and plain data are read, and no code of the file's is run; tensors are on the CPU
    wherever they were, or on the device `map_location`.  `UnsafeFileError`, which
    is a `pickle.UnpicklingError`, where a file needs more than that, `FileFormatError` where it is damaged, cut short
    or of another format, `FileNotFoundError` where there is none.
    """
    if not weights_only:
        raise ArgumentError("load: weights_only=False would run code that the file names", where=here())
    device = usable_device("cpu" if map_location is None else map_location)
    if isinstance(f, (str, os.PathLike)) and _LIBRARY.fullmatch(os.fspath(f)):
        return load_library(f)
    loaded = _formats().load(f)
    return loaded if device.type == "cpu" else _formats().moved_to(loaded, device)


def _formats() -> Any:
    """The module of formats, imported when first used."""
    return importlib.import_module("tenfold.saving.formats")
