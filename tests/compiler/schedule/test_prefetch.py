"""Rows that are passed over several times are asked for one ahead; what a processor foresees is not."""

from __future__ import annotations

import pytest
from loop_programs import along_rows, f32, function, i32, layer_norm, lowered, softmax

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function
from tenfoldc.loops.ir import Constant, For, Kernel, Prefetch
from tenfoldc.loops.traversal import walk_statements


def asked_for(source: Function) -> list[str]:
    """The buffers whose next rows the kernels of `source` ask for."""
    kernels = lowered(source).kernels
    found = [s for kernel in kernels for s in walk_statements(kernel.body) if isinstance(s, Prefetch)]
    return [prefetch.buffer.name for prefetch in found]


def loops_of_a_row(kernel: Kernel) -> list[For]:
    """The loops within the innermost loop that holds several."""
    rows = [s for s in walk_statements(kernel.body) if isinstance(s, For) and len(s.body) > 1]
    return [statement for statement in rows[-1].body if isinstance(statement, For)]


def test_the_next_row_is_asked_for_before_the_longest_pass() -> None:
    (kernel,) = lowered(function([f32(64, 1024)], softmax)).kernels
    of_a_row = loops_of_a_row(kernel)
    is_prefetch = [isinstance(loop.body[0], Prefetch) if loop.body else False for loop in of_a_row]
    exponentials = next(place for place, loop in enumerate(of_a_row) if loop.body and loop.carries)
    assert is_prefetch.index(True) == exponentials - 1


def test_a_cache_line_is_asked_for_once() -> None:
    (kernel,) = lowered(function([f32(64, 1000)], softmax)).kernels
    (loop,) = [loop for loop in loops_of_a_row(kernel) if any(isinstance(s, Prefetch) for s in loop.body)]
    assert isinstance(loop.extent, Constant)
    assert loop.extent.value == -(-1000 // 16)


def test_what_every_row_reads_alike_is_not_asked_for() -> None:
    assert asked_for(function([f32(64, 1024), f32(1024), f32(1024)], layer_norm)) == ["arg0"]


@pytest.mark.parametrize("columns", [40, 100_000])
def test_short_rows_and_rows_beyond_the_cache_are_not_asked_for(columns: int) -> None:
    assert not asked_for(function([f32(64, columns)], softmax))


def test_one_pass_over_memory_needs_no_help() -> None:
    def sums(x: Var) -> Var:
        return ops.reduce_sum(x, [1])

    assert not asked_for(function([f32(64, 1024)], sums))


def test_rows_that_indices_choose_are_not_asked_for() -> None:
    """The next index may lie outside of what holds the indices."""

    def chosen(x: Var, rows: Var) -> Var:
        numbers = ops.GatherDimensionNumbers(
            offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=1
        )
        return softmax(ops.gather(x, ops.reshape(rows, (64, 1)), numbers, (1, 1024)))

    assert "arg0" not in asked_for(function([f32(500, 1024), i32(64)], chosen))


def test_a_second_pass_that_writes_is_left_alone() -> None:
    def shares(x: Var) -> Var:
        return ops.divide(x, along_rows(ops.reduce_sum(x, [1]), x))

    def spread(x: Var) -> Var:
        return ops.reduce_sum(ops.square(ops.subtract(x, along_rows(ops.reduce_max(x, [1]), x))), [1])

    assert not asked_for(function([f32(64, 1024)], shares))
    assert asked_for(function([f32(64, 1024)], spread)) == ["arg0"]
