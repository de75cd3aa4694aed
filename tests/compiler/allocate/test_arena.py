"""Where temporaries lie: apart while they live, in each other's place when they do not."""

from __future__ import annotations

import math

import pytest
from loop_programs import allocated, dense, f32, function

from tenfoldc import ops
from tenfoldc.allocate.lifetimes import lifetimes
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.loops.ir import Allocation, Buffer, Program


def bytes_of(buffer: Buffer) -> int:
    return math.prod(buffer.shape) * buffer.dtype.itemsize


def check_apart(program: Program, allocation: Allocation) -> None:
    """Buffers that live at one time must not overlap, and all must lie inside the workspace."""
    lives = {buffer: life for buffer, life in lifetimes(program).items() if buffer in allocation.offsets}
    for first, life in lives.items():
        start, end = allocation.offsets[first], allocation.offsets[first] + bytes_of(first)
        assert start % 64 == 0
        assert end <= allocation.workspace_bytes
        for second, other in lives.items():
            if first is second or not life.meets(other):
                continue
            offset = allocation.offsets[second]
            assert offset >= end or offset + bytes_of(second) <= start


def layers(count: int) -> tuple[Program, Allocation]:
    def network(x: Var, w: Var, b: Var) -> Var:
        for _ in range(count):
            x = ops.tanh(dense(x, w, b))
        return x

    return allocated(function([f32(32, 32), f32(32, 32), f32(32)], network))


@pytest.mark.parametrize("count", [2, 5, 12])
def test_temporaries_that_live_together_lie_apart(count: int) -> None:
    check_apart(*layers(count))


def test_memory_does_not_grow_with_depth() -> None:
    assert layers(12)[1].workspace_bytes == layers(4)[1].workspace_bytes


def test_a_program_without_temporaries_needs_no_workspace() -> None:
    _, allocation = allocated(function([f32(32)], ops.tanh))
    assert allocation.workspace_bytes == 0


def test_what_outlives_a_turn_of_a_loop_lies_apart_from_what_a_turn_uses() -> None:
    def loop(x: Var, y: Var) -> Var:
        total = ops.tanh(ops.reverse(y, [0]))

        def body(a: Var, b: Var) -> tuple[Var, Var]:
            product = ops.dot_general(a, b, lhs_contracting=[1], rhs_contracting=[0])
            return ops.reverse(ops.tanh(product), [0]), b

        def condition(a: Var, _: Var) -> tuple[Var]:
            largest = ops.reduce_max(a, [0, 1])
            return (ops.compare(largest, ops.full_like(largest, 0.5), ops.Direction.GT),)

        types = [x.type, total.type]
        regions = [build_region(types, region, like=x.builder) for region in (condition, body)]
        results = ops.while_([x, total], *regions)
        return ops.add(results[0], results[1])

    check_apart(*allocated(function([f32(16, 16), f32(16, 16)], loop)))


def test_the_workspace_of_an_empty_tensor_is_empty() -> None:
    def twice(x: Var) -> Var:
        y = ops.exponential(x)
        return ops.dot_general(y, y, lhs_contracting=[0], rhs_contracting=[0])

    program, allocation = allocated(function([f32(0, 4)], twice))
    check_apart(program, allocation)
