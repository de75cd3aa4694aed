"""Statements run with NumPy leave in memory what the interpreter of the loop IR leaves there."""

from __future__ import annotations

import numpy as np
import pytest
from loop_interpreter import Cells, run

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.execute import NotExecutableError, execute, is_reproducible
from tenfoldc.loops.ir import Axis, Buffer, Carry, Expr, For, If, Load, Local, Mode, Statement, Store, TransposeTile

SOURCE = Buffer("source", dtypes.f32, (24,))
TARGET = Buffer("target", dtypes.f32, (64,))
SCRATCH = Buffer("scratch", dtypes.f32, (4,))
VALUES = np.arange(24, dtype=np.float32) / 3
ROW, COLUMN = Axis("i"), Axis("j")


def index(value: int) -> Expr:
    return scalar.index(value)


def for_(axis: Axis, extent: Expr, *body: Statement) -> For:
    return For(axis, extent, body)


def place(scale: int) -> Expr:
    return scalar.add(scalar.mul(ROW, index(scale)), COLUMN)


NESTS = {
    "a nest": for_(ROW, index(4), for_(COLUMN, index(6), Store(TARGET, (place(8),), Load(SOURCE, (place(6),))))),
    "a ragged nest": for_(
        ROW, index(4), for_(COLUMN, scalar.add(ROW, index(1)), Store(TARGET, (place(8),), Load(SOURCE, (COLUMN,))))
    ),
    "a condition": for_(
        ROW,
        index(6),
        If(
            scalar.less(ROW, index(4)),
            (Store(TARGET, (ROW,), Load(SOURCE, (scalar.mul(ROW, index(7)),))),),
            (Store(TARGET, (ROW,), scalar.constant(-1.0, dtypes.f32)),),
        ),
    ),
    "memory that each turn uses anew": for_(
        ROW,
        index(4),
        for_(COLUMN, index(4), Store(SCRATCH, (COLUMN,), Load(SOURCE, (place(6),)))),
        for_(
            COLUMN,
            index(4),
            Store(TARGET, (place(4),), scalar.add(Load(SCRATCH, (COLUMN,)), Load(SCRATCH, (index(0),)))),
        ),
    ),
    "memory that each turn has of its own": For(
        ROW,
        index(4),
        (
            for_(COLUMN, index(4), Store(SCRATCH, (COLUMN,), Load(SOURCE, (place(6),)))),
            for_(COLUMN, index(4), Store(TARGET, (place(4),), Load(SCRATCH, (scalar.sub(index(3), COLUMN),)))),
        ),
        mode=Mode.PARALLEL,
        private=(SCRATCH,),
    ),
    "a tile": TransposeTile(TARGET, index(3), 5, SOURCE, index(1), 4, index(4), index(5)),
    "no turns": for_(ROW, index(0), Store(TARGET, (ROW,), Load(SOURCE, (ROW,)))),
}


@pytest.mark.parametrize("name", NESTS)
def test_results_are_those_of_the_interpreter(name: str) -> None:
    statements = (NESTS[name],)
    cells = {SOURCE: Cells.holding(VALUES), TARGET: Cells.empty(TARGET), SCRATCH: Cells.empty(SCRATCH)}
    run(statements, cells)
    memory = {SOURCE: VALUES, TARGET: np.zeros(64, np.float32), SCRATCH: np.zeros(4, np.float32)}
    assert is_reproducible(statements)
    execute(statements, memory)
    np.testing.assert_array_equal(memory[TARGET], cells[TARGET].values)


def test_turns_that_overwrite_each_other_are_refused() -> None:
    body = (
        Store(TARGET, (ROW,), Load(SOURCE, (ROW,))),
        Store(TARGET, (scalar.add(ROW, index(1)),), Load(SOURCE, (index(0),))),
    )
    memory = {SOURCE: VALUES, TARGET: np.zeros(64, np.float32)}
    with pytest.raises(NotExecutableError):
        execute((for_(ROW, index(4), *body),), memory)


def test_sums_and_what_targets_round_differently_are_left_to_them() -> None:
    element, total = Load(SOURCE, (ROW,)), Local("total", dtypes.f32)
    carry = Carry(total, scalar.constant(0.0, dtypes.f32), scalar.add(total, element), Local("sum", dtypes.f32))
    assert not is_reproducible((For(ROW, index(4), (), (carry,)),))
    assert not is_reproducible((for_(ROW, index(4), Store(TARGET, (ROW,), scalar.fma(element, element, element))),))
