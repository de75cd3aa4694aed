"""Derivatives and batches of branches and loops, by the interpreter.

Each program is checked in every composition: forward mode against finite differences, reverse mode as its transpose,
the second derivative likewise, and batches, of the program and of its gradient, against a Python loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var, build_region
from tenfoldc.ir.core import Function, Module, Region
from tenfoldc.ir.types import TensorType
from tenfoldc.ir.verifier import verify
from tenfoldc.ops import Direction
from tenfoldc.transform import jvp, vjp, vmap

Array = NDArray[Any]
Body = Callable[..., Sequence[Var]]

LANES = 4


def types_of(arrays: Sequence[Array]) -> list[TensorType]:
    return [TensorType(dtypes.from_numpy(array.dtype), array.shape) for array in arrays]


def branch(outer: Builder, captured: Sequence[Var], build: Body) -> Region:
    inner = Builder(outer.locate)
    return inner.region([], list(build(*[inner.var(var.value) for var in captured])))


def total(x: Var) -> Var:
    return ops.reduce_sum(x, range(x.rank))


def is_positive(x: Var) -> Var:
    return ops.compare(total(x), ops.zeros_like(total(x)), Direction.GT)


def choose(x: Var, y: Var) -> list[Var]:
    """A branch with residuals of its own, and one that gives something away."""
    then = branch(x.builder, [x, y], lambda a, b: [ops.multiply(ops.sine(a), b), a])
    otherwise = branch(x.builder, [x, y], lambda a, b: [ops.exponential(b), ops.multiply(b, b)])
    return list(ops.if_(is_positive(x), then, otherwise))


def choose_of_three(x: Var, y: Var) -> list[Var]:
    index = ops.convert(ops.floor(total(x)), dtypes.i32)
    branches = [
        branch(x.builder, [x], lambda a: [ops.tanh(a)]),
        branch(x.builder, [x, y], lambda a, b: [ops.multiply(a, ops.multiply(b, b))]),
        branch(x.builder, [y], lambda b: [ops.zeros_like(b)]),
    ]
    return list(ops.case(index, branches))


def shrink(x: Var, y: Var) -> list[Var]:
    """A `while` whose number of turns depends on the data; y is used in every turn."""

    def condition(a: Var, _: Var) -> list[Var]:
        return [ops.compare(total(ops.multiply(a, a)), ops.full(a.builder, TensorType(a.dtype), 0.5), Direction.GT)]

    def body(a: Var, b: Var) -> list[Var]:
        factor = ops.logistic(ops.subtract(a.builder.var(y.value), ops.ones_like(a)))
        smaller = ops.multiply(ops.sine(a), factor)
        return [ops.multiply(smaller, ops.full_like(smaller, 0.75)), ops.add(b, ops.multiply(a, factor))]

    regions = [build_region([x.type, x.type], part, like=x.builder) for part in (condition, body)]
    return list(ops.while_([x, y], *regions))


def scanned(x: Var, y: Var) -> list[Var]:
    """A scan that reads a stack, makes one, and resets a part of its carry."""
    stack = ops.broadcast_in_dim(x, (5, *x.shape), [axis + 1 for axis in range(x.rank)])
    stack = ops.multiply(stack, ops.sine(ops.iota(x.builder, stack.type, 0)))

    def body(a: Var, c: Var, each: Var) -> list[Var]:
        held = a.builder.var(y.value)
        new = ops.add(ops.multiply(a, ops.tanh(ops.multiply(held, held))), each)
        return [new, each, ops.multiply(new, ops.add(a, c))]

    once, again = (build_region([x.type, x.type, x.type], body, like=x.builder) for _ in range(2))
    last, reset, made = ops.scan([y, x], [stack], once, turns=5)
    backward = ops.scan([x, y], [made], again, turns=5, reverse=True)
    return [last, reset, made, backward[0], backward[2]]


def while_in_scan(x: Var, y: Var) -> list[Var]:
    """Loops of unknown length within one of known length, and a branch within these."""

    def body(a: Var, each: Var) -> list[Var]:
        held = a.builder.var(y.value)
        inner = shrink(ops.add(a, each), held)
        return [*choose(inner[1], a)[:1], inner[0]]

    stack = ops.broadcast_in_dim(x, (3, *x.shape), [axis + 1 for axis in range(x.rank)])
    region = build_region([x.type, x.type], body, like=x.builder)
    return list(ops.scan([x], [stack], region, turns=3))


def branch_with_loop(x: Var, y: Var) -> list[Var]:
    then = branch(x.builder, [x, y], lambda a, b: shrink(a, ops.cosine(b)))
    otherwise = branch(x.builder, [x, y], lambda a, b: [ops.multiply(a, b), b])
    return list(ops.if_(is_positive(x), then, otherwise))


def no_turns(x: Var, y: Var) -> list[Var]:
    region = build_region([x.type, x.type], lambda a, b: [ops.sine(b), ops.multiply(a, b), a], like=x.builder)
    return list(ops.scan([x, y], [], region, turns=0))


PROGRAMS = [choose, choose_of_three, shrink, scanned, while_in_scan, branch_with_loop, no_turns]


@pytest.fixture(params=[0, 1], ids=["seed 0", "seed 1"])
def arrays(request: pytest.FixtureRequest) -> list[Array]:
    rng = np.random.default_rng(request.param)
    return [rng.uniform(0.2, 0.8, 3) * (1 if request.param else -1), rng.uniform(0.2, 0.8, 3)]


def scalar_of(body: Body) -> Body:
    """The sum of all results, each weighted."""

    def weighted(*arguments: Var) -> list[Var]:
        results = body(*arguments)
        parts = [total(ops.multiply(r, ops.full_like(r, 1 + 0.3 * n))) for n, r in enumerate(results)]
        value = parts[0]
        for part in parts[1:]:
            value = ops.add(value, part)
        return [value]

    return weighted


def gradient(body: Body, types: Sequence[TensorType]) -> Body:
    region = build_region(types, scalar_of(body))

    def build(*arguments: Var) -> list[Var]:
        results, pullback = vjp(arguments[0].builder, region, arguments, range(len(arguments)))
        found = pullback([ops.ones_like(results[0])])
        return [ops.zeros_like(a) if c is None else c for a, c in zip(arguments, found, strict=True)]

    return build


def run(body: Body, arrays: Sequence[Array]) -> tuple[Array, ...]:
    """The results of the program that `body` makes, which keeps the rules of the IR."""
    region = build_region(types_of(arrays), body)
    verify(Module({"main": Function("main", region)}))
    return interpret_region(region, arrays)


def difference(body: Body, arrays: Sequence[Array], tangents: Sequence[Array]) -> list[Array]:
    """The derivative along `tangents`: central differences of two steps, extrapolated to a step of zero.

    A program of loops may bend so much that the error of one step, which grows with its square, is not small.  The
    larger step is so short that a branch is hardly ever taken on one side alone.
    """
    step, ratio = 1e-6, 10

    def central(step: float) -> list[Array]:
        ahead = run(body, [a + step * t for a, t in zip(arrays, tangents, strict=True)])
        behind = run(body, [a - step * t for a, t in zip(arrays, tangents, strict=True)])
        return [(a - b) / (2 * step) for a, b in zip(ahead, behind, strict=True)]

    pairs = zip(central(step), central(step / ratio), strict=True)
    return [short + (short - long) / (ratio**2 - 1) for long, short in pairs]


def pushed(body: Body, types: Sequence[TensorType]) -> Body:
    region = build_region(types, body)

    def build(*arguments: Var) -> list[Var]:
        count = len(types)
        results, tangents = jvp(arguments[0].builder, region, arguments[:count], arguments[count:])
        return [ops.zeros_like(r) if t is None else t for r, t in zip(results, tangents, strict=True)]

    return build


def tangents_like(arrays: Sequence[Array]) -> list[Array]:
    rng = np.random.default_rng(99)
    return [rng.standard_normal(array.shape) for array in arrays]


@pytest.mark.parametrize("program", PROGRAMS)
def test_forward_mode_is_the_finite_difference(program: Body, arrays: list[Array]) -> None:
    tangents = tangents_like(arrays)
    actual = run(pushed(program, types_of(arrays)), [*arrays, *tangents])
    for found, expected in zip(actual, difference(program, arrays, tangents), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("program", PROGRAMS)
def test_reverse_mode_is_forward_mode_transposed(program: Body, arrays: list[Array]) -> None:
    tangents = tangents_like(arrays)
    types = types_of(arrays)
    (forward,) = run(pushed(scalar_of(program), types), [*arrays, *tangents])
    backward = run(gradient(program, types), arrays)
    along = sum(np.vdot(g, t) for g, t in zip(backward, tangents, strict=True))
    np.testing.assert_allclose(along, forward, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("program", PROGRAMS)
def test_second_derivatives_agree(program: Body, arrays: list[Array]) -> None:
    """Forward over reverse, reverse over reverse and reverse over forward, against finite differences."""
    tangents = tangents_like(arrays)
    types = types_of(arrays)
    first = gradient(program, types)
    expected = difference(first, arrays, tangents)
    forward_over_reverse = run(pushed(first, types), [*arrays, *tangents])
    for found, want in zip(forward_over_reverse, expected, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)

    def along(*arguments: Var) -> list[Var]:
        gradients = first(*arguments)
        builder = arguments[0].builder
        return [ops.multiply(g, ops.constant(builder, t)) for g, t in zip(gradients, tangents, strict=True)]

    def weighted_alike(*arguments: Var) -> list[Var]:
        first_part, second_part = along(*arguments)
        return [ops.add(first_part, second_part)]

    for found, want in zip(run(gradient(weighted_alike, types), arrays), expected, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)

    def slope(*arguments: Var) -> list[Var]:
        constants = [ops.constant(arguments[0].builder, t) for t in tangents]
        return pushed(scalar_of(program), types)(*arguments, *constants)

    for found, want in zip(run(gradient(slope, types), arrays), expected, strict=True):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("derived", [False, True], ids=["program", "gradient"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_batch_is_a_loop_over_examples(program: Body, derived: bool, flags: tuple[bool, bool]) -> None:
    rng = np.random.default_rng(5)
    lanes = [rng.uniform(-0.9, 0.9, (LANES, 3)) if flag else rng.uniform(0.1, 0.9, 3) for flag in flags]
    examples = [[a[n] if flag else a for a, flag in zip(lanes, flags, strict=True)] for n in range(LANES)]
    types = types_of(examples[0])
    body = gradient(program, types) if derived else program
    region = build_region(types, body)
    batched: list[bool] = []

    def build(*arguments: Var) -> list[Var]:
        results, carried = vmap(arguments[0].builder, region, arguments, flags, LANES)
        batched.extend(carried)
        return list(results)

    actual = run(build, lanes)
    expected = [run(body, example) for example in examples]
    for number, (found, flag) in enumerate(zip(actual, batched, strict=True)):
        want = np.stack([each[number] for each in expected])
        np.testing.assert_allclose(found if flag else np.broadcast_to(found, want.shape), want, rtol=1e-10, atol=1e-12)


def test_the_gradient_of_a_batch_is_the_batch_of_gradients() -> None:
    rng = np.random.default_rng(6)
    lanes = [rng.uniform(-0.9, 0.9, (LANES, 3)), rng.uniform(0.1, 0.9, (LANES, 3))]
    types = types_of([lane[0] for lane in lanes])
    region = build_region(types, while_in_scan)

    def mapped(*arguments: Var) -> list[Var]:
        results, flags = vmap(arguments[0].builder, region, arguments, [True, True], LANES)
        assert all(flags)
        return list(results)

    actual = run(gradient(mapped, types_of(lanes)), lanes)
    expected = [run(gradient(while_in_scan, types), [lane[n] for lane in lanes]) for n in range(LANES)]
    for number, found in enumerate(actual):
        np.testing.assert_allclose(found, np.stack([each[number] for each in expected]), rtol=1e-10, atol=1e-12)
