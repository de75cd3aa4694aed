"""Checks of one op record's rules against each other, with nothing but NumPy.

    check_op(build, arrays, expected, rng=rng)

builds a program with `build(*vars)` on the given operands, takes the last operation that it emitted, and checks

- the reference: dtypes and shapes are those of the type rule, values are `expected` where given;
- the element rule, if the record has one: every element equals the reference's, every read lies inside;
- the derivative rules, if a float64 operand reaches a float64 result: the jvp against finite differences, for
  each operand alone and for all together, and the vjp as the transpose of the jvp, for each result alone;
- the batching rule: for every choice of batched operands, against a loop over the batch.

Each check can be called alone on `apply_once(build, arrays)`.  Batches of an operand hold its elements in random
order, or, for a scalar, neighbouring numbers.  Data must keep away from kinks: finite differences step 1e-6.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Builder, Var
from tenfoldc.ir.core import Operation
from tenfoldc.ir.op import Site
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.evaluate import evaluate as evaluate_expression
from tenfoldc.loops.ir import Axis, Expr, Local

Array = NDArray[Any]
Build = Callable[..., Var | Sequence[Var]]

STEP = 1e-6
BATCH = 3


@dataclass(frozen=True)
class Application:
    """One operation and arrays for its operands."""

    operation: Operation
    arrays: tuple[Array, ...]

    def results(self, arrays: Sequence[Array] | None = None) -> list[Array]:
        """What the reference computes."""
        builder = Builder()
        given = self.arrays if arrays is None else arrays
        operands = [builder.parameter(type_of(array)) for array in given]
        results = builder.emit(self.operation.op, operands, self.operation.attributes, self.operation.regions)
        return list(interpret_region(builder.region(operands, results), given))


def type_of(array: Array) -> TensorType:
    """The tensor type of an array."""
    dtype = dtypes.from_numpy(np.asarray(array).dtype)
    assert dtype is not None
    return TensorType(dtype, np.shape(array))


def evaluate(build: Build, *arrays: Array) -> tuple[Array, ...]:
    """The results of the program that `build` makes, through references."""
    builder = Builder()
    operands = [builder.parameter(type_of(array)) for array in arrays]
    results = build(*operands)
    region = builder.region(operands, [results] if isinstance(results, Var) else list(results))
    return interpret_region(region, arrays)


def apply_once(build: Build, arrays: Sequence[Array]) -> Application:
    """The last operation of the program that `build` makes, with the arrays that reach it."""
    arrays = [np.asarray(array) for array in arrays]
    builder = Builder()
    operands = [builder.parameter(type_of(array)) for array in arrays]
    build(*operands)
    operation = builder.operations[-1]
    needed = [builder.var(operand) for operand in operation.operands]
    return Application(operation, interpret_region(builder.region(operands, needed), arrays))


def check_op(
    build: Build,
    arrays: Sequence[Array],
    expected: Array | Sequence[Array] | None = None,
    *,
    rng: np.random.Generator,
    batch: bool = True,
) -> None:
    """All checks that the record allows; see the module's docstring."""
    application = apply_once(build, arrays)
    check_reference(application, expected)
    if application.operation.op.element is not None:
        check_element(application)
    check_derivatives(application, rng)
    if batch and application.arrays:
        check_batching(application, rng)


def assert_same(actual: Array, expected: Array, what: str = "") -> None:
    """Equal dtypes and shapes; equal values, to a few roundings for floats."""
    expected = np.asarray(expected)
    assert actual.dtype == expected.dtype, what
    assert actual.shape == expected.shape, what
    if expected.dtype.kind == "f":
        tolerance = 1e-12 if expected.dtype == np.float64 else 2e-6
        np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance, err_msg=what)
    else:
        np.testing.assert_array_equal(actual, expected, err_msg=what)


def check_reference(application: Application, expected: Array | Sequence[Array] | None = None) -> None:
    """The reference has the inferred types and gives `expected`."""
    operation = application.operation
    results = application.results()
    for result, value in zip(results, operation.results, strict=True):
        assert type_of(result) == value.type
    if expected is not None:
        wanted = [expected] if isinstance(expected, np.ndarray | np.generic) else expected
        for result, want in zip(results, wanted, strict=True):
            assert_same(result, np.asarray(want))


# The element rule


