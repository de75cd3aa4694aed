"""Settings from the environment; nothing else in Tenfold reads it.

`TENFOLD_CACHE_DIR`    where compiled code is kept (default: `tenfold` in `XDG_CACHE_HOME` or `~/.cache`)
`TENFOLD_DUMP`         stage names, comma-separated, or `all`: write each stage's output as a numbered file
`TENFOLD_DUMP_DIR`     where those files go (default: `tenfold-dump` in the working directory)
`TENFOLD_VERIFY`       `1`: check the IR after every stage
`TENFOLD_NUM_THREADS`  how many threads a compiled call may use (default: one for each processor of this process)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tenfold_rt.errors import ArgumentError
from tenfold_rt.frozen import frozen

MOST_THREADS = 256


@frozen
class Settings:
    """What the environment asks for, read once per use so that a test or a program may change it."""

    cache_dir: Path
    dump: frozenset[str]
    dump_dir: Path
    verify: bool
    num_threads: int | None

    def dumps(self, stage: str) -> bool:
        """Whether the output of `stage` is to be written to a file."""
        return "all" in self.dump or stage in self.dump


def settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from `environ` (default: this process's environment).

    `ArgumentError` where `TENFOLD_NUM_THREADS` is no number of threads.
    """
    env = os.environ if environ is None else environ
    return Settings(
        cache_dir=_cache_dir(env),
        dump=frozenset(name.strip() for name in env.get("TENFOLD_DUMP", "").split(",") if name.strip()),
        dump_dir=Path(env.get("TENFOLD_DUMP_DIR", "tenfold-dump")),
        verify=env.get("TENFOLD_VERIFY", "") not in ("", "0"),
        num_threads=_num_threads(env.get("TENFOLD_NUM_THREADS", "").strip()),
    )


def _num_threads(text: str) -> int | None:
    if not text:
        return None
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_THREADS:
        return int(text)
    raise ArgumentError(f"TENFOLD_NUM_THREADS must be a number from 1 to {MOST_THREADS}, not {text!r}")


def _cache_dir(env: Mapping[str, str]) -> Path:
    """As the XDG base directory specification says, by which a relative path counts as none."""
    if named := env.get("TENFOLD_CACHE_DIR"):
        return Path(named)
    caches = env.get("XDG_CACHE_HOME", "")
    return Path(caches if os.path.isabs(caches) else os.path.expanduser("~/.cache"), "tenfold")
