"""Writing a file so that it is whole or as it was before, with errors that say what went wrong."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Generator
from pathlib import Path

from tenfold.tracing import here
from tenfold_rt.atomic import written_beside
from tenfold_rt.errors import SaveError


@contextlib.contextmanager
def replaced(path: str) -> Generator[Path]:
    """An empty file beside `path` to write to, which takes its place, and its permissions, when the block ends well."""
    target = Path(os.path.realpath(path))
    with explained(path):
        known = target.stat() if target.exists() else None
        if known is not None and not stat.S_ISREG(known.st_mode):
            raise SaveError(f"save: {path} is not a regular file", where=here(), mend="give a path, or an open file")
        with written_beside(target, (), None) as temporary:
            mode = stat.S_IMODE((known or temporary.stat()).st_mode)
            yield temporary
            temporary.chmod(mode)
            _to_disk(temporary)
            temporary.replace(target)


@contextlib.contextmanager
def explained(path: str) -> Generator[None]:
    """Turns errors of the system into a `SaveError` that names `path`, with their `errno`."""
    try:
        yield
    except SaveError:
        raise
    except OSError as error:
        raise save_error(path, error.strerror or str(error), error.errno) from error


def save_error(path: str, reason: str, errno: int | None = None) -> SaveError:
    """The error that `path` was not written for `reason`."""
    error = SaveError(f"save: {path} was not written: {reason}", where=here())
    error.errno = errno
    return error


def _to_disk(path: Path) -> None:
    """Have what was written on the disk before the rename is, so that a crash leaves the old file or the new."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
