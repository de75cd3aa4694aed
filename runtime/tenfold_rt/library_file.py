"""Reading a library's manifest from the file, without running any of its code.

A path comes in; a manifest goes out, or an error that says what the file is instead.  The manifest stands in
an ELF note near the start of the file, so this reads a few kilobytes however large the library is.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from tenfold_rt.errors import ArtifactError
from tenfold_rt.manifest import NOTE_OWNER, NOTE_TYPE, Manifest

_FIRST_READ = 16384
_LOAD, _NOTE = 1, 4
_MACHINES = {62: "x86_64", 183: "aarch64"}


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """The manifest of the library at `path`, and the processor family it is for.

    `ArtifactError` where the file cannot be read, is cut short, or was not made by Tenfold.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = file.read(_FIRST_READ)
            if start[:6] != b"\x7fELF\x02\x01":
                raise ArtifactError(f"{path} is not a shared library for 64-bit Linux")
            family = _MACHINES.get(int.from_bytes(start[18:20], "little"), "another processor")
            offset, length = _note_place(path, start, size)
            file.seek(offset)
            text = _manifest_text(file.read(length))
    except (struct.error, IndexError, OverflowError) as error:
        raise ArtifactError(f"{path} is damaged: {error}") from error
    except OSError as error:
        if isinstance(error, ArtifactError):
            raise
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    if text is None:
        raise ArtifactError(f"{path} is a shared library, but not one that Tenfold made")
    try:
        return Manifest.from_json(text), family
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"{path} has a manifest that this version cannot read: {error}", mend="compile it again"
        ) from error


def _note_place(path: Path, start: bytes, size: int) -> tuple[int, int]:
    """Offset and size of the file's notes, having checked that all that will be mapped is there."""
    (table,) = struct.unpack_from("<Q", start, 32)
    entry_size, count = struct.unpack_from("<HH", start, 54)
    place = (0, 0)
    for index in range(count):
        type_, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", start, table + entry_size * index)
        # The kernel maps a short file without complaint; touching what is missing then kills the process.
        if type_ in (_LOAD, _NOTE) and offset + length > size:
            raise ArtifactError(f"{path} is cut short: {size} bytes of {offset + length}")
        if type_ == _NOTE:
            place = (offset, length)
    return place


def _manifest_text(notes: bytes) -> str | None:
    """The manifest among an ELF file's notes, if it is there."""
    at = 0
    while at + 12 <= len(notes):
        owner_size, size, type_ = struct.unpack_from("<III", notes, at)
        owner = notes[at + 12 : at + 12 + owner_size].rstrip(b"\0")
        at += 12 + (owner_size + 3 & ~3)
        if owner == NOTE_OWNER and type_ == NOTE_TYPE:
            return notes[at : at + size].rstrip(b"\0").decode(errors="replace")
        at += size + 3 & ~3
    return None
