"""Loops that choose by index: cut in parts that do not, where that can be seen; and every element is where it was."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from compiled import case, check
from loop_interpreter import Cells, run
from loop_programs import f32, function, lowered

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Apply, Axis, Buffer, Constant, For, Load, Primitive, Program, Store
from tenfoldc.loops.traversal import all_expressions, walk_statements
from tenfoldc.schedule.splitting import split_at_choices


def doubled(x: Var) -> Var:
    return ops.add(x, x)


def beside(x: Var) -> Var:
    """`x` and twice `x`, in one kernel."""
    return ops.concatenate([x, doubled(x)], 1)


def in_turn(x: Var) -> Var:
    """The two halves of each row exchanged, one negated, added to the row."""
    rows, columns = x.sizes
    half = columns // 2
    left, right = ops.slice_(x, [0, 0], [rows, half]), ops.slice_(x, [0, half], [rows, columns])
    return ops.add(ops.concatenate([ops.negate(right), left], 1), x)


def padded(x: Var) -> Var:
    zero = ops.constant(x.builder, np.float32(0))
    return doubled(ops.pad(doubled(x), zero, [1, 2], [1, 3]))


def overlapping(x: Var) -> Var:
    """Three copies of each row, one column apart, added up."""
    zero = ops.constant(x.builder, np.float32(0))
    first, second, third = (ops.pad(x, zero, [0, place], [0, 4 - place]) for place in (1, 2, 3))
    return ops.add(ops.add(first, second), third)


def below_the_diagonal(x: Var) -> Var:
    rows, columns = (ops.iota(x.builder, TensorType(dtypes.i64, x.type.shape), axis) for axis in (0, 1))
    return ops.select(ops.compare(rows, columns, ops.Direction.GE), doubled(x), x)


def extents(program: Program) -> list[int]:
    """How many turns the innermost loops of a program take."""
    loops = [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, For)]
    innermost = [loop for loop in loops if not any(isinstance(inner, For) for inner in loop.body)]
    return [int(loop.extent.value) for loop in innermost if isinstance(loop.extent, Constant)]


def choices(program: Program) -> list[Apply]:
    found = (e for kernel in program.kernels for e in all_expressions(kernel.body) if isinstance(e, Apply))
    return [e for e in found if e.primitive in (Primitive.SELECT, Primitive.MIN, Primitive.MAX)]


@pytest.mark.parametrize(
    ("compute", "parts"),
    [(beside, [160, 160]), (in_turn, [80, 80]), (padded, [2, 160, 3])],
    ids=["concatenated", "rotated", "padded"],
)
def test_a_row_is_cut_where_its_parts_begin(compute: Callable[[Var], Var], parts: Sequence[int]) -> None:
    program = lowered(function([f32(4, 160)], compute))
    assert extents(program) == list(parts)
    if compute is not padded:  # whose first and last rows are chosen by the row's number
        assert not choices(program)


def test_a_row_of_many_parts_is_not_cut() -> None:
    program = lowered(function([f32(4, 160)], overlapping))
    assert extents(program) == [164]


def test_what_depends_on_two_indices_is_not_cut() -> None:
    program = lowered(function([f32(160, 160)], below_the_diagonal))
    assert extents(program) == [160]


def test_what_was_read_before_a_loop_is_not_read_again() -> None:
    """A counter is read, then counted up; the loop after that goes by what was read."""
    counter, x, y = (Buffer(name, dtypes.i64, shape) for name, shape in (("n", ()), ("x", (4,)), ("y", (8,))))
    axis, read = Axis("i"), Load(counter, ())
    count = Store(counter, (), scalar.add(read, scalar.index(1)))
    chosen = scalar.select(scalar.less(axis, scalar.index(4)), scalar.add(Load(x, (read,)), axis), read)
    loop = For(axis, scalar.index(8), (Store(y, (axis,), chosen),))
    _, *parts = split_at_choices([count, loop])
    assert len(parts) == 2
    assert all(read in set(all_expressions([part])) for part in parts)
    memory = {counter: Cells.holding(np.array(2)), x: Cells.holding(np.arange(4) * 10), y: Cells.empty(y)}
    run([count, *parts], memory)
    assert memory[counter].values.tolist() == [3]
    assert memory[y].values.tolist() == [20, 21, 22, 23, 2, 2, 2, 2]


@pytest.mark.parametrize("columns", [2, 6, 20, 64, 100])
def test_values(columns: int, tmp_path: Path) -> None:
    x = np.arange(3 * columns, dtype=np.float32).reshape(3, columns)
    computed = (beside, in_turn, padded, overlapping)
    check([case(compute.__name__, compute, x) for compute in computed], tmp_path)
