"""What this machine's processor can do, in LLVM's names, read from the kernel and not through LLVM.

The loader compares it with what a library was compiled for; the compiler takes it as the default target.
"""

from __future__ import annotations

import functools
import platform
from pathlib import Path


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


X86_64_LEVELS: dict[str, frozenset[str]] = {}
_BASE = _words("64bit cmov cx8 fxsr mmx sse sse2")
X86_64_LEVELS["x86-64"] = _BASE
X86_64_LEVELS["x86-64-v2"] = _BASE | _words("cx16 crc32 popcnt sahf sse3 sse4.1 sse4.2 ssse3")
X86_64_LEVELS["x86-64-v3"] = X86_64_LEVELS["x86-64-v2"] | _words("avx avx2 bmi bmi2 f16c fma lzcnt movbe xsave")
X86_64_LEVELS["x86-64-v4"] = X86_64_LEVELS["x86-64-v3"] | _words("avx512bw avx512cd avx512dq avx512f avx512vl")

X86_64_PROCESSORS = {
    "sapphirerapids": X86_64_LEVELS["x86-64-v4"] | _words("amx-bf16 amx-int8 amx-tile avx512bf16 avx512vnni gfni vaes"),
}
"""What processors have beyond a level, where code is to be had for them on other machines."""

# Linux's name for a flag where LLVM's differs, then those where the two agree.
_X86_64_RENAMED = {
    "3dnowprefetch": "prfchw",
    "abm": "lzcnt",
    "amx_bf16": "amx-bf16",
    "amx_complex": "amx-complex",
    "amx_fp16": "amx-fp16",
    "amx_int8": "amx-int8",
    "amx_tile": "amx-tile",
    "avx512_bf16": "avx512bf16",
    "avx512_bitalg": "avx512bitalg",
    "avx512_fp16": "avx512fp16",
    "avx512_vbmi2": "avx512vbmi2",
    "avx512_vnni": "avx512vnni",
    "avx512_vpopcntdq": "avx512vpopcntdq",
    "avx_vnni": "avxvnni",
    "bmi1": "bmi",
    "lahf_lm": "sahf",
    "lm": "64bit",
    "pclmulqdq": "pclmul",
    "pni": "sse3",
    "sha_ni": "sha",
    "sse4_1": "sse4.1",
    "sse4_2": "sse4.2",
}
_X86_64_SAME = _words(
    "adx aes avx avx2 avx512bw avx512cd avx512dq avx512f avx512ifma avx512vbmi avx512vl bmi2"
    " clflushopt clwb cmov cx16 cx8 f16c fma fxsr gfni mmx movbe movdir64b movdiri popcnt sse sse2"
    " ssse3 vaes vpclmulqdq xsave"
)
_AARCH64_RENAMED = {
    "asimd": "neon",
    "asimddp": "dotprod",
    "asimdfhm": "fp16fml",
    "asimdhp": "fullfp16",
    "asimdrdm": "rdm",
    "atomics": "lse",
    "bf16": "bf16",
    "crc32": "crc",
    "fcma": "complxnum",
    "fp": "fp-armv8",
    "i8mm": "i8mm",
    "jscvt": "jsconv",
    "lrcpc": "rcpc",
    "sve": "sve",
    "sve2": "sve2",
}
AARCH64_BASE = frozenset({"fp-armv8", "neon"})


def machine() -> str:
    """The processor family, as a triple begins: `x86_64`, `aarch64`, or what the system calls another."""
    name = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


@functools.cache
def features() -> frozenset[str]:
    """The features of this machine; the least that its family has where the kernel does not say."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    return parse_cpuinfo(text, machine())


def parse_cpuinfo(text: str, family: str) -> frozenset[str]:
    """The features that `/proc/cpuinfo` with content `text` lists for its first processor."""
    label = "flags" if family == "x86_64" else "Features"
    line = next((line for line in text.splitlines() if line.partition(":")[0].strip() == label), "")
    flags = line.partition(":")[2].split()
    if family == "x86_64":
        found = {_X86_64_RENAMED.get(flag, flag) for flag in flags if _known_on_x86_64(flag)}
        if "sse4.2" in found:
            found.add("crc32")  # LLVM names the instruction that SSE4.2 brings apart from it
        return frozenset(found) | X86_64_LEVELS["x86-64"]
    if family == "aarch64":
        return frozenset(_AARCH64_RENAMED[flag] for flag in flags if flag in _AARCH64_RENAMED) | AARCH64_BASE
    return frozenset()


def _known_on_x86_64(flag: str) -> bool:
    return flag in _X86_64_RENAMED or flag in _X86_64_SAME


def level(present: frozenset[str]) -> str:
    """The highest x86-64 level whose features are all `present`."""
    return [name for name, required in X86_64_LEVELS.items() if required <= present][-1]
