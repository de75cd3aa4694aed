"""What threads do together: warp collectives, atomics, barriers, calls, local memory, and races between blocks."""

from __future__ import annotations

import numpy as np
import pytest
from ptx_machine import (
    BarrierDeadlock,
    Memory,
    Misaligned,
    Module,
    OutOfBounds,
    Race,
    Trap,
    Uninitialised,
)
from ptx_programs import kernel, run

OWN = "mul.wide.u32 %rd20, %r0, 4; add.s64 %rd21, %rd0, %rd20;"
"""%rd21 is the address of the thread's own element of the first array."""

LANES = np.arange(32, dtype=np.uint32)


def own_words(code: str, result: str = "%r9", declarations: str = "", outside: str = "") -> str:
    """A kernel that stores a word for each thread."""
    return kernel(f"{OWN}\n{code}\nst.global.b32 [%rd21], {result};", 1, declarations, outside)


def words(code: str, threads: int = 32, seed: int = 0, blocks: int = 1, **parts: str) -> np.ndarray:
    return run(own_words(code, **parts), [4 * threads], threads, blocks, seed)[0].view(np.uint32)


@pytest.mark.parametrize(
    ("mode", "argument", "bounds", "source"),
    [
        ("bfly", 5, 31, LANES ^ 5),
        ("idx", 7, 31, np.full(32, 7)),
        ("down", 4, 31, np.where(LANES + 4 < 32, LANES + 4, LANES)),
        ("up", 4, 0, np.where(LANES >= 4, LANES - 4, LANES)),
        ("bfly", 1, 0x1F, LANES ^ 1),
        ("down", 1, 0x181F, np.where(LANES % 8 < 7, LANES + 1, LANES)),
        ("idx", 3, 0x1807, LANES // 8 * 8 + 3),
    ],
)
def test_shuffles_take_the_value_of_their_lane(mode: str, argument: int, bounds: int, source: np.ndarray) -> None:
    found = words(f"mul.lo.u32 %r8, %r0, 3; shfl.sync.{mode}.b32 %r9|%p1, %r8, {argument}, {bounds}, -1;")
    assert np.array_equal(found, source * 3)


def test_a_shuffle_of_a_lane_outside_the_mask_is_found() -> None:
    code = "setp.lt.u32 %p1, %r0, 16; mov.b32 %r9, 0; @%p1 shfl.sync.bfly.b32 %r9, %r0, 16, 31, 0xffff;"
    with pytest.raises(Uninitialised, match="lane 16"):
        words(code)


@pytest.mark.parametrize("seed", range(3))
def test_votes_and_reductions_over_a_warp(seed: int) -> None:
    ballot = words("setp.lt.u32 %p1, %r0, 5; vote.sync.ballot.b32 %r9, %p1, -1;", seed=seed)
    assert (ballot == 31).all()
    total = words("redux.sync.add.u32 %r9, %r0, -1;", seed=seed)
    assert (total == LANES.sum()).all()
    match = words("and.b32 %r8, %r0, 1; match.any.sync.b32 %r9, %r8, -1;", seed=seed)
    assert np.array_equal(match, np.where(LANES % 2 == 0, 0x55555555, 0xAAAAAAAA))
    elected = words("elect.sync %r8|%p1, -1; selp.b32 %r9, 1, 0, %p1;", seed=seed)
    assert np.array_equal(elected, LANES == 0)


def test_lanes_that_exited_are_not_waited_for() -> None:
    code = "setp.ge.u32 %p1, %r0, 8; @%p1 st.global.b32 [%rd21], %r0; @%p1 ret; redux.sync.add.u32 %r9, %r0, -1;"
    assert words(code).tolist() == [28] * 8 + list(range(8, 32))


def test_half_a_warp_that_does_not_come_is_found() -> None:
    code = "mov.b32 %r9, 0; setp.lt.u32 %p1, %r0, 16; @%p1 bra $a; $b: bra $b; $a: redux.sync.add.u32 %r9, %r0, -1;"
    code = code.replace("$b: bra $b;", "bar.sync 1, 32;")
    with pytest.raises(BarrierDeadlock):
        words(code)


def test_special_registers() -> None:
    code = "mov.u32 %r5, %ntid.x; mov.u32 %r6, %laneid; mov.u32 %r7, %lanemask_lt; mad.lo.u32 %r9, %r5, 1000, %r6;"
    assert np.array_equal(words(code), 32000 + LANES)


# ---- atomics and blocks


@pytest.mark.parametrize("seed", range(3))
def test_atomic_operations_lose_nothing(seed: int) -> None:
    body = "mov.u32 %r8, %ctaid.x; atom.global.add.u32 %r9, [%rd0], 1; red.global.max.u32 [%rd1], %r8;"
    counter, greatest = run(kernel(body), [np.zeros(1, np.uint32)] * 2, threads=40, blocks=5, seed=seed)
    assert counter[0] == 200
    assert greatest[0] == 4


def test_tickets_of_atomics_are_all_different() -> None:
    body = f"{OWN} atom.global.add.u32 %r9, [%rd1], 1; st.global.b32 [%rd21], %r9;"
    tickets, _ = run(kernel(body), [256, np.zeros(1, np.uint32)], threads=64)
    assert sorted(tickets.view(np.uint32).tolist()) == list(range(64))


LOOK_BACK = """
    mov.u32 %r1, %ctaid.x;
    mul.wide.u32 %rd3, %r1, 4;
    add.s64 %rd4, %rd0, %rd3;
    add.s64 %rd5, %rd1, %rd3;
    setp.eq.u32 %p1, %r1, 0;
    mov.b32 %r5, 0;
    @%p1 bra $mine;
$wait:
    ld.acquire.gpu.global.b32 %r4, [%rd5+-4];
    setp.eq.u32 %p2, %r4, 0;
    @%p2 bra $wait;
    ld.global.b32 %r5, [%rd4+-4];
$mine:
    add.u32 %r5, %r5, 1;
    st.global.b32 [%rd4], %r5;
    st.release.gpu.global.b32 [%rd5], 1;
"""


@pytest.mark.parametrize("seed", range(4))
def test_blocks_that_wait_for_each_other_make_progress(seed: int) -> None:
    sums, _ = run(kernel(LOOK_BACK), [24, np.zeros(6, np.uint32)], threads=1, blocks=6, seed=seed)
    assert sums.view(np.uint32).tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("seed", range(4))
def test_a_flag_without_release_is_a_race(seed: int) -> None:
    text = kernel(LOOK_BACK.replace("st.release.gpu", "st.relaxed.gpu"))
    with pytest.raises(Race):
        run(text, [24, np.zeros(6, np.uint32)], threads=1, blocks=6, seed=seed)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "body",
    [
        "mov.u32 %r1, %ctaid.x; st.global.b32 [%rd0], %r1;",
        "mov.u32 %r1, %ctaid.x; ld.global.b32 %r2, [%rd0]; add.u32 %r1, %r1, 5; st.global.b32 [%rd0], %r1;",
        "ld.global.b32 %r2, [%rd0]; setp.eq.u32 %p1, %r0, 0; @%p1 st.global.b32 [%rd0], 9;",
    ],
)
def test_races_between_blocks_are_found(body: str, seed: int) -> None:
    with pytest.raises(Race):
        run(kernel(body, 1), [np.zeros(1, np.uint32)], threads=1, blocks=3, seed=seed)


