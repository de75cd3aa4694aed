"""Which results may be written over what they are computed from."""

from __future__ import annotations

import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.aliasing import may_share
from tenfoldc.loops.ir import Axis, Buffer, Expr, For, If, Load, Statement, Store

W = Buffer("w", dtypes.f32, (4, 2))
NEW = Buffer("new", dtypes.f32, (4, 2))
SUMS = Buffer("sums", dtypes.f32, (4, 2))
BLOCK, ROW, COLUMN = Axis("block"), Axis("row"), Axis("column")
BLOCKS = 3


def turn(number: int) -> Expr:
    return scalar.equal(BLOCK, scalar.index(number))


def rows(*body: Statement) -> For:
    return For(ROW, scalar.index(4), (For(COLUMN, scalar.index(2), body),))


def updates(row: Expr = ROW) -> Store:
    return Store(NEW, (ROW, COLUMN), scalar.sub(Load(W, (row, COLUMN)), Load(SUMS, (ROW, COLUMN))))


def summed(value: Expr) -> For:
    return rows(Store(SUMS, (ROW, COLUMN), scalar.add(Load(SUMS, (ROW, COLUMN)), value)))


def blocks(*body: Statement) -> For:
    return For(BLOCK, scalar.index(BLOCKS), body)


ONE = scalar.constant(1.0, dtypes.f32)


@pytest.mark.parametrize(
    "loop",
    [
        blocks(summed(ONE), If(turn(2), (rows(updates()),))),
        blocks(For(ROW, scalar.index(4), (If(turn(2), (For(COLUMN, scalar.index(2), (updates(),)),)),))),
        blocks(If(turn(2), (summed(Load(W, (ROW, COLUMN))), rows(updates())))),
    ],
    ids=["after the sums", "within a loop over rows", "read before in the same turn"],
)
def test_what_the_last_turn_alone_computes_may_take_the_memory(loop: For) -> None:
    assert may_share([loop], W, NEW)


@pytest.mark.parametrize(
    "loop",
    [
        blocks(rows(updates())),
        blocks(If(turn(2), (rows(updates()),)), summed(Load(W, (ROW, COLUMN)))),
        blocks(If(turn(0), (rows(updates()),)), If(turn(1), (summed(Load(W, (ROW, COLUMN))),))),
        blocks(If(scalar.equal(ROW, scalar.index(2)), (rows(updates()),))),
        blocks(If(turn(2), (), (rows(updates()),))),
        blocks(If(turn(2), (rows(updates(scalar.index(0))),))),
        blocks(If(turn(2), (rows(updates()), summed(Load(W, (ROW, COLUMN)))))),
    ],
    ids=[
        "every turn reads what the last wrote",
        "the next turn's sums read it",
        "another turn reads it",
        "a choice of another loop",
        "all turns but one",
        "another row is read",
        "read after in the same turn",
    ],
)
def test_what_is_read_again_keeps_its_memory(loop: For) -> None:
    assert not may_share([loop], W, NEW)
