"""Loop IR as text."""

from __future__ import annotations

from loop_programs import allocated, f32, function, lowered, softmax

from tenfoldc import ops
from tenfoldc.loops.printer import print_program


def test_an_elementwise_kernel_reads_like_a_program() -> None:
    text = print_program(lowered(function([f32(4, 8), f32(4, 8)], lambda x, y: ops.add(ops.multiply(x, y), x))))
    assert text == (
        "program main(arg0: f32[4, 8], arg1: f32[4, 8]) -> (result0: f32[4, 8])\n"
        "\n"
        "kernel k0_multiply_add:\n"
        "  vector i0 in 32:\n"
        "    v0 = arg0[i0]\n"
        "    result0[i0] = ((v0 * arg1[i0]) + v0)\n"
    )


def test_a_reduction_shows_its_carry() -> None:
    text = print_program(lowered(function([f32(4, 80)], lambda x: ops.reduce_sum(x, [1]))))
    assert "    carry sum0 = 0.0\n" in text
    assert "      next sum0 = (sum0 + arg0[i0, i1])\n" in text
    assert "    result0[i0] = sum0\n" in text


def test_an_allocation_shows_where_memory_lies() -> None:
    program, allocation = allocated(function([f32(4, 40)], softmax))
    assert f"  workspace {allocation.workspace_bytes} bytes" in print_program(program, allocation)
    assert "  scratch row0: f32[40] at 0" in print_program(program, allocation)
