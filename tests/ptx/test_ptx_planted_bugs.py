"""Working kernels run under every schedule, and each defect that is planted in one is found, with its own class."""

from __future__ import annotations

import re

import numpy as np
import pytest
from ptx_machine import (
    BarrierDeadlock,
    MBarrierDeadlock,
    MBarrierMisuse,
    Misaligned,
    OutOfBounds,
    PtxError,
    Race,
    Schedule,
    Trap,
    Uninitialised,
    UnknownInstruction,
)
from ptx_matmuls import PROGRAMS, TOLERANCE


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_working_kernel_passes(name: str, seed: int) -> None:
    program = PROGRAMS[name]
    found, expected = program.run(program.text, Schedule(seed))
    assert np.abs(found - expected).max() < TOLERANCE[name]


def changed(text: str, pattern: str, replacement: str, occurrence: int = 0) -> str:
    """`text` with one occurrence of the pattern replaced."""
    match = [*re.finditer(pattern, text)][occurrence]
    return text[: match.start()] + match.expand(replacement) + text[match.end() :]


EARLY = (Race, Uninitialised)
"""Who reads too early finds either what another thread writes unordered, or nothing yet."""

BUGS: dict[str, tuple[str, str, str, int, type[PtxError] | tuple[type[PtxError], ...]]] = {
    "the barrier after the loads is dropped": ("matmul_tiled", r"bar\.sync\s+0;", "", 0, Race),
    "the barrier at the end of the loop is dropped": ("matmul_tiled", r"bar\.sync\s+0;", "", 1, Race),
    "the barrier of a reduction is dropped": ("row_sums", r"bar\.sync\s+0;", "", 0, EARLY),
    "a warp diverges at a barrier": (
        "matmul_tiled", r"bar\.sync\s+0;", "setp.ne.b32 %p1, %r1, 5; @%p1 bar.sync 0; @!%p1 bar.sync 0;", 0,
        BarrierDeadlock,
    ),
    "the barrier counts warps that do not exist": (
        "row_sums", r"bar\.sync\s+0;", "bar.sync 0, 160;", 0, BarrierDeadlock,
    ),
    "a loop runs one step too far": ("row_sums", r"setp\.lt\.s32 ", "setp.le.s32 ", 0, OutOfBounds),
    "a vector load is misaligned": (
        "row_sums", r"(ld\.global\.nc\.v4\.b32\s+\{.*\}, \[%rd\d+)\]", r"\1+4]", 0, Misaligned,
    ),
    "a store is past the end": ("row_sums", r"(st\.global\.b32\s+\[%rd\d+)\]", r"\1+4]", 0, OutOfBounds),
    "every thread stores its own value to one place": (
        "row_sums", r"@%p4 bra\s+\$L__BB0_7;([\s\S]*?st\.global\.b32\s+\[%rd\d+\], )%r\d+;", r"\1%r1;", 0, Race,
    ),
    "a partial sum is not stored": ("row_sums", r"st\.shared\.b32\s+\[%rd\d+\], %r\d+;", "", 0, Uninitialised),
    "a shuffle's mask lacks a lane": ("row_sums", r"16, 31, -1;", "16, 31, 0x7fffffff;", 0, Trap),
    "a shuffle is run by half a warp": (
        "row_sums", r"(shfl\.sync\.bfly\.b32\s+%r15?\d*, %r\d+, 8)",
        r"and.b32 %r23, %r1, 16; setp.eq.b32 %p3, %r23, 0; @%p3 \1", 0, BarrierDeadlock,
    ),
    "a modifier is not known": ("row_sums", r"add\.rn\.f32", "add.rna.f32", 0, UnknownInstruction),
    "cp.async is not waited for": ("matmul_mma", r"cp\.async\.wait_group\s+1;", "", 0, Race),
    "cp.async is waited for one group too few": ("matmul_mma", r"wait_group\s+1;", "wait_group 2;", 0, Race),
    "a group is not committed": ("matmul_mma", r"cp\.async\.commit_group;", "", 1, Race),
    "the barrier after the wait is dropped": ("matmul_mma", r"bar\.sync\s+0;", "", 0, Race),
    "a stage is overwritten while it is read": ("matmul_mma", r"bar\.sync\s+0;", "", 1, Race),
    "ldmatrix reads a row at an odd address": ("matmul_mma", r"(ldmatrix.*\[%rd\d+)\]", r"\1+2]", 0, Misaligned),
    "a consumer does not arrive": ("matmul_wgmma", r"mbarrier\.arrive\.shared\.b64 [^;]*;", "", 0, MBarrierDeadlock),
    "the producer waits for the wrong parity": (
        "matmul_wgmma", r"mov\.b32(\s+%r82), 1;", r"mov.b32\1, 0;", 0, MBarrierDeadlock,
    ),
    "an mbarrier expects too many arrivals": (
        "matmul_wgmma", r"mov\.b32(\s+%r\d+), 2;(\s+mbarrier\.init)", r"mov.b32\1, 3;\2", 0, MBarrierDeadlock,
    ),
    "an mbarrier is arrived at too often": (
        "matmul_wgmma", r"mov\.b32(\s+%r\d+), 2;(\s+mbarrier\.init)", r"mov.b32\1, 0;\2", 0, MBarrierMisuse,
    ),
    "an mbarrier is not initialised": (
        "matmul_wgmma", r"mbarrier\.init\.shared\.b64\s+\[empty\], [^;]*;", "", 0, MBarrierMisuse,
    ),
    "the initialisation of mbarriers is not fenced": (
        "matmul_wgmma", r"fence\.mbarrier_init[^;]*;\s*fence\.proxy\.async[^;]*;", "", 0, Race,
    ),
    "the mbarrier's bytes are not expected": (
        "matmul_wgmma", r"mov\.b32(\s+%r\d+), 24576;(\s+mbarrier\.arrive)", r"mov.b32\1, 16384;\2", 0,
        (Race, MBarrierMisuse),
    ),
    "consumers do not wait for the copies": (
        "matmul_wgmma", r"mbarrier\.try_wait\.parity\.shared\.b64\s+(%p\d+), [^;]*;", r"setp.eq.u32 \1, 0, 0;", 0,
        EARLY,
    ),
    "wgmma.fence is dropped": ("matmul_wgmma", r"wgmma\.fence[^;]*;", "", 0, Race),
    "accumulators are read too early": ("matmul_wgmma", r"wgmma\.wait_group\.sync\.aligned\s+0;", "", 0, Race),
    "a stage is given back before its products ended": (
        "matmul_wgmma", r"wgmma\.wait_group\.sync\.aligned\s+1;", "", 0, Race,
    ),
    "products are not committed": ("matmul_wgmma", r"wgmma\.commit_group[^;]*;", "", 0, Race),
}  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(bug: str, seed: int) -> None:
    name, pattern, replacement, occurrence, kind = BUGS[bug]
    program = PROGRAMS[name]
    text = changed(program.text, pattern, replacement, occurrence)
    with pytest.raises(kind, match=rf"at line \d+ of {name}"):
        program.run(text, Schedule(seed))
