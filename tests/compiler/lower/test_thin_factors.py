"""Products of a row, or of few rows or columns: the large factor is read once, in the order of memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiled import Case, call, case, check, close, compile_library
from loop_programs import f32, function, lowered, scratch_of

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.loops.index_algebra import IndexAlgebra
from tenfoldc.loops.ir import Constant, For, Load, Mode, MultiplyPanels, Program
from tenfoldc.loops.traversal import all_expressions, walk_statements

SIZES = [
    (512, 100, 1),
    (100, 512, 3),
    (9, 1300, 2),
    (2, 70, 300),
    (3, 64, 9),
    (1, 1500, 40),
    (1, 7, 3),
    (8, 1, 1),
    (5, 0, 2),
    (3, 3, 3),
]


def product(lhs_axis: int, rhs_axis: int) -> Callable[[Var, Var], Var]:
    """A product of matrices, summed over one axis of each, as a function to compile."""

    def compute(x: Var, y: Var) -> Var:
        return ops.dot_general(x, y, lhs_contracting=[lhs_axis], rhs_contracting=[rhs_axis])

    return compute


def shapes(m: int, k: int, n: int, lhs_axis: int, rhs_axis: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return ((m, k) if lhs_axis else (k, m)), ((n, k) if rhs_axis else (k, n))


def steps(program: Program) -> dict[str, set[int]]:
    """By how many elements innermost loops walk through each parameter."""
    found: dict[str, set[int]] = {}
    for kernel in program.kernels:
        for loop in walk_statements(kernel.body):
            if not isinstance(loop, For) or any(isinstance(s, For) for s in loop.body):
                continue
            algebra = IndexAlgebra()
            algebra.declare(loop.axis, None)
            for load in all_expressions([loop]):
                if isinstance(load, Load) and load.buffer.storage in program.parameters:
                    terms = dict(algebra.offset(load.index, load.buffer.shape).terms)
                    found.setdefault(load.buffer.storage.name, set()).add(terms.get(loop.axis, 0))
    return found


@pytest.mark.parametrize(("lhs_axis", "rhs_axis"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_matrix_times_few_columns_is_read_in_order(lhs_axis: int, rhs_axis: int, columns: int) -> None:
    types = [f32(*shape) for shape in shapes(512, 512, columns, lhs_axis, rhs_axis)]
    program = lowered(function(types, product(lhs_axis, rhs_axis)))
    if columns == 1 or lhs_axis == 1:
        assert steps(program)[program.parameters[0].name] <= {0, 1}
        assert not any(isinstance(s, MultiplyPanels) for k in program.kernels for s in walk_statements(k.body))
    else:  # three rows of a product of the transposes
        (rows,) = {s.rows for k in program.kernels for s in walk_statements(k.body) if isinstance(s, MultiplyPanels)}
        assert rows == 3


def test_the_columns_of_a_row_are_summed_in_one_loop() -> None:
    program = lowered(function([f32(1000, 1000), f32(1000, 3)], product(1, 0)))
    loops = [s for k in program.kernels for s in walk_statements(k.body) if isinstance(s, For) and s.carries]
    assert {len(loop.carries) for loop in loops} == {3}
    assert [buffer.shape for buffer in scratch_of(program)] == [(3, 1000)]


def test_few_rows_times_a_matrix_that_lies_transposed_are_dots_with_its_rows() -> None:
    program = lowered(function([f32(2, 512), f32(600, 512)], product(1, 1)))
    innermost = [s for k in program.kernels for s in walk_statements(k.body) if isinstance(s, For) and not s.body]
    assert {(len(loop.carries), loop.mode) for loop in innermost if loop.carries} == {(2, Mode.VECTOR)}


def test_values(tmp_path: Path) -> None:
    cases: list[Case] = []
    rng = np.random.default_rng(3)
    for (m, k, n), lhs_axis, rhs_axis in itertools.product(SIZES, (0, 1), (0, 1)):
        for dtype in (np.float32, np.float64, np.int32):
            x, y = (rng.integers(-4, 5, s).astype(dtype) for s in shapes(m, k, n, lhs_axis, rhs_axis))
            compute = product(lhs_axis, rhs_axis)
            cases.append(case(f"{m}x{k}x{n} {lhs_axis}{rhs_axis} {x.dtype}", compute, x, y))
            if dtype is np.float32:
                after = case(f"{m}x{k}x{n} {lhs_axis}{rhs_axis} doubled", lambda x, y, f=compute: twice(f(x, y)), x, y)
                cases.append(after)
    x, y = rng.standard_normal((7, 40, 12)), rng.standard_normal((7, 40, 2))
    cases.append(case("batches", batches, x, y, compare=close(f32=1e-5, f64=1e-13)))
    check(cases, tmp_path)


def batches(x: Var, y: Var) -> Var:
    return ops.dot_general(x, y, lhs_contracting=[1], rhs_contracting=[1], lhs_batching=[0], rhs_batching=[0])


def twice(x: Var) -> Var:
    return ops.add(x, x)


def test_the_error_of_a_great_depth_is_that_of_a_few_additions(tmp_path: Path) -> None:
    """Numbers of one kind are rounded in one direction: one after the other, they would be off by thousands of ulps."""
    depth = 100_003
    ones = np.ones((1, depth), np.float32)
    cases = [
        case("row", product(1, 0), ones, np.full((depth, 5), 0.1, np.float32)),
        case("columns", product(0, 0), np.full((depth, 6), 0.1, np.float32), ones.T),
        case("dots", product(1, 1), np.full((9, depth), 0.1, np.float32), np.repeat(ones, 2, 0)),
    ]
    library = compile_library([one.module for one in cases], tmp_path)
    for number, one in enumerate(cases):
        (result,) = call(library, one.module, one.arrays, f"main{number}")
        np.testing.assert_allclose(result, depth * float(np.float32(0.1)), rtol=2e-5, err_msg=one.label)


@pytest.mark.parametrize(
    ("m", "n", "depths"),
    [
        (4, 1024, {8}),
        (4, 512, {8}),
        (3, 1000, {8}),
        (4, 256, {256}),  # rows that do not lie far apart
        (64, 1024, {256}),  # packed, as each is read again
    ],
)
def test_few_rows_of_a_large_factor_are_read_side_by_side(m: int, n: int, depths: set[int]) -> None:
    """More of them would be in one another's way in the nearest cache, and too many to be foreseen."""
    program = lowered(function([f32(m, 1024), f32(1024, n)], product(1, 0)))
    tiles = [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, MultiplyPanels)]
    assert {int(tile.depth.value) for tile in tiles if isinstance(tile.depth, Constant)} == depths
