"""Random programs with branches and loops within each other, of two float64 vectors.

`random_program(rng)` gives a function that builds the program, the same one whenever it is called, so that it can be
built as it is, differentiated, and batched.  Values stay near 1, and loops end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction

SIZE = 3
VECTOR = TensorType(dtypes.f64, (SIZE,))

Step: TypeAlias = Callable[[list[Var]], list[Var]]
"""From the values so far to more of them."""


def random_program(rng: np.random.Generator) -> Callable[..., list[Var]]:
    """A program of two vectors that gives two."""
    steps = _steps(rng, 2, depth=2, count=int(rng.integers(1, 4)))

    def build(x: Var, y: Var) -> list[Var]:
        return _run(steps, [x, y])[-2:]

    return build


def _steps(rng: np.random.Generator, known: int, *, depth: int, count: int) -> list[Step]:
    """Random steps, the first of which has `known` values."""
    kinds = [_unary, _binary, _product]
    if depth:
        kinds += [_branch, _scan, _while] * 2
    steps: list[Step] = []
    for _ in range(count):
        make = kinds[rng.integers(len(kinds))]
        step, gained = make(rng, known, depth)
        steps.append(step)
        known += gained
    return steps


def _run(steps: Sequence[Step], values: list[Var]) -> list[Var]:
    values = list(values)
    for step in steps:
        values += step(values)
    return values


def _pick(rng: np.random.Generator, known: int) -> int:
    """A value's number: rather one of the last."""
    return int(known - 1 - min(known - 1, rng.geometric(0.5) - 1))


def _unary(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    chosen, place = rng.integers(5), _pick(rng, known)
    functions = [ops.sine, ops.tanh, ops.cosine, ops.logistic, lambda x: ops.reverse(x, (0,))]
    return lambda values: [functions[chosen](values[place])], 1


def _binary(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    chosen, first, second = rng.integers(3), _pick(rng, known), _pick(rng, known)
    functions = [ops.add, ops.multiply, ops.subtract]
    return lambda values: [ops.tanh(functions[chosen](values[first], values[second]))], 1


def _product(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    """A vector with a matrix made of another one."""
    first, second = _pick(rng, known), _pick(rng, known)

    def step(values: list[Var]) -> list[Var]:
        x, y = values[first], values[second]
        rows = ops.broadcast_in_dim(x, (SIZE, SIZE), (0,))
        matrix = ops.sine(ops.multiply(rows, ops.broadcast_in_dim(y, (SIZE, SIZE), (1,))))
        return [ops.dot_general(matrix, y, lhs_contracting=(1,), rhs_contracting=(0,))]

    return step, 1


def _mean(x: Var) -> Var:
    total = ops.reduce_sum(x, (0,))
    return ops.multiply(total, ops.full_like(total, 1 / SIZE))


def _branch(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    place, threshold, gained = _pick(rng, known), float(rng.uniform(-0.5, 0.5)), int(rng.integers(1, 3))
    count = int(rng.integers(2, 4))
    branches = [_steps(rng, known, depth=depth - 1, count=int(rng.integers(1, 3))) for _ in range(count)]

    def step(values: list[Var]) -> list[Var]:
        mean = _mean(values[place])
        regions = []
        for steps in branches:
            inner = Builder(mean.builder.locate)
            found = _run(steps, [inner.var(value.value) for value in values])
            regions.append(inner.region([], found[-gained:]))
        if count == 2:
            return list(ops.if_(ops.compare(mean, ops.full_like(mean, threshold), Direction.GT), *regions))
        scaled = ops.multiply(ops.add(mean, ops.full_like(mean, 0.6)), ops.full_like(mean, 3.0))
        return list(ops.case(ops.convert(ops.floor(scaled), dtypes.i32), regions))

    return step, gained


def _scan(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    """Turns that read a stack, make one, and use values from outside; of these the sum of what is made is given."""
    turns, reverse = int(rng.integers(0, 5)), bool(rng.integers(2))
    first, second = _pick(rng, known), _pick(rng, known)
    steps = _steps(rng, known + 2, depth=depth - 1, count=int(rng.integers(1, 3)))

    def step(values: list[Var]) -> list[Var]:
        stack = ops.broadcast_in_dim(values[second], (turns, SIZE), (1,))
        if turns:
            stack = ops.sine(ops.add(stack, ops.iota(stack.builder, stack.type, 0)))

        def body(carry: Var, element: Var) -> list[Var]:
            outside = [carry.builder.var(value.value) for value in values]
            found = _run(steps, [*outside, carry, element])
            return [ops.tanh(found[-1]), ops.multiply(found[-1], carry)]

        region = build_region([VECTOR, VECTOR], body, like=stack.builder)
        last, made = ops.scan([values[first]], [stack], region, turns=turns, reverse=reverse)
        return [last, ops.sine(ops.reduce_sum(made, (0,)))]

    return step, 2


def _while(rng: np.random.Generator, known: int, depth: int) -> tuple[Step, int]:
    """Turns whose number depends on the data: a carry shrinks until it is small, in at most a few turns."""
    first, second = _pick(rng, known), _pick(rng, known)
    limit, factor = int(rng.integers(1, 5)), float(rng.uniform(0.4, 0.8))
    steps = _steps(rng, known + 2, depth=depth - 1, count=int(rng.integers(1, 3)))
    counter = TensorType(dtypes.i32)

    def step(values: list[Var]) -> list[Var]:
        def condition(turn: Var, size: Var, _: Var) -> list[Var]:
            large = ops.compare(_mean(ops.multiply(size, size)), ops.full(size.builder, _SCALAR, 0.05), Direction.GT)
            return [ops.and_(large, ops.compare(turn, ops.full_like(turn, limit), Direction.LT))]

        def body(turn: Var, size: Var, carry: Var) -> list[Var]:
            outside = [carry.builder.var(value.value) for value in values]
            found = _run(steps, [*outside, size, carry])
            smaller = ops.multiply(size, ops.full_like(size, factor))
            return [ops.add(turn, ops.ones_like(turn)), smaller, ops.tanh(ops.add(found[-1], carry))]

        builder = values[0].builder
        regions = [build_region([counter, VECTOR, VECTOR], part, like=builder) for part in (condition, body)]
        return list(ops.while_([ops.full(builder, counter, 0), values[first], values[second]], *regions)[1:])

    return step, 2


_SCALAR = TensorType(dtypes.f64)
