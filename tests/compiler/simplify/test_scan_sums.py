"""Sums of products along the turns of a scan: which become one product after it, and that the sums are the same.

Numbers are small integers, so that sums are exact in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from simplifying import Array, assert_same_bits, module_of, simplified

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.core import Module, Operation, walk
from tenfoldc.ir.types import TensorType

TURNS, ROWS, INPUTS, OUTPUTS = 6, 2, 4, 5
SUM = (INPUTS, OUTPUTS)
TYPES = [TensorType(dtypes.f32, shape) for shape in (SUM, (TURNS, ROWS, INPUTS), (TURNS, ROWS, OUTPUTS))]
Turn = Callable[..., Sequence[Var]]


def weights(a: Var, b: Var) -> Var:
    """The gradient of weights that take rows `a` to rows of which `b` is the cotangent."""
    return ops.dot_general(a, b, lhs_contracting=(0,), rhs_contracting=(0,))


def scanned(turn: Turn, types: Sequence[TensorType] = TYPES, reverse: bool = False) -> Module:
    """A scan that carries the first tensor and reads the others."""

    def body(begin: Var, *stacks: Var) -> Sequence[Var]:
        elements = [stack.type.with_shape(stack.shape[1:]) for stack in stacks]
        region = build_region([begin.type, *elements], turn, like=begin.builder)
        return ops.scan([begin], stacks, region, turns=stacks[0].sizes[0], reverse=reverse)

    return module_of(types, body)


def inputs(types: Sequence[TensorType] = TYPES) -> list[Array]:
    rng = np.random.default_rng(0)
    return [rng.integers(-3, 4, type_.sizes).astype(type_.dtype.numpy) for type_ in types]


def products(module: Module) -> tuple[list[Operation], list[Operation]]:
    """The products outside loops, and all."""
    body = module["main"].body
    everywhere = [operation for operation in walk(body) if operation.op is ops.DOT_GENERAL]
    return [operation for operation in body.operations if operation.op is ops.DOT_GENERAL], everywhere


def check(turn: Turn, outside: int, inside: int = 0, types: Sequence[TensorType] = TYPES, reverse: bool = False):
    module = scanned(turn, types, reverse)
    after = simplified(module)
    found, everywhere = products(after)
    assert (len(found), len(everywhere) - len(found)) == (outside, inside)
    assert_same_bits(module, after, inputs(types))
    return after


def loops(module: Module) -> list[Operation]:
    return [operation for operation in walk(module["main"].body) if operation.op is ops.WHILE]


@pytest.mark.parametrize("reverse", [False, True])
def test_a_sum_of_products_of_stacks_takes_no_loop(reverse: bool) -> None:
    assert loops(check(lambda total, a, b: [ops.add(total, weights(a, b))], 1, reverse=reverse)) == []


def test_the_carry_may_be_the_second_term() -> None:
    check(lambda total, a, b: [ops.add(weights(a, b), total)], 1)


def test_an_operand_that_turns_compute_is_stacked() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        return [ops.add(total, weights(a, ops.abs_(b)))]

    (loop,) = loops(check(turn, 1))
    assert [carry.type.shape for carry in loop.results] == [(), (TURNS, ROWS, OUTPUTS)]


def test_an_operand_that_is_stacked_already_is_not_stacked_twice() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        b = ops.abs_(b)
        return [ops.add(total, weights(a, b)), b]

    (loop,) = loops(check(turn, 1))
    assert [carry.type.shape for carry in loop.results] == [(), (TURNS, ROWS, OUTPUTS)]


def test_movements_follow_the_product() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        return [ops.add(total, ops.transpose(weights(b, a), (1, 0)))]

    check(turn, 1)


def test_several_products_are_taken_out_of_one_sum() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        return [ops.add(ops.add(weights(a, b), total), weights(ops.negate(a), b))]

    found, _ = products(simplified(scanned(turn)))
    assert found
    assert_same_bits(scanned(turn), simplified(scanned(turn)), inputs())


def test_other_terms_stay_in_the_loop() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        other = ops.broadcast_in_dim(ops.reduce_sum(b, (0,)), SUM, (1,))
        return [ops.add(total, ops.add(weights(a, b), other))]

    (loop,) = loops(check(turn, 1))
    assert [carry.type.shape for carry in loop.results] == [(), SUM]


def test_batches_stay_in_front() -> None:
    shapes = (3, *SUM), (TURNS, 3, ROWS, INPUTS), (TURNS, 3, ROWS, OUTPUTS)

    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        numbers = {"lhs_batching": (0,), "rhs_batching": (0,), "lhs_contracting": (1,), "rhs_contracting": (1,)}
        return [ops.add(total, ops.dot_general(a, b, **numbers))]

    check(turn, 1, types=[TensorType(dtypes.f64, shape) for shape in shapes])


def test_a_sum_leaves_one_scan_after_the_other() -> None:
    def turn(total: Var, a: Var, b: Var) -> Sequence[Var]:
        inner = [total.type, *(var.type.with_shape(var.shape[1:]) for var in (a, b))]
        body = build_region(inner, lambda total, a, b: [ops.add(total, weights(a, b))])
        return ops.scan([total], [a, b], body, turns=TURNS)

    types = [TYPES[0], *(type_.with_shape((3, *type_.shape)) for type_ in TYPES[1:])]
    assert loops(check(turn, 1, types=types)) == []


def test_a_sum_that_is_read_stays() -> None:
    check(lambda total, a, b: [ops.add(total, weights(a, b)), ops.reduce_sum(total, (0, 1))], 0, 1)
    check(lambda total, a, b: [(added := ops.add(total, weights(a, b))), added], 0, 1)


def test_a_product_that_is_read_stays() -> None:
    check(lambda total, a, b: [ops.add(total, (product := weights(a, b))), product], 0, 1)


def test_operands_larger_than_the_sum_are_not_stacked() -> None:
    types = [TensorType(dtypes.f32, shape) for shape in (SUM, (TURNS, 9, INPUTS), (TURNS, 9, OUTPUTS))]
    check(lambda total, a, b: [ops.add(total, weights(a, ops.abs_(b)))], 0, 1, types)


def test_operands_are_not_stacked_where_the_scan_keeps_no_stacks_as_large() -> None:
    def turn(total: Var, x: Var) -> Sequence[Var]:
        a, b = (ops.broadcast_in_dim(x, (1, size), (0,)) for size in SUM)
        return [ops.add(total, weights(ops.tanh(a), ops.tanh(b)))]

    types = [TYPES[0], TensorType(dtypes.f32, (TURNS, 1))]
    after = simplified(scanned(turn, types))
    assert [len(found) for found in products(after)] == [0, 1]


def test_an_operand_from_around_the_scan_leaves_the_product_in_it() -> None:
    def body(begin: Var, stack: Var, outside: Var) -> Sequence[Var]:
        def turn(total: Var, a: Var) -> Sequence[Var]:
            return [ops.add(total, weights(a, total.builder.var(outside.value)))]

        region = build_region([begin.type, stack.type.with_shape(stack.shape[1:])], turn, like=begin.builder)
        return ops.scan([begin], [stack], region, turns=TURNS)

    types = [*TYPES[:2], TensorType(dtypes.f32, (ROWS, OUTPUTS))]
    after = simplified(module_of(types, body))
    assert [len(found) for found in products(after)] == [0, 1]
    assert_same_bits(module_of(types, body), after, inputs(types))
