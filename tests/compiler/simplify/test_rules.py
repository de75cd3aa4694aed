"""Every rule: it is in the table, it leaves the operations that it should, and it keeps every bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from simplifying import Body, assert_same_bits, awkward, module_of, ops_of, simplified

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import walk
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import Symbol, TensorType
from tenfoldc.ops.comparison import CompareType, Direction
from tenfoldc.ops.elementwise import ALL_COMPILED, BOOLEANS, INTEGERS, SIGNED
from tenfoldc.simplify.rewrite import RULES


@dataclass(frozen=True)
class Case:
    """`body` of tensors of `shapes`, for each of `dtypes`, has the ops `left` once `rule` was applied."""

    rule: str
    dtypes: Sequence[DType]
    body: Body
    left: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ((4, 6),)


def like(x: Var, value: Any) -> Var:
    return ops.full_like(x, value)


def scalar(x: Var, value: Any) -> Var:
    return ops.constant(x.builder, value, x.dtype)


def starts(x: Var, *values: int) -> list[Var]:
    return [ops.constant(x.builder, value, dtypes.i32) for value in values]


def rows(x: Var) -> Var:
    """Indices, not constant, of 3 rows of `x`."""
    return ops.convert(ops.slice_(x, (0, 0), (3, 1)), dtypes.i32)


FIRST_ROWS = ops.GatherDimensionNumbers(
    offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), index_vector_dim=1
)
F32, I32 = (dtypes.f32,), (dtypes.i32,)
FLOATS = (dtypes.f32, dtypes.f64)
NUMBERS, COMPUTED = INTEGERS + FLOATS, BOOLEANS + INTEGERS + FLOATS
"""Rules of arithmetic meet no floats of 16 bits: those are widened before."""
ONE, TWO = ((4, 6),), ((4, 6), (4, 6))

MOVES = [
    Case("move_to_own_shape", COMPUTED, lambda x: ops.reshape(x, (4, 6))),
    Case("move_to_own_shape", F32, lambda x: ops.slice_(x, (0, 0), (4, 6), (1, 1))),
    Case("reshape_of_reshape", COMPUTED, lambda x: ops.reshape(ops.reshape(x, (24,)), (3, 8)), ("reshape",)),
    Case("reshape_of_reshape", F32, lambda x: ops.reshape(ops.reshape(x, (24,)), (4, 6))),
    Case("move_of_one_number", COMPUTED, lambda x: ops.transpose(like(x, 1), (1, 0))),
    Case("move_of_one_number", F32, lambda x: ops.reshape(like(x, -0.0), (24,))),
    Case("move_of_one_number", F32, lambda x: ops.slice_(ops.reverse(like(x, np.nan), (0,)), (1, 1), (3, 3))),
    Case("move_of_one_number", F32, lambda x: ops.broadcast_in_dim(scalar(x, 2), (90, 90), ())),
    Case(
        "move_of_one_number",
        F32,
        lambda x: ops.transpose(ops.reshape(ops.broadcast_in_dim(x, (5, 6), ()), (3, 10)), (1, 0)),
        ("broadcast_in_dim",),
        ((),),
    ),
    Case(
        "move_of_one_number",
        F32,
        lambda x, i: ops.dynamic_slice(like(x, 7), [ops.convert(i, dtypes.i32)] * 2, (1, 2)),
        (),
        ((4, 6), ()),
    ),
    *(
        Case("move_of_one_number", F32, lambda x, move=move: move(like(x, -0.0)), (), ((9, 9),))
        for move in (
            lambda x: ops.reshape(x, (81,)),
            lambda x: ops.transpose(x, (1, 0)),
            lambda x: ops.reverse(x, (0,)),
            lambda x: ops.slice_(x, (0, 0), (9, 8)),
        )
    ),
    Case("move_of_one_number", F32, lambda x: ops.gather(like(x, 7), rows(x), FIRST_ROWS, (1, 6))),
    Case("transpose_of_nothing", COMPUTED, lambda x: ops.transpose(x, (0, 1))),
    Case(
        "transpose_of_transpose",
        COMPUTED,
        lambda x: ops.transpose(ops.transpose(x, (1, 2, 0)), (0, 2, 1)),
        ("transpose",),
        ((2, 3, 4),),
    ),
    Case("transpose_of_transpose", F32, lambda x: ops.transpose(ops.transpose(x, (1, 0)), (1, 0))),
    Case(
        "transpose_of_broadcast",
        COMPUTED,
        lambda x: ops.transpose(ops.broadcast_in_dim(x, (2, 6, 3, 4), (3, 1)), (1, 3, 0, 2)),
        ("broadcast_in_dim",),
    ),
    Case(
        "add_of_transposes",
        COMPUTED,
        lambda x: ops.add(ops.transpose(x, (1, 0)), ops.transpose(ops.add(x, x), (1, 0))),
        ("add", "add", "transpose"),
    ),
    Case("broadcast_to_own_type", COMPUTED, lambda x: ops.broadcast_in_dim(x, (4, 6), (0, 1))),
    Case(
        "broadcast_of_broadcast",
        COMPUTED,
        lambda x: ops.broadcast_in_dim(ops.broadcast_in_dim(x, (3, 1, 4), (2, 1)), (3, 5, 4, 2), (0, 1, 2)),
        ("broadcast_in_dim",),
        ((4, 1),),
    ),
    Case("reverse_of_nothing", COMPUTED, lambda x: ops.reverse(x, (1,)), (), ((3, 1),)),
    Case("reverse_of_reverse", COMPUTED, lambda x: ops.reverse(ops.reverse(x, (0, 1)), (0,)), ("reverse",)),
    Case("reverse_of_reverse", F32, lambda x: ops.reverse(ops.reverse(x, (0, 1)), (1, 0))),
    Case(
        "slice_of_slice",
        COMPUTED,
        lambda x: ops.slice_(ops.slice_(x, (1, 3), (17, 20), (3, 2)), (1, 2), (6, 8), (2, 3)),
        ("slice",),
        ((18, 21),),
    ),
    Case(
        "slice_of_one_part",
        COMPUTED,
        lambda x, y: ops.slice_(ops.concatenate((x, y), 1), (1, 7), (4, 12), (2, 3)),
        ("slice",),
        TWO,
    ),
    Case("slice_of_one_part", F32, lambda x, y: ops.slice_(ops.concatenate((x, y), 0), (4, 0), (8, 6)), (), TWO),
    Case("pad_by_nothing", COMPUTED, lambda x: ops.pad(x, scalar(x, 1), (0, 0), (0, 0))),
    Case("pad_by_nothing", F32, lambda x: ops.pad(x, scalar(x, 1), (0,), (0,), (3,)), (), ((1,),)),
    Case("pad_of_one_number", COMPUTED, lambda x: ops.pad(like(x, 1), scalar(x, 1), (9, 0), (0, 8), (1, 0))),
    Case("concatenate_of_one", COMPUTED, lambda x: ops.concatenate((x,), 1)),
    Case("concatenate_of_one", F32, lambda x, y: ops.concatenate((x, y), 0), (), ((0, 6), (4, 6))),
    Case(
        "concatenate_of_one",
        F32,
        lambda x, y, z: ops.concatenate((x, y, z), 0),
        ("concatenate",),
        ((4, 6), (0, 6), (4, 6)),
    ),
    Case("concatenate_of_one_number", COMPUTED, lambda x: ops.concatenate((like(x, 1),) * 9, 1)),
    Case("dynamic_slice_of_everything", I32, lambda x, i: ops.dynamic_slice(x, (i, i), (4, 6)), (), ((4, 6), ())),
    Case(
        "dynamic_slice_at_constants",
        COMPUTED,
        lambda x: ops.dynamic_slice(x, starts(x, 9, -2), (2, 3)),
        ("slice",),
    ),
    Case(
        "dynamic_update_slice_of_everything",
        F32,
        lambda x, y: ops.dynamic_update_slice(x, y, starts(x, 1, 1)),
        (),
        TWO,
    ),
    Case(
        "dynamic_update_slice_of_nothing",
        F32,
        lambda x, y: ops.dynamic_update_slice(x, y, starts(x, 1, 1)),
        (),
        ((4, 6), (0, 3)),
    ),
    Case("iota_of_one", NUMBERS, lambda x: ops.iota(x.builder, TensorType(x.dtype, (90, 1)), 1)),
]

NEUTRAL = [
    Case("add_zero", FLOATS, lambda x: ops.add(x, like(x, -0.0))),
    Case("add_zero", FLOATS, lambda x: ops.add(like(x, -0.0), x)),
    Case("add_zero", INTEGERS + BOOLEANS, lambda x: ops.add(like(x, 0), x)),
    Case("subtract_zero", NUMBERS, lambda x: ops.subtract(x, like(x, 0))),
    Case("multiply_by_one", COMPUTED, lambda x: ops.multiply(like(x, 1), x)),
    Case("multiply_by_zero", INTEGERS, lambda x: ops.multiply(x, like(x, 0))),
    Case("divide_by_one", NUMBERS, lambda x: ops.divide(x, like(x, 1))),
    Case("divide_by_power_of_two", FLOATS, lambda x: ops.divide(x, like(x, -8)), ("multiply",)),
    Case("divide_by_power_of_two", FLOATS, lambda x: ops.divide(x, like(x, 2.0**-126)), ("multiply",)),
    Case("remainder_by_one", INTEGERS, lambda x: ops.remainder(x, like(x, 1))),
    Case("power_of_one", NUMBERS, lambda x: ops.power(x, like(x, 1))),
    Case("power_of_zero", NUMBERS, lambda x: ops.power(x, like(x, 0))),
    Case("and_with_all_bits", BOOLEANS, lambda x: ops.and_(x, like(x, True))),
    Case("and_with_all_bits", SIGNED, lambda x: ops.and_(like(x, -1), x)),
    Case("and_with_all_bits", BOOLEANS, lambda x: ops.minimum(x, like(x, True))),
    Case("and_with_no_bits", INTEGERS + BOOLEANS, lambda x: ops.and_(x, like(x, 0))),
    Case("and_with_no_bits", BOOLEANS, lambda x: ops.minimum(like(x, 0), x)),
    Case("or_with_no_bits", INTEGERS + BOOLEANS, lambda x: ops.or_(x, like(x, 0))),
    Case("or_with_no_bits", INTEGERS + BOOLEANS, lambda x: ops.xor(x, like(x, 0))),
    Case("or_with_no_bits", BOOLEANS, lambda x: ops.maximum(x, like(x, 0))),
    Case("or_with_all_bits", SIGNED, lambda x: ops.or_(x, like(x, -1))),
    Case("or_with_all_bits", BOOLEANS, lambda x: ops.maximum(like(x, True), x)),
    Case("or_with_all_bits", BOOLEANS, lambda x: ops.add(x, like(x, True))),
    Case(
        "rounding_of_rounded",
        (dtypes.f16, dtypes.bf16),
        lambda x: ops.negate(ops.abs_(x)),
        ("convert", "abs", "negate", "convert"),
    ),
    Case("shift_by_zero", INTEGERS, lambda x: ops.shift_left(x, like(x, 0))),
    Case("shift_by_zero", INTEGERS, lambda x: ops.shift_right_logical(x, like(x, 0))),
    Case("shift_by_zero", INTEGERS, lambda x: ops.shift_right_arithmetic(x, like(x, 0))),
]

REPEATED = [
    Case("extremum_of_itself", COMPUTED, lambda x: ops.maximum(x, x)),
    Case("extremum_of_itself", COMPUTED, lambda x: ops.minimum(x, x)),
    Case("extremum_of_itself", INTEGERS + BOOLEANS, lambda x: ops.or_(ops.and_(x, x), x)),
    Case("difference_to_itself", INTEGERS, lambda x: ops.subtract(x, x)),
    Case("difference_to_itself", INTEGERS + BOOLEANS, lambda x: ops.xor(x, x)),
    *(
        Case("compare_with_itself", INTEGERS + BOOLEANS, lambda x, to=direction: ops.compare(x, x, to))
        for direction in Direction
    ),
    Case("compare_with_itself", FLOATS, lambda x: ops.compare(x, x, Direction.LE, CompareType.TOTALORDER)),
    Case("inverse_of_itself", NUMBERS, lambda x: ops.negate(ops.negate(x))),
    Case("inverse_of_itself", INTEGERS + BOOLEANS, lambda x: ops.not_(ops.not_(x))),
    Case("abs_of_sign", SIGNED + FLOATS, lambda x: ops.abs_(ops.negate(x)), ("abs",)),
    Case("abs_of_sign", SIGNED + FLOATS, lambda x: ops.abs_(ops.abs_(x)), ("abs",)),
    Case("bitcast_back", F32, lambda x: ops.bitcast_convert(x, dtypes.f32)),
    Case("bitcast_back", F32, lambda x: ops.bitcast_convert(ops.bitcast_convert(x, dtypes.u32), dtypes.f32)),
    Case("select_by_constant", COMPUTED, lambda x, y: ops.select(ops.constant(x.builder, False), x, y), (), TWO),
    Case("select_by_constant", F32, lambda x, y: ops.select(ops.full(x.builder, B, True), x, y), (), TWO),
    Case("select_of_same", COMPUTED, lambda x: ops.select(ops.convert(x, dtypes.bool_), x, x)),
    Case("select_by_negation", BOOLEANS, lambda x, y: ops.select(ops.not_(x), x, y), ("select",), TWO),
    Case("select_of_truth", BOOLEANS, lambda x: ops.select(x, like(x, True), like(x, False))),
    Case(
        "convert_to_own_dtype",
        COMPUTED,
        lambda x: ops.CONVERT.apply_one(x, attributes=ops.ConvertAttributes(x.dtype)),
    ),
]

SUMS = [
    Case("reduce_of_nothing", NUMBERS, lambda x: ops.reduce_sum(x, (0,)), (), ((0, 4),)),
    Case("reduce_of_nothing", I32, lambda x: ops.reduce_max(x, (0,)), (), ((0, 4),)),
    Case("reduce_of_single_elements", INTEGERS, lambda x: ops.reduce_sum(x, ())),
    Case("reduce_of_single_elements", FLOATS, lambda x: ops.reduce_sum(x, ()), ("add",)),
    Case("reduce_of_single_elements", FLOATS, lambda x: ops.reduce_prod(x, (1,)), ("reshape",), ((5, 1),)),
    Case("reduce_of_single_elements", FLOATS, lambda x: ops.reduce_max(x, (1,)), ("reshape", "maximum"), ((5, 1),)),
    Case("add_zero_again", FLOATS, lambda x: ops.add(ops.add(x, like(x, 0.0)), like(x, 0.0)), ("add",)),
    Case(
        "add_of_pads",
        FLOATS,
        lambda x, y: ops.add(ops.pad(x, scalar(x, 0.0), (0, 6), (0, 0)), ops.pad(y, scalar(x, 0.0), (0, 0), (0, 6))),
        ("add", "add", "concatenate"),
        TWO,
    ),
    Case(
        "add_of_pads",
        F32,
        lambda x, y: ops.add(ops.pad(x, scalar(x, 0.0), (1, 0), (8, 0)), ops.pad(y, scalar(x, 0.0), (5, 0), (4, 0))),
        ("add", "add", "concatenate", "pad"),
        TWO,
    ),
    Case(
        "concatenate_of_neighbours",
        ALL_COMPILED,
        lambda x: ops.concatenate([ops.slice_(x, (0, 1), (4, 3)), ops.slice_(x, (0, 3), (4, 6))], 1),
        ("slice",),
    ),
    Case(
        "concatenate_of_neighbours",
        F32,
        lambda x: ops.concatenate([ops.reshape(ops.slice_(x, (i, 0), (i + 1, 6)), (2, 3)) for i in (1, 2)], 0),
        ("slice", "reshape"),
    ),
    Case(
        "dot_general_without_terms",
        NUMBERS,
        lambda x, y: ops.dot_general(x, y, lhs_contracting=(1,), rhs_contracting=(0,)),
        (),
        ((9, 0), (0, 9)),
    ),
]

B = TensorType(dtypes.bool_, (4, 6))
CASES = (*MOVES, *NEUTRAL, *REPEATED, *SUMS)
TESTED_ELSEWHERE = {"convert_of_convert"}


def test_every_rule_of_the_table_is_tested() -> None:
    rules = {rule.__name__ for rules in RULES.values() for rule in rules}
    assert rules == {case.rule for case in CASES} | TESTED_ELSEWHERE


@pytest.mark.parametrize(
    ("case", "dtype"),
    [pytest.param(case, dtype, id=f"{case.rule}-{dtype}") for case in CASES for dtype in case.dtypes],
)
def test_rule(case: Case, dtype: DType, rng: np.random.Generator) -> None:
    types = [TensorType(dtype, shape) for shape in case.shapes]
    before = module_of(types, case.body)
    after = simplified(before)
    assert print_module(after) != print_module(before)
    assert ops_of(after) == list(case.left)
    for _ in range(5):
        assert_same_bits(before, after, [awkward(type_, rng) for type_ in types])


@pytest.mark.parametrize("middle", ALL_COMPILED, ids=str)
@pytest.mark.parametrize("source", ALL_COMPILED, ids=str)
def test_convert_of_convert(source: DType, middle: DType, rng: np.random.Generator) -> None:
    type_ = TensorType(source, (60,))
    for target in ALL_COMPILED:
        before = module_of([type_], lambda x, to=target: ops.convert(ops.convert(x, middle), to))
        assert_same_bits(before, simplified(before), [awkward(type_, rng)])


@pytest.mark.parametrize(
    ("source", "middle", "target", "left"),
    [
        ("f32", "f64", "f32", 0),
        ("i8", "i32", "i8", 0),
        ("i16", "f32", "i16", 0),
        ("u8", "i64", "f32", 1),
        ("bool", "f32", "i32", 1),
        ("i16", "f32", "i8", 2),
        ("i32", "f32", "i32", 2),
        ("i8", "u32", "i8", 2),
        ("f64", "f32", "f64", 2),
        ("f32", "i32", "f32", 2),
        ("i8", "bool", "i8", 2),
        ("bf16", "f32", "bf16", 0),
        ("f16", "f64", "f16", 0),
        ("f32", "bf16", "f32", 2),
        ("bf16", "f16", "bf16", 4),
        ("f32", "f64", "bf16", 1),
        ("i16", "f32", "bf16", 2),
    ],
)
def test_conversions_left_of_two(source: str, middle: str, target: str, left: int) -> None:
    type_ = TensorType(dtypes.BY_NAME[source], (3,))
    through, to = dtypes.BY_NAME[middle], dtypes.BY_NAME[target]
    module = module_of([type_], lambda x: ops.convert(ops.convert(x, through), to))
    assert ops_of(simplified(module)) == ["convert"] * left


@pytest.mark.parametrize(
    ("body", "roundings"),
    [
        (lambda x: ops.negate(ops.abs_(x)), 1),
        (lambda x: ops.add(ops.maximum(x, like(x, 0.0)), x), 1),
        (lambda x: ops.add(ops.maximum(x, like(x, 0.5)), x), 1),
        (lambda x: ops.floor(ops.add(x, x)), 2),
        (lambda x: ops.add(ops.multiply(x, x), x), 2),
    ],
)
def test_what_has_16_bits_already_is_not_rounded_to_them(body: Body, roundings: int, rng: np.random.Generator) -> None:
    for half in (dtypes.f16, dtypes.bf16):
        type_ = TensorType(half, (60,))
        before = module_of([type_], body)
        after = simplified(before)
        found = [operation for operation in walk(after["main"].body) if operation.results[0].type.dtype == half]
        assert len(found) == roundings
        assert_same_bits(before, after, [awkward(type_, rng)])


@pytest.mark.parametrize(
    "body",
    [
        lambda x: ops.add(x, like(x, 0.0)),
        lambda x: ops.subtract(x, like(x, -0.0)),
        lambda x: ops.subtract(x, x),
        lambda x: ops.multiply(x, like(x, 0.0)),
        lambda x: ops.multiply(x, like(x, -1.0)),
        lambda x: ops.divide(x, like(x, 3.0)),
        lambda x: ops.divide(x, like(x, 2.0**-127)),
        lambda x: ops.divide(x, like(x, 2.0**127)),
        lambda x: ops.divide(x, like(x, 0.0)),
        lambda x: ops.divide(x, like(x, np.inf)),
        lambda x: ops.remainder(x, like(x, 1.0)),
        lambda x: ops.compare(x, x, Direction.EQ),
        lambda x: ops.compare(x, x, Direction.NE),
    ],
)
def test_what_is_inexact_for_floats_stays(body: Body) -> None:
    module = module_of([TensorType(dtypes.f32, (4,))], body)
    assert ops_of(simplified(module)) == ops_of(module)


def test_numbers_that_differ_in_sign_alone_are_not_one_number() -> None:
    module = module_of([TensorType(dtypes.f32, (40,))], lambda x: ops.concatenate((like(x, 0.0), like(x, -0.0)), 0))
    assert ops_of(simplified(module)) == ["concatenate"]


def test_symbolic_sizes_take_the_same_rules() -> None:
    type_ = TensorType(dtypes.f32, (Symbol("n"), 3))
    module = module_of([type_], lambda x: ops.multiply(ops.transpose(ops.transpose(x, (1, 0)), (1, 0)), like(x, 1)))
    body = simplified(module)["main"].body
    assert body.results == body.parameters