def test_storing_the_same_value_twice_is_no_race() -> None:
    (found,) = run(kernel("st.global.b32 [%rd0], 7;", 1), [4], threads=64, blocks=2)
    assert found.view(np.uint32)[0] == 7


# ---- memory


def test_freed_memory_and_fresh_memory_are_not_readable() -> None:
    memory = Memory()
    address = memory.allocate(16)
    module = Module(kernel("ld.global.b32 %r1, [%rd0];", 1))
    with pytest.raises(Uninitialised):
        module.launch("k", (1, 1, 1), (1, 1, 1), [address], memory)
    with pytest.raises(Uninitialised):
        memory.read(address, 16)
    memory.free(address)
    with pytest.raises(OutOfBounds, match="freed"):
        module.launch("k", (1, 1, 1), (1, 1, 1), [address], memory)
    with pytest.raises(OutOfBounds):
        memory.free(address)
    assert memory.allocate(16) != address


def test_generic_addresses_reach_shared_and_local_memory() -> None:
    code = """
        mov.b64 %rd3, cell; cvta.shared.u64 %rd4, %rd3; mul.wide.u32 %rd5, %r0, 4; add.s64 %rd4, %rd4, %rd5;
        mov.b64 %rd6, depot; cvta.local.u64 %rd7, %rd6;
        st.b32 [%rd4], %r0; st.b32 [%rd7+4], 100; bar.sync 0;
        ld.shared.b32 %r5, [cell+8]; ld.local.b32 %r6, [depot+4]; add.u32 %r9, %r5, %r6;
    """
    declarations = ".local .align 8 .b8 depot[16]; .shared .align 4 .b8 cell[128];"
    assert (words(code, declarations=declarations) == 102).all()


