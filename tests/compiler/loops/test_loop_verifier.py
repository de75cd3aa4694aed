"""Loop IR that breaks a rule is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tenfold_rt import dtypes
from tenfold_rt.errors import VerificationError
from tenfoldc.loops import scalar
from tenfoldc.loops.ir import Axis, Buffer, For, Kernel, Load, Local, Mode, Program, Statement, Store
from tenfoldc.loops.verifier import verify_program

X = Buffer("x", dtypes.f32, (4,))
Y = Buffer("y", dtypes.f32, (4,))
Z = Buffer("z", dtypes.f32, (1,))
I = Axis("i")  # noqa: E741 - the field's name


def program(*statements: Statement) -> Program:
    return Program("main", (X,), (Y,), (), {}, (Kernel("k0", statements),))


def loop(*body: Statement) -> For:
    return For(I, scalar.index(4), body)


def test_a_sound_program_passes() -> None:
    verify_program(program(loop(Store(Y, (I,), Load(X, (I,))))))


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (Store(Y, (I,), Load(X, (scalar.index(0),))), "i is used where it is not bound"),
        (loop(Store(Y, (I, I), Load(X, (I,)))), "y has 1 axes, its index 2"),
        (loop(Store(Y, (I,), Load(X, (I, I)))), "x has 1 axes, its index 2"),
        (loop(Store(Y, (I,), scalar.constant(1, dtypes.i32))), "a store to y is i32, not f32"),
        (loop(Store(X, (I,), Load(X, (I,)))), "x is written, but is neither result nor temporary nor scratch"),
        (loop(Store(Y, (scalar.convert(I, dtypes.i32),), Load(X, (I,)))), "an index of y is i32, not i64"),
        (Store(Y, (scalar.index(0),), Local("sum", dtypes.f32)), "sum is used where it is not bound"),
        (
            loop(Store(Y, (I,), scalar.add(Load(X, (I,)), scalar.constant(1.0, dtypes.f64)))),
            "an operand of add is f64, not f32",
        ),
    ],
)
def test_a_broken_rule_is_named(statement: Statement, message: str) -> None:
    with pytest.raises(VerificationError, match=message):
        verify_program(program(statement))


@pytest.mark.parametrize("private", [(), (Z,)])
def test_turns_of_a_parallel_loop_write_to_places_of_their_own(private: tuple[Buffer, ...]) -> None:
    written = Store(Z, (scalar.index(0),), Load(X, (I,)))
    turns = For(I, scalar.index(4), (written, Store(Y, (I,), Load(Z, (scalar.index(0),)))), (), Mode.PARALLEL, private)
    shared = replace(program(turns), kernels=(Kernel("k", (turns,), (Z,)),))
    if private:
        verify_program(shared)
    else:
        with pytest.raises(VerificationError, match="all turns of the parallel loop over i write one place of z"):
            verify_program(shared)


def test_a_buffer_of_another_program_is_refused() -> None:
    stranger = Buffer("stranger", dtypes.f32, (4,))
    with pytest.raises(VerificationError, match="stranger is no buffer of the program"):
        verify_program(program(loop(Store(Y, (I,), Load(stranger, (I,))))))
