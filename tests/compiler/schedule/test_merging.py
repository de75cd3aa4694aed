"""Small parallel loops that follow each other become one, where that changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenfold_rt import dtypes
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, For, Kernel, Load, Mode, Program, Statement, Store, While
from tenfoldc.loops.verifier import verify_program
from tenfoldc.schedule.merging import Merging

X, Y, U, V = (Buffer(name, dtypes.f32, (16, 64)) for name in "xyuv")


def rows(source: Buffer, target: Buffer, count: int = 16, width: int = 64) -> For:
    """`target[i, j] = source[i, j]`, row by row."""
    i, j = Axis("i"), Axis("j")
    inner = For(j, scalar.index(width), (Store(target, (i, j), Load(source, (i, j))),))
    return For(i, scalar.index(count), (inner,), mode=Mode.PARALLEL)


def program(*statements: Statement, donated: tuple[tuple[int, int], ...] = ()) -> Program:
    return Program("main", (X, Y), (U, V), (), {}, (Kernel("k0", statements),), donated)


def merged(*statements: Statement, donated: tuple[tuple[int, int], ...] = ()) -> tuple[Statement, ...]:
    before = program(*statements, donated=donated)
    body = Merging(before).block(statements)
    verify_program(replace(before, kernels=(Kernel("k0", body),)))
    return body


def test_loops_that_have_nothing_to_do_with_each_other_are_one() -> None:
    (loop,) = merged(rows(X, U), rows(Y, V))
    assert isinstance(loop, For)
    assert loop.mode is Mode.PARALLEL
    assert len(loop.body) == 2


def test_so_are_those_in_a_loop() -> None:
    turn = (rows(X, U), rows(Y, V))
    (loop,) = merged(While((), scalar.constant(False, dtypes.bool_), turn))
    assert isinstance(loop, While)
    assert len(loop.body) == 1


@pytest.mark.parametrize(
    "loops",
    [
        (rows(X, U), rows(U, V)),
        (rows(X, U), rows(Y, U)),
        (rows(X, U), rows(Y, V, count=15)),
        (rows(X, U), Store(V, (scalar.index(0), scalar.index(0)), scalar.constant(0, dtypes.f32)), rows(Y, V)),
    ],
    ids=["one reads what the other writes", "both write", "other turns", "not neighbours"],
)
def test_others_stay_apart(loops: tuple[Statement, ...]) -> None:
    assert len(merged(*loops)) == len(loops)


def test_what_is_written_over_an_argument_counts_as_that() -> None:
    loops = rows(X, U), rows(Y, V)
    assert len(merged(*loops, donated=((0, 1),))) == 2  # v has the memory of x


def test_large_loops_stay_apart() -> None:
    large = [Buffer(name, dtypes.f32, (16, 1 << 14)) for name in "abcd"]
    loops = [rows(source, target, width=1 << 14) for source, target in (large[:2], large[2:])]
    assert len(Merging(program()).block(loops)) == 2