def test_the_constants_of_a_file_are_read() -> None:
    outside = (
        ".const .align 4 .b8 table[8] = {1, 0, 0, 0, 255, 255};\n.global .align 8 .u64 where = generic(numbers);\n"
    )
    outside += ".global .align 4 .u32 numbers[2] = {7, 8};"
    code = (
        "ld.const.b32 %r5, [table+4]; ld.global.b64 %rd5, [where]; ld.global.b32 %r6, [%rd5+4]; add.u32 %r9, %r5, %r6;"
    )
    assert (words(code, outside=outside) == 65535 + 8).all()


def test_accesses_outside_shared_memory_are_found() -> None:
    declarations = ".shared .align 16 .b8 cell[64];"
    with pytest.raises(OutOfBounds, match="64 bytes of shared"):
        words("st.shared.b32 [cell+64], %r0; mov.b32 %r9, 0;", declarations=declarations)
    with pytest.raises(Misaligned):
        words("ld.shared.b64 %rd9, [cell+4]; mov.b32 %r9, 0;", declarations=declarations)


def test_a_function_is_called_by_threads_that_went_apart() -> None:
    outside = """
.func (.param .b32 func_retval0) twice(.param .b32 twice_param_0)
{
    .reg .b32 %r<3>;
    ld.param.b32 %r1, [twice_param_0];
    add.u32 %r2, %r1, %r1;
    st.param.b32 [func_retval0], %r2;
    ret;
}
"""
    code = """
        mov.b32 %r9, 1000;
        and.b32 %r5, %r0, 1; setp.eq.u32 %p1, %r5, 0; @%p1 bra $end;
        { .param .b32 param0; .param .b32 retval0;
        st.param.b32 [param0], %r0;
        call.uni (retval0), twice, (param0);
        ld.param.b32 %r9, [retval0]; }
        $end:
    """
    assert np.array_equal(words(code, outside=outside), np.where(LANES % 2 == 1, 2 * LANES, 1000))


def test_a_branch_table_sends_threads_apart() -> None:
    code = """
        and.b32 %r5, %r0, 3;
        setp.gt.u32 %p1, %r5, 2; mov.b32 %r9, 99; @%p1 bra $end;
        $table: .branchtargets $zero, $one, $two;
        brx.idx %r5, $table;
        $zero: mov.b32 %r9, 10; bra.uni $end;
        $one: mov.b32 %r9, 11; bra.uni $end;
        $two: mov.b32 %r9, 12;
        $end:
    """
    assert words(code).tolist() == [10, 11, 12, 99] * 8


@pytest.mark.parametrize("seed", range(4))
def test_named_barriers_hand_data_from_warp_to_warp(seed: int) -> None:
    code = """
        setp.ge.u32 %p1, %r0, 32; mov.b32 %r9, 5; and.b32 %r5, %r0, 31; mul.lo.u32 %r5, %r5, 4;
        mov.b32 %r6, cell; add.u32 %r6, %r6, %r5;
        @%p1 bra $consume;
        st.shared.b32 [%r6], %r0; bar.arrive 3, 64; bra.uni $end;
        $consume: bar.sync 3, 64; ld.shared.b32 %r9, [%r6];
        $end:
    """
    declarations = ".shared .align 4 .b8 cell[128];"
    found = words(code, 64, seed, declarations=declarations)
    assert np.array_equal(found, np.concatenate([np.full(32, 5), LANES]))


def test_a_mask_that_leaves_out_the_thread_is_found() -> None:
    with pytest.raises(Trap, match="mask"):
        words("redux.sync.add.u32 %r9, %r0, 0xfffffffe;")


def test_a_loop_of_a_thousand_steps_is_quick() -> None:
    steps = " ".join("mad.lo.u32 %r9, %r9, 3, %r0; xor.b32 %r9, %r9, %r8;" for _ in range(14))
    code = f"mov.b32 %r9, 1; mov.b32 %r8, 0; $loop: {steps} add.u32 %r8, %r8, 1;"
    code += "setp.lt.u32 %p1, %r8, 1000; @%p1 bra $loop;"
    found = words(code)
    expected = np.ones(32, np.uint32)
    for i in range(1000):
        for _ in range(14):
            expected = (expected * np.uint32(3) + LANES) ^ np.uint32(i)
    assert np.array_equal(found, expected)
