"""Cases of control flow and calls: what branches and turns pass on, exchange and capture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from compiled import Build, Case, case
from op_cases import any_bits, numbers, shows

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import DeferredRegions, Function, Module, Region
from tenfoldc.ir.op import Op
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction
from tenfoldc.ops.custom import CustomAttributes


@shows(ops.IF)
def _if(rng: np.random.Generator) -> Iterator[Case]:
    for dtype, shape in itertools.product((dtypes.f32, dtypes.i8, dtypes.bool_), ((), (0,), (7,), (3, 5))):
        for pred in (True, False):
            arrays = np.array(pred), any_bits(rng, dtype, shape), any_bits(rng, dtype, shape)
            yield case(f"{dtype.name}{shape} {pred}", _choose, *arrays)


def _choose(pred: Var, x: Var, y: Var) -> Sequence[Var]:
    """Branches that compute, that pass values through, and that exchange them."""
    then = branch(x.builder, [x, y], lambda a, b: (ops.maximum(a, b), a, b, a))
    otherwise = branch(x.builder, [x, y], lambda a, b: (ops.minimum(a, b), b, a, a))
    return ops.if_(pred, then, otherwise)


def branch(outer: Builder, captured: Sequence[Var], build: Build) -> Region:
    """A region without parameters that uses values from around it."""
    inner = Builder(outer.locate)
    results = build(*[inner.var(var.value) for var in captured])
    return inner.region([], [results] if isinstance(results, Var) else list(results))


@shows(ops.CASE)
def _case(rng: np.random.Generator) -> Iterator[Case]:
    for index in (-(2**31), -1, 0, 1, 2, 3, 2**31 - 1):
        yield case(f"index {index}", _choose_of_three, np.int32(index), numbers(rng, dtypes.f32, (7,)))
    yield case("one branch", lambda i, x: ops.case(i, [branch(x.builder, [x], ops.negate)]), np.int32(5), np.float64(2))


def _choose_of_three(index: Var, x: Var) -> Sequence[Var]:
    branches = [
        branch(x.builder, [x], lambda v: (ops.negate(v), ops.reduce_sum(v, (0,)))),
        branch(x.builder, [x], lambda v: (v, ops.reduce_max(v, (0,)))),
        branch(x.builder, [x], lambda v: (ops.reverse(v, (0,)), ops.zeros_like(ops.reduce_sum(v, (0,))))),
    ]
    return ops.case(index, branches)


@shows(ops.WHILE)
def _while(rng: np.random.Generator) -> Iterator[Case]:
    for turns in (0, 1, 2, 7):
        arrays = np.int32(turns), numbers(rng, dtypes.f32, (5,)), numbers(rng, dtypes.f32, (5,))
        yield case(f"exchange {turns}", _exchange, *arrays)
        arrays = np.int32(turns), numbers(rng, dtypes.i32, (4, 6))
        yield case(f"shift {turns}", _shift, *arrays)
        yield case(f"nested {turns}", _nested, np.int32(turns), numbers(rng, dtypes.i64, (3,)))
    yield case("empty carry", _shift, np.int32(3), numbers(rng, dtypes.i32, (0, 6)))
    yield case("collatz", _collatz, np.int64(27))


def loop(turns: Var, carry: Sequence[Var], build: Build) -> Sequence[Var]:
    """The carry after `turns` turns of `build(index, *carry)`."""
    start = ops.zeros_like(turns)
    types = [turns.type, *(var.type for var in carry)]

    def condition(index: Var, *_: Var) -> Sequence[Var]:
        return (ops.compare(index, index.builder.var(turns.value), Direction.LT),)

    def body(index: Var, *values: Var) -> Sequence[Var]:
        return ops.add(index, ops.ones_like(index)), *build(index, *values)

    regions = [build_region(types, part, like=turns.builder) for part in (condition, body)]
    return ops.while_((start, *carry), *regions)[1:]


def _exchange(turns: Var, x: Var, y: Var) -> Sequence[Var]:
    """Two carries that change places, beside one that stays and two that begin as the same value."""
    return loop(turns, (x, y, x, x), lambda _, a, b, c, d: (b, a, c, ops.add(d, a)))


def _shift(turns: Var, x: Var) -> Sequence[Var]:
    """Rows that move by one each turn: the body reads what it overwrites."""

    def body(index: Var, rows: Var) -> Sequence[Var]:
        flipped = ops.reverse(rows, (0, 1))
        return (ops.add(flipped, _for_all(index, rows)),)

    return loop(turns, (x,), body)


def _nested(turns: Var, x: Var) -> Sequence[Var]:
    def body(_: Var, total: Var) -> Sequence[Var]:
        inner = total.builder.var(turns.value)
        return loop(inner, (total,), lambda i, v: (ops.add(v, _for_all(ops.convert(i, v.dtype), v)),))

    return loop(turns, (x,), body)


def _for_all(x: Var, like: Var) -> Var:
    return ops.broadcast_in_dim(x, like.shape, ())


def _collatz(start: Var) -> Sequence[Var]:
    """How many turns, unknown beforehand, it takes to reach 1."""
    zero = ops.zeros_like(start)

    def condition(n: Var, _: Var) -> Sequence[Var]:
        return (ops.compare(n, ops.ones_like(n), Direction.NE),)

    def body(n: Var, count: Var) -> Sequence[Var]:
        return _following(n), ops.add(count, ops.ones_like(count))

    regions = [build_region([start.type, zero.type], part, like=start.builder) for part in (condition, body)]
    return ops.while_((start, zero), *regions)


def _following(n: Var) -> Var:
    """The number after `n` in Collatz's sequence."""
    two, three = (ops.full_like(n, value) for value in (2, 3))
    odd = ops.compare(ops.remainder(n, two), ops.ones_like(n), Direction.EQ)
    grown = ops.add(ops.multiply(n, three), ops.ones_like(n))
    return ops.select(odd, grown, ops.divide(n, two))