def check_element(application: Application) -> None:
    """Every element that the element rule computes is the reference's."""
    operation = application.operation
    element = operation.op.element
    assert element is not None
    (expected,) = application.results()
    if expected.size == 0:
        return
    axes = [Axis(f"i{axis}") for axis in range(expected.ndim)]
    values: dict[Local | Axis, Array] = dict(zip(axes, np.indices(expected.shape), strict=True))

    def read(operand: int, index: Sequence[Expr]) -> Expr:
        """The elements at `index`, for all elements of the result at once; none may lie outside."""
        array = application.arrays[operand]
        places = [evaluate_expression(part, values) for part in index]
        for axis, (place, size) in enumerate(zip(places, array.shape, strict=True)):
            assert place.min() >= 0, f"operand {operand} is read before the begin of axis {axis}"
            assert place.max() < size, f"operand {operand} is read past the end of axis {axis}"
        local = Local(f"read{len(values)}", operation.operands[operand].type.dtype)
        values[local] = np.broadcast_to(array[tuple(places)], expected.shape)
        return local

    types = [operand.type for operand in operation.operands]
    expression = element(operation.attributes, types, operation.results[0].type, axes, read)
    assert expression.dtype == operation.results[0].type.dtype
    actual = evaluate_expression(expression, values)
    assert_same(np.broadcast_to(actual, expected.shape), expected, "element rule")


# Derivatives


def check_derivatives(application: Application, rng: np.random.Generator) -> None:
    """The jvp is the finite difference and the vjp its transpose, where float64 goes in and out."""
    floats = [n for n, array in enumerate(application.arrays) if array.dtype == np.float64]
    results = application.results()
    outputs = [n for n, result in enumerate(results) if result.dtype == np.float64]
    if not floats or not outputs:
        return
    subsets = [[n] for n in floats] + ([floats] if len(floats) > 1 else [])
    for chosen in subsets:
        tangents = {n: rng.standard_normal(application.arrays[n].shape) for n in chosen}
        forward = _apply_jvp(application, tangents)
        for n, (actual, expected) in enumerate(zip(forward, _difference(application, tangents), strict=True)):
            if n in outputs:
                np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-7, err_msg=f"jvp of {chosen}")
    _check_transpose(application, floats, outputs, rng)


def _check_transpose(
    application: Application, floats: Sequence[int], outputs: Sequence[int], rng: np.random.Generator
) -> None:
    """<cotangents, jvp(tangents)> = <vjp(cotangents), tangents>, operand by operand and result by result."""
    results = application.results()
    for output in outputs:
        cotangent = rng.standard_normal(results[output].shape)
        backward = _apply_vjp(application, {output: cotangent})
        for n, array in enumerate(application.arrays):
            if n not in floats:
                assert backward[n] is None, f"operand {n} has no tangent space"
                continue
            tangent = rng.standard_normal(array.shape)
            forward = np.vdot(cotangent, _apply_jvp(application, {n: tangent})[output])
            transposed = backward[n]
            if transposed is None:
                transposed = np.zeros(array.shape)
            assert transposed.shape == array.shape, f"vjp of operand {n}"
            np.testing.assert_allclose(
                np.vdot(transposed, tangent), forward, rtol=1e-9, atol=1e-9, err_msg=f"vjp of operand {n}"
            )


def _difference(application: Application, tangents: dict[int, Array]) -> list[Array]:
    """Central differences of the results along `tangents`."""
    ends: list[list[Array]] = []
    for sign in (1.0, -1.0):
        moved = [
            array + sign * STEP * tangents[n] if n in tangents else array for n, array in enumerate(application.arrays)
        ]
        ends.append(application.results(moved))
    return [
        (high - low) / (2 * STEP) if high.dtype == np.float64 else np.zeros(high.shape)
        for high, low in zip(*ends, strict=True)
    ]


