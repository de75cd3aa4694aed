"""The work of kernels: operations and bytes as a person would count them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tenfold as tn
from tenfold_rt import dtypes
from tenfoldc.allocate import allocate
from tenfoldc.fuse import fuse
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, Carry, Constant, Expr, For, If, Kernel, Load, Local, Store, While
from tenfoldc.loops.work import Work, work
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.simplify import simplify
from tenfoldc.target import host
from tenfoldc.widen import widen

X, Y, T = (Buffer(name, dtypes.f32, (100,)) for name in "xyt")
SCRATCH = Buffer("scratch", dtypes.f32, (100,))
D = Buffer("d", dtypes.f64, (100,))
ROW, COLUMN = Axis("i"), Axis("j")
ONE = Constant(1.0, dtypes.f32)


def number(value: int) -> Constant:
    return Constant(value, dtypes.i64)


def of(*body: Any) -> Work | None:
    return work(Kernel("k", body, scratch=(SCRATCH,)))


def of_program(function: Callable[..., Any], *specs: tn.Spec) -> list[Work | None]:
    """The work of each kernel that a function compiles to."""
    module = tn.compile(function).lower(*specs).module
    simplified = simplify(widen(module), module.entries[0])
    program = schedule(lower(simplified, fuse(simplified), cpu_rules(host())), host())
    allocate(program)
    return [work(kernel) for kernel in program.kernels]


def test_a_loop_does_its_body_once_a_turn() -> None:
    value = scalar.mul(scalar.add(Load(X, (ROW,)), ONE), Load(Y, (ROW,)))
    assert of(For(ROW, number(100), (Store(T, (ROW,), value),))) == Work(200, 0, 1200)


def test_doubles_count_apart() -> None:
    value = scalar.add(Load(D, (ROW,)), Load(D, (ROW,)))
    assert of(For(ROW, number(100), (Store(D, (ROW,), value),))) == Work(0, 100, 1600)


def test_what_a_loop_does_not_change_counts_outside_of_it() -> None:
    square = scalar.mul(Load(X, (ROW,)), Load(X, (ROW,)))
    inner = For(COLUMN, number(10), (Store(T, (COLUMN,), scalar.add(square, Load(Y, (COLUMN,)))),))
    counted = of(For(ROW, number(100), (inner,)))
    assert counted is not None
    assert counted.f32_flops == 100 + 1000


def test_a_buffer_counts_once_however_often_it_is_read() -> None:
    inner = For(COLUMN, number(10), (Store(T, (ROW,), Load(X, (COLUMN,))),))
    assert of(For(ROW, number(100), (inner,))) == Work(0, 0, 4 * (10 * 10 + 100))


def test_scratch_and_what_the_kernel_wrote_itself_is_free() -> None:
    first = For(ROW, number(100), (Store(SCRATCH, (ROW,), ONE), Store(T, (ROW,), ONE)))
    second = For(COLUMN, number(100), (Store(Y, (COLUMN,), scalar.add(Load(SCRATCH, (COLUMN,)), Load(T, (COLUMN,)))),))
    assert of(first, second) == Work(100, 0, 800)


def test_loops_of_different_lengths_are_added_up() -> None:
    inner = For(COLUMN, scalar.add(ROW, number(1)), (Store(T, (COLUMN,), scalar.add(Load(X, (COLUMN,)), ONE)),))
    counted = of(For(ROW, number(10), (inner,)))
    assert counted is not None
    assert counted.f32_flops == 55


def test_conditions_on_indices_are_decided_and_others_take_the_longer_branch() -> None:
    one = Store(T, (ROW,), scalar.add(Load(X, (ROW,)), ONE))
    two = Store(T, (ROW,), scalar.add(scalar.add(Load(X, (ROW,)), ONE), ONE))

    def counted(condition: Expr) -> int:
        found = of(For(ROW, number(100), (If(condition, (one,), (two,)),)))
        assert found is not None
        return found.f32_flops

    assert counted(scalar.less(ROW, number(10))) == 10 + 90 * 2
    assert counted(scalar.less(Load(Y, (ROW,)), ONE)) == 200


def test_a_loop_that_data_ends_is_not_known() -> None:
    value, result = Local("value", dtypes.f32), Local("result", dtypes.f32)
    carry = Carry(value, ONE, scalar.add(value, ONE), result)
    assert of(While((carry,), scalar.less(value, Load(X, (number(0),))), ())) is None


@pytest.mark.parametrize(("m", "k", "n"), [(64, 64, 64), (70, 130, 65), (257, 300, 129), (1, 500, 3)])
def test_products_take_two_operations_an_element_and_move_each_matrix_once(m: int, k: int, n: int) -> None:
    (counted,) = of_program(lambda x, y: x @ y, tn.f32[m, k], tn.f32[k, n])
    assert counted is not None
    assert counted.f32_flops == pytest.approx(2 * m * k * n, rel=0.02, abs=4 * m * n)
    assert counted.bytes == 4 * (m * k + k * n + m * n)


def test_a_gather_moves_the_rows_that_it_takes() -> None:
    (counted,) = of_program(lambda x, i: x[i], tn.f32[100_000, 64], tn.i32[10])
    assert counted is not None
    assert counted.bytes == 2 * 10 * 64 * 4 + 10 * 4


def test_a_loop_that_counts_is_followed() -> None:
    """Sines of 100 numbers, ten times over: the numbers are moved once."""
    (once,) = of_program(lambda x: tn.sin(x), tn.f32[100])
    (counted,) = of_program(lambda x: tn.fori_loop(0, 10, lambda i, x: tn.sin(x), x), tn.f32[100])
    assert once is not None
    assert counted is not None
    assert counted.f32_flops == 10 * once.f32_flops


def test_a_scan_does_its_body_for_each_row() -> None:
    def step(carry: tn.Tensor, row: tn.Tensor) -> tuple[tn.Tensor, tn.Tensor]:
        return carry + row, carry

    counts = of_program(lambda x: tn.scan(step, tn.zeros(8), x), tn.f32[20, 8])
    assert sum(count.f32_flops for count in counts if count is not None) == 20 * 8


def test_a_loop_that_sums_up_data_to_end_is_not_known() -> None:
    def is_small(x: tn.Tensor) -> tn.Tensor:
        return tn.sum(x) < 10

    assert None in of_program(lambda x: tn.while_loop(is_small, lambda x: x + 1, x), tn.f32[100])
