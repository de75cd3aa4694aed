"""Which compiler this is: part of what compiled code is kept under."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from tenfold_rt.version import __version__


@functools.cache
def revision() -> str:
    """The version; in a checkout, whose files change without it, also a digest of their sizes and times."""
    package = Path(__file__).parent
    return __version__ if not is_checkout(package) else f"{__version__}+{digest(package)}"


def is_checkout(package: Path) -> bool:
    """Whether `package` lies in a repository rather than where packages are installed."""
    return (package.parent.parent / "pyproject.toml").exists()


def digest(directory: Path) -> str:
    """A digest of the names, sizes and modification times of all Python files below `directory`."""
    found: list[str] = []
    pending = [str(directory)]
    while pending:
        for entry in os.scandir(pending.pop()):
            if entry.name.endswith(".py"):
                status = entry.stat()
                found.append(f"{entry.path} {status.st_size} {status.st_mtime_ns}")
            elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
                pending.append(entry.path)
    return hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:16]
