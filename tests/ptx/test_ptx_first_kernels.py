"""PTX as LLVM writes it runs in the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from ptx_machine import Memory, Module, Schedule

SCALE = """
.version 8.3
.target sm_80
.address_size 64
.visible .entry scale(.param .u64 .ptr .global .align 4 scale_param_0, .param .u32 scale_param_1,
    .param .f32 scale_param_2)
{
    .reg .pred %p<2>; .reg .b32 %r<8>; .reg .b64 %rd<4>;
    mov.u32 %r1, %ctaid.x;
    mov.u32 %r2, %ntid.x;
    mov.u32 %r3, %tid.x;
    mad.lo.s32 %r4, %r1, %r2, %r3;
    ld.param.b32 %r5, [scale_param_1];
    setp.ge.u32 %p1, %r4, %r5;
    @%p1 bra $L_end;
    ld.param.b64 %rd1, [scale_param_0];
    mul.wide.u32 %rd2, %r4, 4;
    add.s64 %rd3, %rd1, %rd2;
    ld.global.b32 %r6, [%rd3];
    ld.param.b32 %r7, [scale_param_2];
    mul.rn.f32 %r6, %r6, %r7;
    st.global.b32 [%rd3], %r6;
$L_end:
    ret;
}
"""


@pytest.mark.parametrize("seed", range(4))
def test_every_thread_scales_its_element(seed: int) -> None:
    x = np.arange(75, dtype=np.float32)
    memory = Memory()
    address = memory.allocate(x.nbytes)
    memory.write(address, x)
    module = Module(SCALE)
    module.launch("scale", (3, 1, 1), (32, 1, 1), [address, x.size, 2.5], memory, schedule=Schedule(seed))
    assert np.array_equal(np.frombuffer(memory.read(address, x.nbytes), np.float32), x * np.float32(2.5))
