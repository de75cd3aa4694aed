"""The disk cache: compiled libraries, and the object code they are made of, by content key; safe to share between many
processes.

An entry is one file, `ab/abcd….so`, `….o` or `….plan`: the content and then the SHA-256 of it, which the dynamic loader
ignores.  A file appears complete, by a rename, and is never written to again, because another process may
have mapped it and because the dynamic loader takes a path that it has seen for the library it has loaded.
Notes are small files of the same form in a directory of their own: what was found by measuring, which stays until the
cache is cleared.
What is found is run, so a directory that others can write to is not used; see `_distrust`.
There are no locks: two writers of one key write the same bytes.  Each of the 256 directories keeps what was used
last, up to `SHARD_BYTES`; a reader that comes too late compiles anew.  Where the directory cannot be written to,
libraries stay in memory for the life of the process, so that a full or read-only disk costs time but not
results.
"""

from __future__ import annotations

import contextlib
import grp
import hashlib
import os
import pwd
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from tenfold_rt.atomic import written_beside
from tenfold_rt.errors import ArtifactError
from tenfold_rt.settings import settings

SHARD_BYTES = 4 << 20
"""What one directory of the cache holds at most, and so 1 GiB all of it; a larger library is kept until the next."""

_DIGEST_BYTES = 32
_STALE_SECONDS = 3600.0


def default_directory() -> Path:
    """Where compiled code is kept: `TENFOLD_CACHE_DIR`, else the user's cache directory."""
    return settings().cache_dir


