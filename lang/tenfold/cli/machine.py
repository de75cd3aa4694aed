"""`tenfold doctor`: what this machine has that Tenfold can use, a line each."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import shutil
from collections.abc import Iterator

from tenfold_rt.cache import Cache
from tenfold_rt.cuda import devices
from tenfold_rt.errors import DeviceError
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
    yield _cache()
    yield from _gpus()


def _cache() -> str:
    """Where compiled code is kept and how much of it there is, or why nothing can be."""
    cache = Cache()
    if (reason := cache.obstacle()) is not None:
        return f"cache     {cache.directory} cannot keep anything ({reason}); name another by TENFOLD_CACHE_DIR"
    return f"cache     {cache.directory} ({cache.entries()} libraries, {cache.size() / 1024:.0f} KiB)"


def _compiler() -> str | None:
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)


def _gpus() -> Iterator[str]:
    """What there is of NVIDIA's: GPUs or why there are none, as without cuda-python; its version, and an assembler."""
    count = 0
    try:
        count = devices.device_count()
        if not count:
            yield "CUDA      there is no GPU of NVIDIA's; programs run on the CPU"
    except DeviceError as error:
        yield f"CUDA      {error}; programs run on the CPU"
    for index in range(count):
        yield f"CUDA      cuda:{index} {_gpu(index)}"
    if (version := _version("cuda-python")) is not None:
        yield f"          cuda-python {version}"
    assembler = importlib.import_module("tenfoldc.gpu.assemble").assembler_name()
    yield f"          assembler {assembler or 'not found; only needed to make machine code without a driver'}"


def _gpu(index: int) -> str:
    """A GPU in words, or why it cannot be used."""
    try:
        gpu = devices.device(index)
        properties, stats = gpu.properties, gpu.memory_stats()
    except DeviceError as error:
        return str(error)
    capability, driver = (".".join(map(str, pair)) for pair in (properties.compute_capability, properties.driver))
    free, total = stats.free / 2**30, stats.total / 2**30
    return (
        f"{properties.name}, compute capability {capability}, {properties.multiprocessors} multiprocessors, "
        f"{free:.1f} of {total:.1f} GiB free, driver for CUDA {driver}"
    )


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
