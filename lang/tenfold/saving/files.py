"""`tn.save` chooses a file's format by its suffix, `tn.load` by how the file begins."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any, TypeAlias

from tenfold.device import Device, usable_device
from tenfold.library import load as load_library
from tenfold.saving.npz_file import load_npz, save_npz
from tenfold.saving.replacing import explained, replaced
from tenfold.saving.safetensors_file import load_safetensors, save_safetensors
from tenfold.saving.torch_file import load_torch, save_torch
from tenfold.tracing import here
from tenfold_rt.errors import ArgumentError, FileFormatError, TenfoldError

File: TypeAlias = "str | os.PathLike[str] | IO[bytes]"
_LIBRARY = re.compile(r".*\.so(\.\d+)*")
_SAFETENSORS_BRACE = 8
"""Where the header of a file of safetensors begins, behind its length."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, EOFError, OSError, RuntimeError, ValueError)
"""What reading a zip archive raises where it is not as it should be."""


def save(obj: object, f: File) -> None:
    """Write tensors and plain data to a file, which is replaced as a whole or left as it was.

    A path that ends in `.safetensors` or `.npz` gets that format, which holds a flat dict of tensors; any other path,
    and an open file, PyTorch's: tensors, numbers, strings, None, and dicts, lists, tuples and sets of them, which
    `torch.load` reads too.  Tensors that share memory share it again when they are loaded from PyTorch's format.

    `ArgumentError` for what the format does not hold; `SaveError`, which is an `OSError`, where it cannot be written.
    """
    if not isinstance(f, (str, os.PathLike)):
        with explained("the open file"):
            save_torch(obj, f)
        return
    path = os.fspath(f)
    suffix = Path(path).suffix
    if suffix == ".safetensors":
        save_safetensors(obj, path)
    elif suffix == ".npz":
        save_npz(obj, path)
    else:
        with replaced(path) as temporary, temporary.open("wb") as file:
            save_torch(obj, file)


def load(f: File, map_location: Device | str | None = None, *, weights_only: bool = True) -> Any:
    """What a file holds: what `tn.save`, `torch.save`, safetensors or `numpy.savez` wrote, or a compiled library.

    A library, as `tn.export` writes it, has its functions as attributes: `tn.load("libmodel.so").predict(w, x)`;
    `ArtifactError` where it is missing, damaged, not made by Tenfold or made for another processor.

    In other files only tensors and plain data are read, and no code of the file's is run; tensors are on the CPU
    wherever they were, and `UnsupportedError` where `map_location` asks for another device.  `UnsafeFileError`, which
    is a `pickle.UnpicklingError`, where a file needs more than that, `FileFormatError` where it is damaged, cut short
    or of another format, `FileNotFoundError` where there is none.
    """
    if not weights_only:
        raise ArgumentError("load: weights_only=False would run code that the file names", where=here())
    if map_location is not None:
        usable_device(map_location)
    if not isinstance(f, (str, os.PathLike)):
        return _load(f, None)
    path = os.fspath(f)
    if _LIBRARY.fullmatch(path):
        return load_library(path)
    with open(path, "rb") as file:
        return _load(file, path)


def _load(file: IO[bytes], path: str | None) -> Any:
    """What an open file holds from where it stands; `path` is where it can be opened again."""
    start, name = file.tell(), path or "the open file"
    head = file.read(_SAFETENSORS_BRACE + 1)
    if path is not None and head.startswith(b"\x7fELF"):
        return load_library(path)
    if path is not None and head[_SAFETENSORS_BRACE:] == b"{":
        return load_safetensors(path)
    if not head.startswith(b"PK"):
        raise FileFormatError(f"load: {name} {_other_format(head)}")
    size = file.seek(0, io.SEEK_END) - start
    file.seek(start)
    try:
        return _load_zip(file, name, size)
    except TenfoldError:
        raise
    except _DAMAGE as error:
        raise FileFormatError(f"load: {name} is damaged or cut short: {error}") from error


def _load_zip(file: IO[bytes], name: str, size: int) -> object:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if names and all(member.endswith(".npy") for member in names):
            return load_npz(archive, name, size)
        return load_torch(archive, name, size)


def _other_format(head: bytes) -> str:
    """What a file is that begins with `head`, for an error."""
    if not head:
        return "is empty, or has been read to its end; go back with seek(0)"
    if head.startswith(b"\x80"):
        return (
            "is a bare pickle, as PyTorch wrote before version 1.6, which is not read;"
            " write it again with a newer PyTorch: torch.save(torch.load(path), path)"
        )
    return f"is no file of tensors: it begins with {head!r}"