class Cache:
    """The cache in one directory, which is made on first use."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = default_directory() if directory is None else Path(directory)
        self._notes = self.directory / "notes"
        self._in_memory: dict[str, Path] = {}
        self._notes_in_memory: dict[str, bytes] = {}
        self._warned = False

    def get(self, key: str) -> Path | None:
        """The library stored under `key`, a hex digest, if it is there; a damaged one is removed."""
        path = self._path(key)
        if key in self._in_memory:
            return self._in_memory[key]
        return None if self._content(path) is None else path

    def put(self, key: str, data: bytes) -> Path:
        """Store `data` under `key`; return where to load it from, which is elsewhere if the disk refuses."""
        path = self._path(key)
        try:
            self._store(path, data)
        except OSError as error:
            path = self._keep_in_memory(key, data, error)
        return path

    def read(self, key: str, suffix: str = ".o") -> bytes | None:
        """The object code, or the plan for a GPU, `.plan`, that is stored under `key`, if it is there."""
        return self._content(self._path(key, suffix))

    def write(self, key: str, data: bytes, suffix: str = ".o") -> None:
        """Store object code, or a plan for a GPU, under `key`, where the disk permits."""
        with contextlib.suppress(OSError):
            self._store(self._path(key, suffix), data)

    def write_note(self, key: str, data: bytes) -> bool:
        """Store a note, a few bytes of data, under `key`; False where the disk refuses, and it is kept in memory."""
        path = self._notes / f"{key}.note"
        try:
            self._make_directory()
            self._notes.mkdir(mode=0o700, exist_ok=True)
            _write(path, data)
            _sweep(self._notes)
        except OSError:
            self._notes_in_memory[key] = data
            return False
        return True

    def notes(self) -> list[bytes]:
        """All notes; one that is damaged is removed."""
        found = {path.stem: self._content(path) for path in self._notes.glob("*.note")}
        return [content for content in {**found, **self._notes_in_memory}.values() if content is not None]

    def notes_stamp(self) -> tuple[int, int] | None:
        """Something that changes whenever notes do; None where there are none."""
        try:
            changed = self._notes.stat().st_mtime_ns
        except OSError:
            changed = 0
        return (changed, len(self._notes_in_memory)) if changed or self._notes_in_memory else None

    def _content(self, path: Path) -> bytes | None:
        """What `path` holds, marked as used; a damaged file is removed."""
        if not self._trusted():
            return None
        try:
            content = path.read_bytes()
        except OSError:
            return None
        data = content[:-_DIGEST_BYTES]
        is_whole = hashlib.sha256(data).digest() == content[-_DIGEST_BYTES:]
        with contextlib.suppress(OSError):
            if is_whole:
                os.utime(path)
            else:
                path.unlink()
        return data if is_whole else None

    def _store(self, path: Path, data: bytes) -> None:
        self._make_directory()
        path.parent.mkdir(mode=0o700, exist_ok=True)
        _write(path, data)
        _sweep(path.parent)
        _trim(path.parent, path)

    def _make_directory(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (reason := _distrust(self.directory.stat())) is not None:
            raise PermissionError(0, reason)

    def obstacle(self) -> str | None:
        """Why nothing can be stored here, as the system says it; None where it can."""
        try:
            self._make_directory()
            with written_beside(self.directory / "probe", (bytes(4096),), 0o600):
                return None
        except OSError as error:
            return error.strerror or str(error)

    def entries(self) -> int:
        """How many libraries are stored."""
        return sum(1 for _ in self._files(".so"))

    def size(self) -> int:
        """The bytes that they and the object code take."""
        total = 0
        for path in self._files():
            with contextlib.suppress(OSError):
                total += path.stat().st_size
        return total

    def clear(self) -> int:
        """Remove everything; return how many libraries there were.  Those in use stay mapped where they are used."""
        removed = 0
        for path in self._files():
            with contextlib.suppress(OSError):
                path.unlink()
                removed += path.suffix == ".so"
        for shard in self.directory.glob("??"):
            _sweep(shard)
        for path in self._notes.glob("*"):
            with contextlib.suppress(OSError):
                path.unlink()
        with contextlib.suppress(OSError):
            self._notes.rmdir()
        self._in_memory.clear()
        self._notes_in_memory.clear()
        return removed

    def _files(self, *suffixes: str) -> Iterator[Path]:
        return (path for path in self.directory.glob("??/*") if path.suffix in (suffixes or (".so", ".o", ".plan")))

    def _path(self, key: str, suffix: str = ".so") -> Path:
        if len(key) < 8 or not set(key) <= set("0123456789abcdef"):
            raise ArtifactError(f"a cache key is a hex digest, not {key!r}")
        return self.directory / key[:2] / f"{key}{suffix}"

    def _trusted(self) -> bool:
        """Whether only this user (or root) can put files there: what is found there will be run."""
        try:
            return _distrust(self.directory.stat()) is None
        except OSError:
            return False

    def _keep_in_memory(self, key: str, data: bytes, error: OSError) -> Path:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"compiled code cannot be kept in {self.directory} ({error.strerror or error});"
                " it is compiled anew in each process until TENFOLD_CACHE_DIR names a place that can",
                RuntimeWarning,
                stacklevel=3,
            )
        path = self._in_memory[key] = _in_memory(key, data)
        return path


def _distrust(directory: os.stat_result) -> str | None:
    """Why code that is found in a directory must not be run: others than this user and root may have put it there."""
    if directory.st_uid not in (0, os.geteuid()):
        return "it belongs to another user, whose code would be run; name one of your own"
    if directory.st_mode & 0o002:
        return "other users can write to it, whose code would be run; chmod go-w it"
    if directory.st_mode & 0o020 and not _is_private(directory.st_gid):
        return "other users of its group can write to it, whose code would be run; chmod g-w it"
    return None


def _is_private(group: int) -> bool:
    """Whether a group is this user's alone, as where each user has one of the same name or number, or it is root's.

    There new directories can often be written to by the group, with no harm.
    """
    user = os.geteuid()
    if group in (0, user):
        return True
    try:
        return grp.getgrgid(group).gr_name == pwd.getpwuid(user).pw_name
    except KeyError:
        return False


def _write(path: Path, data: bytes) -> None:
    """Make `path` appear with `data` and its digest, or leave nothing."""
    with written_beside(path, (data, hashlib.sha256(data).digest()), 0o500) as temporary:
        os.replace(temporary, path)


def _in_memory(key: str, data: bytes) -> Path:
    """A file in memory.  It stays open, so its path always means this file."""
    try:
        descriptor = os.memfd_create(f"tenfold-{key}")
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(data)
    except (OSError, AttributeError) as error:
        raise ArtifactError(f"no place was found for {len(data)} bytes of compiled code: {error}") from error
    return Path(f"/proc/self/fd/{descriptor}")


def _sweep(directory: Path) -> None:
    """Remove what writers that were killed have left; no live writer takes an hour."""
    for path in directory.glob("*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def _trim(directory: Path, newest: Path) -> None:
    """Remove what was not used for longest until the rest, or else `newest` alone, is `SHARD_BYTES` or less."""
    used: list[tuple[float, int, Path]] = []
    for path in directory.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            used.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in used)
    for _, size, path in sorted(used):
        if total <= SHARD_BYTES:
            return
        if path != newest and path.suffix != ".tmp":
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size
