"""Files that appear whole or not at all: written under a name of their own, then renamed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable
from pathlib import Path


@contextlib.contextmanager
def written_beside(path: Path, parts: Iterable[bytes], mode: int | None) -> Generator[Path]:
    """A new file that holds `parts`, for a rename to `path`; removed afterwards if it is still there.

    Without a `mode` it may be read and written by whom the user lets.

    It is in the directory of `path` and its name ends in `.tmp`.  `tempfile` would do, but takes long to import.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}.tmp")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else 0o600
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(parts)
        if mode is not None:
            temporary.chmod(mode)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)
