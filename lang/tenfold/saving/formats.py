"""The formats of files of tensors: which one to write by a path's suffix, which one to read by how a file begins.

Imported by the first `tn.save` or `tn.load`, as most programs need neither it nor what it imports.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

from tenfold.device import Device
from tenfold.library import load as load_library
from tenfold.saving.npz_file import load_npz, save_npz
from tenfold.saving.replacing import explained, replaced
from tenfold.saving.safetensors_file import load_safetensors, save_safetensors
from tenfold.saving.torch_file import load_torch, save_torch
from tenfold.tensor import Tensor
from tenfold_rt.errors import FileFormatError, TenfoldError

_SAFETENSORS_BRACE = 8
"""Where the header of a file of safetensors begins, behind its length."""

_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, ArithmeticError, EOFError, OSError, RuntimeError, ValueError)
"""What reading a zip archive raises where it is not as it should be."""


def save(obj: object, f: str | os.PathLike[str] | IO[bytes]) -> None:
    """What `tn.save` does."""
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


def load(f: str | os.PathLike[str] | IO[bytes]) -> Any:
    """What an open file, or the file at a path, holds."""
    if not isinstance(f, (str, os.PathLike)):
        return _load(f, None)
    path = os.fspath(f)
    with open(path, "rb") as file:
        return _load(file, path)


def moved_to(loaded: Any, device: Device) -> Any:
    """What was loaded, all its tensors moved to `device`."""
    match loaded:
        case Tensor():
            if loaded.device is not device:
                loaded.data = loaded.data.to(device)
        case dict():
            for each in cast("dict[Any, Any]", loaded).values():
                moved_to(each, device)
        case list() | tuple() | set():
            for each in cast("Iterable[Any]", loaded):
                moved_to(each, device)
        case _:
            pass
    return cast("Any", loaded)


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