@shows(ops.SCAN)
def _scan(rng: np.random.Generator) -> Iterator[Case]:
    for turns, reverse in itertools.product((0, 1, 5), (False, True)):
        arrays = numbers(rng, dtypes.f32, (3,)), numbers(rng, dtypes.f32, (turns, 3))
        yield case(f"{turns} {reverse}", lambda x, y, reverse=reverse: _running_sums(x, y, reverse), *arrays)
    yield case("rank 0", lambda x, y: _running_sums(x, y, False), np.int64(3), numbers(rng, dtypes.i64, (4,)))
    yield case("empty elements", lambda x, y: _running_sums(x, y, True), np.zeros((0, 2)), np.zeros((3, 0, 2)))


def _running_sums(x: Var, stack: Var, reverse: bool) -> Sequence[Var]:
    body = build_region([x.type, x.type], lambda a, b: (ops.add(a, b), ops.multiply(a, b), a), like=x.builder)
    return ops.scan([x], [stack], body, turns=stack.sizes[0], reverse=reverse)


@shows(ops.RECORD, ops.EMPTY_STACK, ops.TAPE_READ, ops.TAPE_WRITE)
def _record(rng: np.random.Generator) -> Iterator[Case]:
    """What a loop of unknown length tapes, read from the last element to the first by another one."""
    for start, shape in ((27, (3,)), (1, (3,)), (97, ()), (7, (0, 2)), (27, (100, 100))):
        arrays = np.int64(start), numbers(rng, dtypes.i32, shape)
        yield case(f"collatz of {start}, {shape}", _retraced_collatz, *arrays)


def _retraced_collatz(start: Var, x: Var) -> Sequence[Var]:
    zero = ops.zeros_like(start)

    def condition(n: Var, _: Var) -> Sequence[Var]:
        return (ops.compare(n, ops.ones_like(n), Direction.NE),)

    def body(n: Var, values: Var) -> Sequence[Var]:
        following = _following(n)
        grown = ops.add(values, _for_all(ops.convert(n, values.dtype), values))
        return following, grown, grown, n

    def back(total: Var, values: Var, n: Var) -> Sequence[Var]:
        mixed = ops.add(ops.multiply(total, ops.full_like(total, 3)), values)
        return (ops.add(mixed, _for_all(ops.convert(n, mixed.dtype), mixed)),)

    regions = [build_region([zero.type, x.type], part, like=start.builder) for part in (condition, body)]
    _, last, turns, *tapes = ops.record([start, x], *regions)
    retraced = build_region([x.type, x.type, zero.type], back, like=start.builder)
    return last, turns, *ops.scan([x], tapes, retraced, turns=turns, reverse=True)


@shows(ops.CHECKPOINT, ops.CUSTOM_JVP, ops.CUSTOM_VJP, ops.OPTIMIZATION_BARRIER)
def _programs_within(rng: np.random.Generator) -> Iterator[Case]:
    arrays = numbers(rng, dtypes.f32, (7,)), numbers(rng, dtypes.f32, (7,))
    for op in (ops.CHECKPOINT, ops.CUSTOM_JVP, ops.CUSTOM_VJP):
        yield case(op.mnemonic, lambda x, y, op=op: _program_within(op, x, y), *arrays)
    yield case("barrier", lambda x, y: (*ops.optimization_barrier([ops.add(x, y), x]), ops.add(x, y)), *arrays)


def _program_within(op: Op[Any], x: Var, y: Var) -> Sequence[Var]:
    def program(a: Var, b: Var) -> Sequence[Var]:
        return ops.multiply(a, b), ops.negate(a)

    def forward(a: Var, b: Var, da: Var, db: Var) -> Sequence[Var]:
        return *program(a, b), ops.add(ops.multiply(a, db), ops.multiply(b, da)), ops.negate(da)

    def there(a: Var, b: Var) -> Sequence[Var]:
        return *program(a, b), a, b

    def back(a: Var, b: Var, dx: Var, dy: Var) -> Sequence[Var]:
        return ops.subtract(ops.multiply(b, dx), dy), ops.multiply(a, dx)

    rules = {ops.CUSTOM_JVP: [(forward, 4)], ops.CUSTOM_VJP: [(there, 2), (back, 4)]}.get(op, [])
    made = tuple(build_region([x.type] * count, part) for part, count in rules)
    attributes = CustomAttributes(DeferredRegions(lambda: made)) if made else None
    return op.apply(x, y, attributes=attributes, regions=[build_region([x.type] * 2, program)])


@shows(ops.CALL)
def _call(rng: np.random.Generator) -> Iterator[Case]:
    x = numbers(rng, dtypes.f32, (3, 5))
    type_ = TensorType(dtypes.f32, x.shape)
    swap = build_region([type_, type_], lambda a, b: (b, ops.subtract(a, b)))
    twice = Builder()
    a, b = twice.parameter(type_), twice.parameter(type_)
    once = ops.call(twice, "swap", swap.type, (a, b))
    body = twice.region([a, b], ops.call(twice, "swap", swap.type, once))
    module = Module({"main": Function("main", body), "swap": Function("swap", swap)})
    yield Case("twice", module, (x, numbers(rng, dtypes.f32, x.shape)))
