"""Loops and branches: that they compute what the references do, and what they copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from loop_programs import f32, function, i32, lowered
from program_runner import run_program

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Module, Region
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Program, While
from tenfoldc.loops.traversal import loaded, stored, walk_statements


def check(types: Sequence[TensorType], compute: Callable[..., Sequence[Var]], *arguments: np.ndarray) -> Program:
    source = function(types, compute)
    program = lowered(source)
    expected = interpret(Module({"main": source}), arguments)
    for result, want in zip(run_program(program, arguments), expected, strict=True):
        np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-6)
    return program


def repeat(turns: int, body: Callable[..., Sequence[Var]], *carry: Var) -> Sequence[Var]:
    """`body(i, *carry)` so many times; gives the last carry."""
    outer = carry[0].builder
    counter = ops.constant(outer, 0, dtypes.i32)
    types = [counter.type, *(value.type for value in carry)]

    def condition(i: Var, *_: Var) -> Sequence[Var]:
        return (ops.compare(i, ops.constant(i.builder, turns, dtypes.i32), ops.Direction.LT),)

    def step(i: Var, *rest: Var) -> Sequence[Var]:
        return ops.add(i, ops.constant(i.builder, 1, dtypes.i32)), *body(i, *rest)

    regions = [build_region(types, region, like=outer) for region in (condition, step)]
    return ops.while_([counter, *carry], *regions)[1:]


def loop_of(program: Program) -> While:
    (loop,) = [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, While)]
    return loop


def ramp(*shape: int) -> np.ndarray:
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def test_an_elementwise_carry_is_written_over_itself() -> None:
    program = check([f32(6)], lambda x: repeat(3, lambda i, a: [ops.tanh(a)], x), ramp(6))
    written = {buffer.storage.name for buffer in stored(loop_of(program).body)}
    assert len(written) == 2
    shapes = [buffer.shape for buffer in program.temporaries]
    assert (6,) not in shapes


def test_a_carry_that_is_read_out_of_order_is_computed_apart() -> None:
    program = check([f32(6)], lambda x: repeat(3, lambda i, a: [ops.reverse(ops.tanh(a), [0])], x), ramp(6))
    shapes = [buffer.shape for buffer in program.temporaries]
    assert (6,) in shapes


def test_carries_that_change_places() -> None:
    check([f32(4), f32(4)], lambda x, y: repeat(3, lambda i, a, b: [b, a], x, y), ramp(4), -2 * ramp(4))


def test_a_carry_that_another_needs_after_it_is_computed() -> None:
    check(
        [f32(4), f32(4)],
        lambda x, y: repeat(3, lambda i, a, b: [ops.add(a, b), ops.multiply(a, b)], x, y),
        ramp(4),
        ramp(4) + 1,
    )


def test_what_a_loop_does_not_change_is_not_copied() -> None:
    program = check(
        [f32(5), f32(5)],
        lambda x, w: repeat(3, lambda i, a, b: [ops.multiply(a, b), b], x, w)[:1],
        ramp(5),
        ramp(5) + 2,
    )
    copied = [k.name for k in program.kernels if k.name.endswith("copy")]
    shapes = [buffer.shape for buffer in program.temporaries]
    assert shapes.count((5,)) == 0
    assert not copied


@pytest.mark.parametrize("turns", [1, 2, 5])
def test_a_loop_that_collects_its_turns_stores_one_row_per_turn(turns: int) -> None:
    def collect(x: Var) -> Sequence[Var]:
        def body(i: Var, a: Var, rows: Var) -> Sequence[Var]:
            following = ops.tanh(a)
            zero = ops.constant(i.builder, 0, dtypes.i32)
            return following, ops.dynamic_update_slice(rows, ops.reshape(following, (1, 4)), [i, zero])

        return repeat(turns, body, x, ops.full(x.builder, f32(turns, 4), 0.0))

    body = loop_of(check([f32(4)], collect, ramp(4))).body
    assert [buffer.storage.shape for buffer in stored(body)].count((turns, 4)) == 1
    assert (turns, 4) not in [buffer.storage.shape for buffer in loaded(body)]


def test_a_condition_that_reduces_is_computed_before_and_after_each_turn() -> None:
    def until_small(x: Var) -> Sequence[Var]:
        types = [x.type]

        def condition(a: Var) -> Sequence[Var]:
            total = ops.reduce_sum(ops.square(a), [0])
            return (ops.compare(total, ops.full_like(total, 0.01), ops.Direction.GT),)

        def body(a: Var) -> Sequence[Var]:
            return (ops.multiply(a, ops.full_like(a, 0.5)),)

        return ops.while_([x], *(build_region(types, region, like=x.builder) for region in (condition, body)))

    check([f32(6)], until_small, ramp(6))


def test_a_loop_that_never_turns_gives_its_operands() -> None:
    check([f32(6)], lambda x: repeat(0, lambda i, a: [ops.tanh(a)], x), ramp(6))


def test_loops_nest() -> None:
    check(
        [f32(4)],
        lambda x: repeat(2, lambda i, a: repeat(3, lambda j, b: [ops.tanh(b)], ops.add(a, a)), x),
        ramp(4),
    )


def branch(x: Var, function_of: Callable[[Var], Var]) -> Region:
    builder = Builder()
    return builder.region((), [function_of(builder.var(x.value))])


def test_a_branch_runs_one_side() -> None:
    def choose(x: Var) -> Sequence[Var]:
        total = ops.reduce_sum(x, [0])
        flag = ops.compare(total, ops.zeros_like(total), ops.Direction.GT)
        return ops.if_(flag, branch(x, ops.tanh), branch(x, lambda y: y))

    check([f32(3)], choose, ramp(3) + 1)
    check([f32(3)], choose, ramp(3) - 1)


def test_a_case_out_of_range_takes_the_last_branch() -> None:
    def choose(index: Var, x: Var) -> Sequence[Var]:
        return ops.case(index, [branch(x, f) for f in (ops.negate, ops.tanh, ops.square)])

    for index in (-1, 0, 1, 2, 9):
        check([i32(), f32(3)], choose, np.int32(index).reshape(()), ramp(3))
