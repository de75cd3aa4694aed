"""Loops and branches: what is constant, unchanged, dead or computed outside already is taken out of them."""

from __future__ import annotations

import numpy as np
import pytest
from simplifying import assert_same_bits, module_of, ops_of, simplified

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, build_region
from tenfoldc.ir.core import walk
from tenfoldc.ir.types import TensorType

F32 = TensorType(dtypes.f32)
INPUTS = [np.array(1.5, np.float32), np.array(-0.25, np.float32)]


def loop(x, y, turn, count: int = 4):
    """`count` turns of `turn` on a pair, at first x and y."""
    carry = (ops.constant(x.builder, 0, dtypes.i32), x, y)
    types = [var.type for var in carry]
    condition = build_region(types, lambda i, *_: [ops.compare(i, ops.full_like(i, count), ops.Direction.LT)])
    body = build_region(types, lambda i, *pair: [ops.add(i, ops.ones_like(i)), *turn(*pair)])
    return ops.while_(carry, condition, body)[1:]


def carries(module) -> int:
    (while_,) = (operation for operation in walk(module["main"].body) if operation.op is ops.WHILE)
    return len(while_.operands)


def check(body, left: list[str]):
    module = module_of([F32, F32], body)
    after = simplified(module)
    assert ops_of(after) == left
    assert_same_bits(module, after, INPUTS)
    return after


LOOP = ["while", "compare", "add"]


def test_carry_that_no_turn_changes_is_read_from_outside() -> None:
    after = check(lambda x, y: loop(x, y, lambda a, b: (ops.multiply(a, b), b)), [*LOOP, "multiply"])
    assert carries(after) == 2
    assert after["main"].body.results[1] is after["main"].body.parameters[1]


def test_carry_is_unchanged_once_its_body_is_rewritten() -> None:
    def turn(a, b):
        return ops.multiply(a, b), ops.negate(ops.negate(b))

    assert carries(check(lambda x, y: loop(x, y, turn), [*LOOP, "multiply"])) == 2


def test_carry_that_only_feeds_itself_is_dead() -> None:
    after = check(lambda x, y: loop(x, y, lambda a, b: (ops.tanh(a), ops.sine(b)))[:1], [*LOOP, "tanh"])
    assert carries(after) == 2


def test_carry_that_feeds_another_is_alive() -> None:
    after = check(lambda x, y: loop(x, y, lambda a, b: (ops.add(a, b), ops.sine(b)))[:1], [*LOOP, "add", "sine"])
    assert carries(after) == 3


def test_loop_of_no_turn_gives_its_operands() -> None:
    def never(x, y):
        condition = build_region([F32, F32], lambda a, b: [ops.constant(a.builder, False)])
        body = build_region([F32, F32], lambda a, b: [b, a])
        return ops.while_([x, y], condition, body)

    check(never, [])


def test_loop_whose_results_are_unused_is_dead() -> None:
    def body(x, y):
        loop(x, y, lambda a, b: (b, a))
        return x

    check(body, [])


def test_value_computed_before_a_loop_is_not_computed_in_it() -> None:
    def body(x, y):
        outside = ops.tanh(y)
        return (*loop(x, y, lambda a, b: (ops.multiply(a, ops.tanh(b)), b)), outside)

    after = check(body, ["tanh", *LOOP, "multiply"])
    assert after["main"].body.operations[0].op is ops.TANH


def test_number_from_outside_is_written_within_the_region() -> None:
    def body(x, y):
        third = ops.full_like(x, 0.375)
        return loop(x, y, lambda a, b: (ops.multiply(a, a.builder.var(third.value)), b))

    after = check(body, [*LOOP, "multiply"])
    (while_,) = (operation for operation in walk(after["main"].body) if operation.op is ops.WHILE)
    inside = [operation for operation in while_.regions[1].operations if operation.op is ops.CONSTANT]
    assert any(operation.attributes.value == 0.375 for operation in inside)


def branch(x, *functions):
    """A region that gives what each of `functions` makes of `x`, which is outside."""
    builder = Builder()
    return builder.region((), [function(builder.var(x.value)) for function in functions])


def chosen(x, predicate):
    same = (ops.sine, lambda a: a)
    return ops.if_(predicate, branch(x, ops.tanh, *same), branch(x, ops.cosine, *same))


@pytest.mark.parametrize(("taken", "left"), [(True, "tanh"), (False, "cosine")])
def test_constant_predicate_chooses_a_branch(taken: bool, left: str) -> None:
    check(lambda x, y: chosen(x, ops.constant(x.builder, taken))[0], [left])


def test_results_of_branches_that_are_dead_or_agree_are_left_out() -> None:
    def body(x, y):
        result, _, same = chosen(x, ops.compare(x, y, ops.Direction.LT))
        return result, same

    after = check(body, ["compare", "if", "tanh", "cosine"])
    assert after["main"].body.results[1] is after["main"].body.parameters[0]


@pytest.mark.parametrize(
    ("index", "left"), [(0, ["tanh"]), (1, ["sine"]), (2, ["cosine"]), (-1, ["cosine"]), (9, ["cosine"])]
)
def test_constant_index_chooses_a_branch(index: int, left: list[str]) -> None:
    def body(x, y):
        regions = [branch(x, function) for function in (ops.tanh, ops.sine, ops.cosine)]
        return ops.case(ops.constant(x.builder, index, dtypes.i32), regions)

    check(body, left)


def test_bodies_of_reductions_stay_recognised() -> None:
    def body(x):
        indices = ops.iota(x.builder, TensorType(dtypes.i32, (5,)), 0)
        inits = [ops.constant(x.builder, -np.inf, dtypes.f32), ops.constant(x.builder, 0, dtypes.i32)]
        best = ops.reduce([x, indices], inits, [0], ops.body_of(ops.Reducer.ARGMAX))
        return [best[1], ops.reduce_max(x, (0,))]

    module = module_of([TensorType(dtypes.f32, (5,))], body)
    reductions = [operation for operation in walk(simplified(module)["main"].body) if operation.op is ops.REDUCE]
    recognised = [ops.recognise(operation.regions[0]) for operation in reductions]
    assert recognised == [ops.Reducer.ARGMAX, ops.Reducer.MAX]


def test_body_of_a_reduction_sees_what_replaced_a_value_from_outside() -> None:
    def body(x, y):
        scale = ops.negate(ops.negate(y))
        inputs, inits = [ops.broadcast_in_dim(x, (4,), ())], [x]
        return ops.reduce(inputs, inits, (0,), lambda a, b: [ops.add(a, ops.multiply(b, b.builder.var(scale.value)))])

    check(body, ["broadcast_in_dim", "reduce", "multiply", "add"])
