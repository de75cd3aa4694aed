"""`tenfold doctor`: what this machine has that Tenfold can use, a line each."""

from __future__ import annotations

import ctypes
import importlib.metadata
import platform
import shutil
from collections.abc import Iterator

from tenfold_rt.cache import Cache
from tenfold_rt.version import __version__
from tenfoldc import target

_NOTABLE = (
    "avx",
    "avx2",
    "fma",
    "avx512f",
    "avx512bf16",
    "avx512vnni",
    "amx-tile",
    "amx-bf16",
    "neon",
    "sve",
)
_PACKAGES = ("numpy", "llvmlite", "lark", "click")


def findings() -> Iterator[str]:
    """A line for each finding, in the order of what most often matters."""
    host = target.host()
    notable = [feature for feature in _NOTABLE if feature in host.features]
    yield f"tenfold   {__version__}, Python {platform.python_version()}, {platform.platform()}"
    extensions = ", ".join(notable) or "no vector extensions of note"
    yield f"processor {host.cpu}: {extensions}; {8 * host.vector_bytes}-bit vectors"
    yield "packages  " + ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _PACKAGES)
    yield "linker    built in: nothing else is needed to write shared libraries"
    yield f"C         {_compiler() or 'no C compiler found; only needed to build C programs that use a library'}"
    cache = Cache()
    yield f"cache     {cache.directory} ({cache.entries()} libraries, {cache.size() / 1024:.0f} KiB)"
    yield f"CUDA      {_cuda()}"


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _cuda() -> str:
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "no driver found (libcuda.so.1); programs run on the CPU"
    return "driver found (libcuda.so.1)"
