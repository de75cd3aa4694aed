"""Costly operations on one number per row: which are done for many rows at once, and that rows keep their numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from compiled import Case, case, check, close
from loop_programs import along_rows, f32, function, layer_norm, softmax
from numpy.typing import NDArray

from tenfoldc import ops
from tenfoldc.fuse import fuse
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Apply, Call, Expr, For, Mode, Primitive, Program
from tenfoldc.loops.traversal import all_expressions, parallel_loops, walk_statements
from tenfoldc.loops.verifier import verify_program
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule
from tenfoldc.target import named

X86 = named("x86-64-v3")


def log_sum_exp(x: Var) -> Var:
    return ops.log(ops.reduce_sum(ops.exponential(x), [1]))


def log_softmax(x: Var) -> Var:
    return ops.subtract(x, along_rows(log_sum_exp(x), x))


def norm(x: Var) -> Var:
    return ops.sqrt(ops.reduce_sum(ops.square(x), [1]))


def normalised(x: Var) -> Var:
    ones = ops.full(x.builder, f32(x.sizes[1]), 1.0)
    return layer_norm(x, ones, ones)


def at_a_column(x: Var, column: Var) -> Var:
    """For each row its element in a column that the row names, less the row's `log_sum_exp`."""
    place = ops.reshape(column, (x.sizes[0], 1))
    number = ops.iota(x.builder, place.type, 0)
    numbers = ops.GatherDimensionNumbers((), (0, 1), (), (), (0, 1), 1)
    picked = ops.gather(x, ops.concatenate([number, place], 1), numbers, (1, 1))
    return ops.subtract(picked, log_sum_exp(x))


def scheduled(
    types: Sequence[TensorType], compute: Callable[..., Var], donated: Sequence[tuple[int, int]] = ()
) -> Program:
    source = function(types, compute, donated)
    program = schedule(lower(source, fuse(source), cpu_rules(X86)), X86)
    verify_program(program)
    return program


def loops_with(program: Program, name: str) -> list[For]:
    """The innermost loops that compute the function or operation `name`."""

    def does(expression: Expr) -> bool:
        if isinstance(expression, Call):
            return expression.function.name.startswith(name)
        return isinstance(expression, Apply) and expression.primitive is Primitive.__members__.get(name)

    loops = [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, For)]
    innermost = [loop for loop in loops if not any(isinstance(inner, For) for inner in loop.body)]
    return [loop for loop in innermost if any(map(does, all_expressions([loop])))]


@pytest.mark.parametrize(
    ("compute", "name"), [(log_sum_exp, "log."), (log_softmax, "log."), (norm, "SQRT"), (normalised, "SQRT")]
)
@pytest.mark.parametrize("columns", [21, 37, 100])
def test_one_vector_has_the_numbers_of_many_rows(compute: Callable[..., Var], name: str, columns: int) -> None:
    program = scheduled([f32(4096, columns)], compute)
    (loop,) = loops_with(program, name)
    assert loop.mode is Mode.VECTOR
    assert len(loop.body) == 1
    assert not any(isinstance(e, Call) and e.function.name == "exp.f32" for e in all_expressions([loop]))


def test_each_thread_keeps_the_numbers_of_its_own_rows() -> None:
    program = scheduled([f32(4096, 37)], log_softmax)
    (kernel,) = program.kernels
    (shared,) = parallel_loops(kernel.body)
    assert {buffer for buffer in kernel.scratch if buffer.shape == (64,)} <= set(shared.private)
    assert [buffer.name[:4] for buffer in shared.private if buffer.shape == (64,)] == ["kept", "numb"]


def test_fewer_rows_are_kept_of_longer_ones() -> None:
    (kernel,) = scheduled([f32(4096, 200)], log_softmax).kernels
    assert {buffer.shape for buffer in kernel.scratch} == {(16,)}


@pytest.mark.parametrize("rows", [8, 4096])
def test_long_rows_and_few_rows_stay_whole(rows: int) -> None:
    (kernel,) = scheduled([f32(rows, 37 if rows == 8 else 3000)], log_softmax).kernels
    assert not kernel.scratch


def test_nothing_is_kept_where_every_element_needs_the_operation_anyway() -> None:
    assert not any(b.name.startswith("number") for k in scheduled([f32(4096, 37)], softmax).kernels for b in k.scratch)


def test_a_row_that_is_changed_in_place_is_not_read_again() -> None:
    """The later rows of a block are read before the first ones are changed, all in the memory that was given."""
    for donated in ((), ((0, 0),)):
        program = scheduled([f32(4096, 37)], log_softmax, donated)
        assert any(kernel.scratch for kernel in program.kernels) == (not donated)


def normal(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def test_every_row_has_its_own_numbers(tmp_path: Path) -> None:
    tolerance = close(f32=4e-6, f64=2e-14)
    cases: list[Case] = []
    shapes = [(1, 3), (16, 1), (17, 5), (63, 16), (64, 24), (65, 37), (130, 8), (1000, 33), (4099, 16), (700, 250)]
    for dtype in ("float32", "float64"):
        for rows, columns in shapes:
            x = normal(rows, columns).astype(dtype)
            x[rows // 2, 0], x[rows // 3, columns - 1] = np.nan, np.inf
            for compute in (log_sum_exp, log_softmax, norm):
                cases.append(case(f"{compute.__name__} {dtype} {x.shape}", compute, x, compare=tolerance))
            if dtype == "float32":
                cases.append(case(f"normalised {x.shape}", normalised, normal(rows, columns), compare=tolerance))
    column = np.random.default_rng(6).integers(0, 37, 5000).astype(np.int32)
    cases.append(case("at a column", at_a_column, normal(5000, 37), column, compare=tolerance))
    check(cases, tmp_path)
