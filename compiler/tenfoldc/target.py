"""The machine that code is made for: a triple, a CPU level or a GPU's architecture, and its features.

`host()` finds this machine's features without LLVM, so that a cached call need not import it.
"""

from __future__ import annotations

import functools
import sys

from tenfold_rt import cpu
from tenfold_rt.errors import RequestError
from tenfold_rt.frozen import frozen

_X86_64_TRIPLE = "x86_64-unknown-linux-gnu"
_AARCH64_TRIPLE = "aarch64-unknown-linux-gnu"
_GPU_TRIPLE = "nvptx64-nvidia-cuda"

GPU_ARCHITECTURES = ("sm_80", "sm_86", "sm_89", "sm_90", "sm_90a")
"""Architectures of NVIDIA's that code is made for; that of the last has instructions that no later one has."""

EMULATED_TILES = "amx-emulated"
"""The feature of a target that computes in plain, slow instructions what the tiles of AMX would: the same bits."""

_TILES = frozenset({"amx-tile", "amx-bf16"})


@frozen
class Target:
    """A CPU or a GPU.  `cpu` and `features` are LLVM's names; `features` are those present, sorted, no `+`."""

    triple: str
    cpu: str
    features: tuple[str, ...]

    @property
    def is_gpu(self) -> bool:
        """Whether this is a GPU of NVIDIA's."""
        return self.triple == _GPU_TRIPLE

    @property
    def llvm_features(self) -> tuple[str, ...]:
        """The features that LLVM knows by these names."""
        return tuple(feature for feature in self.features if feature != EMULATED_TILES)

    @property
    def required_features(self) -> tuple[str, ...]:
        """The features that code for this target cannot do without; whether there are tiles it asks when it runs."""
        return tuple(feature for feature in self.llvm_features if feature not in _TILES)

    @property
    def emulates_tiles(self) -> bool:
        """Whether plain instructions take the place of the matrix unit's."""
        return EMULATED_TILES in self.features

    @property
    def has_tiles(self) -> bool:
        """Whether there is a matrix unit that multiplies tiles of bf16, or what takes its place."""
        return self.emulates_tiles or set(self.features) >= _TILES

    @property
    def vector_bytes(self) -> int:
        """Width of the widest vector register that code may use."""
        if "avx512f" in self.features:
            return 64
        if "avx" in self.features:
            return 32
        return 16

    @property
    def vector_registers(self) -> int:
        """How many vector registers there are."""
        return 32 if "avx512f" in self.features or self.triple.startswith("aarch64") else 16

    @property
    def streams(self) -> bool:
        """Whether stores that pass the cache by are known to gain where results are large."""
        return self.triple == _X86_64_TRIPLE

    @property
    def has_f16(self) -> bool:
        """Whether instructions convert between f16 and f32."""
        return "f16c" in self.features or self.triple.startswith("aarch64") or self.is_gpu

    @property
    def has_fma(self) -> bool:
        """Whether a fused multiply-add is one instruction."""
        return "fma" in self.features or self.triple.startswith("aarch64") or self.is_gpu


@functools.cache
def host() -> Target:
    """This machine: the highest level that it has, and every feature it has beyond.

    The CPU's model is left out on purpose: what is known of it changes with LLVM's version, and a library
    made for two machines with the same features is then the same library.
    """
    if sys.platform != "linux":
        raise RequestError(
            f"libraries are made for Linux, and this is {sys.platform}",
            mend="to ship, choose a level such as x86-64-v3",
        )
    features = cpu.features()
    match cpu.machine():
        case "x86_64":
            return Target(_X86_64_TRIPLE, cpu.level(features), tuple(sorted(features)))
        case "aarch64":
            return Target(_AARCH64_TRIPLE, "generic", tuple(sorted(features)))
        case other:
            raise RequestError(f"no code is generated for {other} processors; x86-64 and aarch64 are known")


def named(level: str) -> Target:
    """The target called `level`: `native`, an x86-64 level or processor, or `cuda:` and an architecture of GPUs.

    Any machine can compile for all but the first.  `cuda` alone is the architecture that all later GPUs run code for.
    """
    if level == "cuda" or level.startswith("cuda:"):
        return gpu(level.removeprefix("cuda").removeprefix(":") or GPU_ARCHITECTURES[0])
    if level == "native":
        return host()
    if level in cpu.X86_64_LEVELS:
        return Target(_X86_64_TRIPLE, level, tuple(sorted(cpu.X86_64_LEVELS[level])))
    if level in cpu.X86_64_PROCESSORS:
        features = cpu.X86_64_PROCESSORS[level]
        return Target(_X86_64_TRIPLE, cpu.level(features), tuple(sorted(features)))
    known = ", ".join(["native", *cpu.X86_64_LEVELS, *cpu.X86_64_PROCESSORS, "cuda"])
    raise RequestError(f"there is no target called {level!r}", mend=f"choose one of {known}")


def least_host() -> Target:
    """The least of this machine's family of processors: what code that is not to be fast is made for."""
    if cpu.machine() == "aarch64":
        return Target(_AARCH64_TRIPLE, "generic", ())
    return named("x86-64")


def gpu(architecture: str) -> Target:
    """The GPUs of an architecture such as `sm_90a`: kernels need PTX 8.0, which drivers know from CUDA 12.0 on."""
    if architecture not in GPU_ARCHITECTURES:
        known = ", ".join(GPU_ARCHITECTURES)
        raise RequestError(f"there is no GPU architecture {architecture!r}", mend=f"choose one of {known}")
    return Target(_GPU_TRIPLE, architecture, ("ptx80",))
