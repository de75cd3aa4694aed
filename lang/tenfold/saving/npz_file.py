"""NumPy's `.npz` files: a zip of arrays, each with a header of its own, read without running what they contain."""

from __future__ import annotations

import math
import zlib
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from numpy.lib import format as npy

from tenfold.saving.arrays import named_arrays, tensor_over
from tenfold.saving.replacing import replaced
from tenfold.tensor import Tensor
from tenfold.tracing import Array, here
from tenfold_rt.errors import DTypeError, FileFormatError, UnsafeFileError

_MOST = {ZIP_STORED: 1, ZIP_DEFLATED: 1032}
"""How many bytes one byte of a member can stand for at the most, by the ways of compression that NumPy writes."""


def save_npz(obj: object, path: str) -> None:
    """Write a flat dict of tensors as `numpy.savez` does."""
    arrays = named_arrays(obj, ".npz")
    for name, array in arrays.items():
        if array.dtype.kind not in "biufc":
            raise DTypeError(
                f"save: {name!r} is {array.dtype}, which NumPy's files have no name for",
                where=here(),
                mend="give the file the suffix .safetensors or .pt",
            )
    with replaced(path) as temporary, ZipFile(temporary, "w", allowZip64=True) as archive:
        for name, array in arrays.items():
            with archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)


def load_npz(archive: ZipFile, path: str, size: int) -> dict[str, Tensor]:
    """The tensors of an archive of `size` bytes by name.

    `FileFormatError` where members claim more data than the file can hold, `UnsafeFileError` where one is pickled.
    """
    members = archive.infolist()
    if sum(member.compress_size for member in members) > size:
        raise FileFormatError(f"load: {path}: its members overlap")
    try:
        arrays = {member.filename.removesuffix(".npy"): _array(archive, member, path) for member in members}
    except FileFormatError:
        raise
    except (ValueError, zlib.error) as error:
        raise FileFormatError(f"load: {path}: an array is damaged: {error}") from error
    return {name: tensor_over(array, path, name) for name, array in arrays.items()}


def _array(archive: ZipFile, member: ZipInfo, path: str) -> Array:
    most = _MOST.get(member.compress_type, 0) * member.compress_size
    if member.file_size > most:
        raise FileFormatError(f"load: {path}: {member.filename} claims more bytes than its {member.compress_size} hold")
    with archive.open(member) as file:
        _check_header(file, member, path)
    with archive.open(member) as file:
        return npy.read_array(file, allow_pickle=False)


def _check_header(file: IO[bytes], member: ZipInfo, path: str) -> None:
    """Refuse an array of Python objects, and one whose shape does not fit the bytes there are."""
    version = npy.read_magic(file)
    shape, _, dtype = npy.read_array_header_1_0(file) if version == (1, 0) else npy.read_array_header_2_0(file)
    if dtype.hasobject:
        raise UnsafeFileError(f"load: {path}: {member.filename} holds pickled objects, which could run code")
    if file.tell() + math.prod(shape) * dtype.itemsize != member.file_size:
        raise FileFormatError(f"load: {path}: {member.filename} is cut short: {dtype}{list(shape)} does not fit")