def _apply_jvp(application: Application, tangents: dict[int, Array]) -> list[Array]:
    """The results' tangents, zeros where the rule says None."""
    operation = application.operation
    builder = Builder()
    operands = [builder.parameter(type_of(array)) for array in application.arrays]
    moving = {n: builder.parameter(type_of(tangent)) for n, tangent in tangents.items()}
    results = builder.emit(operation.op, operands, operation.attributes, operation.regions)
    rule = operation.op.jvp_rule
    assert rule is not None, f"{operation.op} has no jvp rule"
    site = Site(tuple(operands), operation.attributes, operation.regions, results)
    outcome = rule(site, [moving.get(n) for n in range(len(operands))])
    for result, tangent in zip(results, outcome, strict=True):
        assert tangent is None or tangent.type == result.type, "a tangent has its value's type"
    found = [tangent for tangent in outcome if tangent is not None]
    region = builder.region([*operands, *moving.values()], found)
    values = iter(interpret_region(region, [*application.arrays, *tangents.values()]))
    return [
        np.zeros(result.sizes) if tangent is None else next(values)
        for result, tangent in zip(results, outcome, strict=True)
    ]


def _apply_vjp(application: Application, cotangents: dict[int, Array]) -> list[Array | None]:
    """The operands' cotangents."""
    operation = application.operation
    builder = Builder()
    operands = [builder.parameter(type_of(array)) for array in application.arrays]
    given = {n: builder.parameter(type_of(cotangent)) for n, cotangent in cotangents.items()}
    results = builder.emit(operation.op, operands, operation.attributes, operation.regions)
    rule = operation.op.vjp_rule
    assert rule is not None, f"{operation.op} has no vjp rule"
    site = Site(tuple(operands), operation.attributes, operation.regions, results)
    outcome = rule(site, [given.get(n) for n in range(len(results))])
    for operand, cotangent in zip(operands, outcome, strict=True):
        assert cotangent is None or cotangent.type == operand.type, "a cotangent has its value's type"
    found = [cotangent for cotangent in outcome if cotangent is not None]
    region = builder.region([*operands, *given.values()], found)
    values = iter(interpret_region(region, [*application.arrays, *cotangents.values()]))
    return [None if cotangent is None else next(values) for cotangent in outcome]


# The batching rule


def check_batching(application: Application, rng: np.random.Generator, *, size: int = BATCH) -> None:
    """The batching rule agrees with a loop, for all choices of batched operands of up to four, else each and all."""
    count = len(application.arrays)
    if count <= 4:
        choices = [flags for flags in itertools.product([False, True], repeat=count) if any(flags)]
    else:
        choices = [tuple(n == chosen for n in range(count)) for chosen in range(count)] + [(True,) * count]
    for flags in choices:
        _check_batched(application, flags, size, rng)


def _check_batched(application: Application, flags: Sequence[bool], size: int, rng: np.random.Generator) -> None:
    arrays = [
        _variations(array, size, rng) if flag else array for array, flag in zip(application.arrays, flags, strict=True)
    ]
    operation = application.operation
    builder = Builder()
    operands = [builder.parameter(type_of(array)) for array in arrays]
    rule = operation.op.batch_rule
    assert rule is not None, f"{operation.op} has no batching rule"
    results, batched = rule(Site(tuple(operands), operation.attributes, operation.regions), flags, size)
    actual = interpret_region(builder.region(operands, list(results)), arrays)
    rows = [
        application.results([array[n] if flag else array for array, flag in zip(arrays, flags, strict=True)])
        for n in range(size)
    ]
    for number, (values, flag) in enumerate(zip(actual, batched, strict=True)):
        expected = np.stack([row[number] for row in rows])
        whole = values if flag else np.broadcast_to(values, expected.shape)
        assert_same(whole, expected, f"batched operands {flags}")


def _variations(array: Array, size: int, rng: np.random.Generator) -> Array:
    """`size` arrays like `array`, stacked."""
    if array.ndim == 0 and array.dtype.kind in "iu":
        return array + np.arange(size, dtype=array.dtype)
    if array.ndim == 0 and array.dtype.kind == "f":
        return array + np.arange(size, dtype=array.dtype) / 8
    if array.ndim == 0:
        return np.resize(np.asarray([array, ~array]), size)
    return np.stack([rng.permutation(array.reshape(-1)).reshape(array.shape) for _ in range(size)])


def distinct(rng: np.random.Generator, shape: Sequence[int]) -> Array:
    """Random float64 numbers that differ from each other and from zero by much more than a step."""
    size = math.prod(shape)
    return (rng.permutation(size) + 1.25 + rng.uniform(-0.1, 0.1, size)).reshape(tuple(shape)) / max(size, 1)
