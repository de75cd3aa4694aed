"""Features read from /proc/cpuinfo, in LLVM's names."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tenfold_rt import cpu

SERVER = (
    "processor\t: 0\nflags\t\t: fpu lm cmov cx8 fxsr mmx sse sse2 pni ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes"
    " xsave avx f16c lahf_lm abm bmi1 avx2 bmi2 avx512f avx512dq avx512cd avx512bw avx512vl avx512_bf16 amx_tile"
    " amx_bf16 amx_int8 avx_vnni\nbugs\t: none\n"
)


def test_linux_s_names_become_llvm_s() -> None:
    found = cpu.parse_cpuinfo(SERVER, "x86_64")
    assert {"sse3", "sse4.2", "lzcnt", "bmi", "sahf", "crc32", "avx512bf16", "amx-tile", "avxvnni"} <= found
    assert not {"fpu", "pni", "abm", "lm"} & found


def test_level_is_the_highest_that_is_complete() -> None:
    found = cpu.parse_cpuinfo(SERVER, "x86_64")
    assert cpu.level(found) == "x86-64-v4"
    assert cpu.level(found - {"avx512dq"}) == "x86-64-v3"
    assert cpu.level(found - {"movbe"}) == "x86-64-v2"
    assert cpu.level(frozenset(cpu.X86_64_LEVELS["x86-64"])) == "x86-64"


def test_a_kernel_that_says_nothing_leaves_the_base() -> None:
    assert cpu.parse_cpuinfo("", "x86_64") == cpu.X86_64_LEVELS["x86-64"]
    assert cpu.parse_cpuinfo("", "aarch64") == cpu.AARCH64_BASE


def test_aarch64_flags() -> None:
    text = "processor\t: 0\nFeatures\t: fp asimd aes crc32 atomics asimdhp asimddp sve bf16 i8mm\n"
    found = cpu.parse_cpuinfo(text, "aarch64")
    assert {"neon", "lse", "crc", "fullfp16", "dotprod", "sve", "bf16", "i8mm"} <= found


@pytest.mark.skipif(cpu.machine() != "x86_64", reason="LLVM's names of another processor")
def test_llvm_knows_every_feature_and_agrees() -> None:
    program = (
        "import llvmlite.binding as llvm; from tenfold_rt import cpu\n"
        "llvm.initialize_native_target(); host = llvm.get_host_cpu_features()\n"
        "assert all(host.get(f) for f in cpu.features()), [f for f in cpu.features() if not host.get(f)]\n"
        "features = ','.join('+' + f for f in sorted(cpu.features() | cpu.X86_64_LEVELS['x86-64-v4']))\n"
        "llvm.Target.from_default_triple().create_target_machine(cpu='x86-64', features=features)\n"
    )
    command = [sys.executable, "-c", program]
    environment = {"PYTHONPATH": ":".join(sys.path)}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert (result.returncode, result.stderr) == (0, "")
