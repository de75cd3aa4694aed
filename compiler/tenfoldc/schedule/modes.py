"""The scheduling stage: loops are marked with how they run.

    for i in 8: for j in 3: ...   →   for i in 8: unrolled j in 3: ...
    for i in 8: for j in 512: ... →   for i in 8: vector j in 512: ...

and loops that threads share are chosen (`tenfoldc.schedule.parallel`).

What lowering could decide with the group at hand (merged and split axes, tiles, blocks of sums) is decided there.
"""

from __future__ import annotations

from dataclasses import replace

from tenfoldc.loops.ir import Constant, For, If, Mode, Program, Statement, While
from tenfoldc.loops.traversal import inner_statements
from tenfoldc.schedule.parallel import share_out
from tenfoldc.target import Target


def schedule(program: Program, target: Target) -> Program:
    """Mark innermost loops as vector loops, those as short as a register as unrolled, and those that threads share."""
    lanes = target.vector_bytes // 4
    kernels = [replace(kernel, body=_mark(share_out(kernel.body), lanes)) for kernel in program.kernels]
    return replace(program, kernels=tuple(kernels))


def _mark(statements: tuple[Statement, ...], lanes: int, inside: bool = False) -> tuple[Statement, ...]:
    return tuple(_mark_one(statement, lanes, inside) for statement in statements)


def _mark_one(statement: Statement, lanes: int, inside: bool) -> Statement:
    match statement:
        case For():
            if any(isinstance(inner, For | While | If) for inner in inner_statements(statement)):
                return replace(statement, body=_mark(statement.body, lanes, inside=True))
            extent = statement.extent.value if isinstance(statement.extent, Constant) else None
            if statement.mode is Mode.PARALLEL:
                return statement
            is_short = inside and extent is not None and extent <= lanes
            return replace(statement, mode=Mode.UNROLLED if is_short else Mode.VECTOR)
        case While():
            return replace(statement, body=_mark(statement.body, lanes))
        case If():
            then, otherwise = _mark(statement.then, lanes), _mark(statement.otherwise, lanes)
            return replace(statement, then=then, otherwise=otherwise)
        case _:
            return statement
