"""Programs as native code: random ones against the interpreter, and those that once went wrong or easily might."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from compiled import ROUNDINGS, call, case, check, compare_all, compile_library, single, type_of
from drawn_programs import FIRST, INTO_FIRST, SQUARE, TOLERANCE, Program, drawn, matmul, numbers

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.ir.printer import print_module
from tenfoldc.ir.types import TensorType
from tenfoldc.ops import Direction

BATCHES, PER_LIBRARY = 30, 10


def assert_compiled_as_interpreted(batch: Sequence[Program], directory: Path) -> None:
    library = compile_library([module for module, _ in batch], directory)
    for number, (module, arrays) in enumerate(batch):
        actual = call(library, module, arrays, f"main{number}")
        try:
            compare_all(actual, interpret(module, arrays), TOLERANCE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{print_module(module)}") from None


@pytest.mark.parametrize("batch", range(BATCHES))
def test_random_programs_are_compiled_as_interpreted(
    batch: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seed = request.config.getoption("--seed") + batch
    print(f"random seed: {seed}")
    assert_compiled_as_interpreted(drawn(PER_LIBRARY, seed, largest=12, steps=2), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(BATCHES))
def test_large_random_programs_are_compiled_as_interpreted(
    batch: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seed = request.config.getoption("--seed") + batch
    print(f"random seed: {seed}")
    assert_compiled_as_interpreted(drawn(PER_LIBRARY, seed, largest=50, steps=20), tmp_path)


def test_results_replace_the_parameter_that_they_read(rng: np.random.Generator, tmp_path: Path) -> None:
    x = numbers(rng, *SQUARE)
    check([case(label, build, x, donated=FIRST) for label, build in INTO_FIRST.items()], tmp_path)


def test_donated_parameters_change_places(rng: np.random.Generator, tmp_path: Path) -> None:
    arrays = [numbers(rng, 5) for _ in range(3)]
    each = ((0, 0), (1, 1), (2, 2))
    check(
        [
            case("swap", lambda a, b: (b, a), *arrays[:2], donated=each[:2]),
            case("cycle", lambda a, b, c: (b, c, a), *arrays, donated=each),
            case("sum and difference", lambda a, b: (ops.add(b, a), ops.subtract(a, b)), *arrays[:2], donated=each[:2]),
            case("crosswise", lambda a, b: (b, a), *arrays[:2], donated=((0, 1), (1, 0))),
        ],
        tmp_path,
    )


@pytest.mark.parametrize("donated", [0, 1])
def test_product_replaces_a_factor(donated: int, rng: np.random.Generator, tmp_path: Path) -> None:
    arrays = numbers(rng, 130, 130), numbers(rng, 130, 130)
    check([case("product", matmul, *arrays, donated=((donated, 0),))], tmp_path)


# Results that are one another


def test_results_may_be_equal_views_constants_and_parameters(rng: np.random.Generator, tmp_path: Path) -> None:
    x, constant = numbers(rng, 6), np.arange(6, dtype=np.float32)

    def negated(x: Var) -> Sequence[Var]:
        y = ops.negate(x)
        return y, ops.reshape(y, (3, 2)), y, ops.abs_(y)

    def constants(x: Var) -> Sequence[Var]:
        c = ops.constant(x.builder, constant)
        return c, ops.reshape(c, (2, 3)), c, ops.zeros_like(x)

    check(
        [
            case("parameter", lambda x: (x, ops.reshape(x, (2, 3)), x), x),
            case("value", negated, x),
            case("constant", constants, x),
            case("no result", lambda _: (), x),
        ],
        tmp_path,
    )


def pairwise(x: Var, y: Var) -> Sequence[Var]:
    """A reduction of two tensors along no axis: each element is combined with an initial value."""
    inits = [ops.full(x.builder, x.type.with_shape(()), value) for value in (1, 2)]
    return ops.reduce([x, y], inits, (), lambda a, b, c, d: (ops.add(a, c), ops.maximum(b, d)))


def test_reduction_along_no_axis_follows_a_product(rng: np.random.Generator, tmp_path: Path) -> None:
    arrays = [numbers(rng, 3, 3) for _ in range(3)]
    check([case("pair", lambda x, y, z: pairwise(matmul(x, y), z)[1:], *arrays)], tmp_path)


def test_reduction_along_no_axis_is_beside_one_that_reads_the_same(rng: np.random.Generator, tmp_path: Path) -> None:
    def build(x: Var) -> Sequence[Var]:
        y = ops.abs_(x)
        total = ops.broadcast_in_dim(ops.reduce_sum(y, (0,)), y.shape, ())
        return *pairwise(y, x), ops.divide(y, total)

    check([case("share", build, numbers(rng, 33), compare=ROUNDINGS)], tmp_path)


def test_convolution_with_axes_of_size_one_is_a_result_beside_what_follows(
    rng: np.random.Generator, tmp_path: Path
) -> None:
    layout = ops.ConvDimensionNumbers.of((1, 2, 0), (0, 1, 2), (0, 2, 1))

    def build(x: Var, kernel: Var) -> Sequence[Var]:
        y = ops.convolution(x, kernel, layout, padding=((1, 2),), lhs_dilation=(2,))
        return y, ops.sign(y)

    check([case("sign", build, numbers(rng, 17, 1, 33), numbers(rng, 1, 33, 2))], tmp_path)


# Size


def test_high_ranks(rng: np.random.Generator, tmp_path: Path) -> None:
    twos, ones = numbers(rng, *[2] * 12), numbers(rng, *[1, 2] * 6, *[1] * 8)
    check(
        [
            case("transposed", lambda x: ops.transpose(ops.add(x, x), range(12)[::-1]), twos),
            case("reduced", lambda x: ops.reduce_sum(x, range(0, 20, 3)), ones),
        ],
        tmp_path,
    )


def test_large_constants(rng: np.random.Generator, tmp_path: Path) -> None:
    weights = numbers(rng, 512, 1024)
    check(
        [
            case("sum", lambda x: ops.add(x, ops.constant(x.builder, weights)), numbers(rng, 512, 1024)),
            case("product", lambda x: matmul(x, ops.constant(x.builder, weights)), numbers(rng, 3, 512)),
        ],
        tmp_path,
    )


def test_hundreds_of_parameters(rng: np.random.Generator, tmp_path: Path) -> None:
    arrays = [numbers(rng, 3) for _ in range(300)]
    check(
        [
            case("sum", lambda *xs: functools.reduce(ops.add, xs), *arrays),
            case("rows", lambda *xs: ops.concatenate(xs, 0), *arrays),
        ],
        tmp_path,
    )


def test_a_chain_of_two_thousand_operations(rng: np.random.Generator, tmp_path: Path) -> None:
    def build(x: Var) -> Var:
        for turn in range(1000):
            x = ops.multiply(ops.add(x, ops.full_like(x, turn % 5)), ops.full_like(x, 0.5))
        return x

    check([case("chain", build, numbers(rng, 33), compare=ROUNDINGS)], tmp_path)


# Accuracy

LONG = {
    "vector": ((1_000_003,), (0,)),
    "rows": ((3, 400_001), (1,)),
    "columns": ((400_001, 3), (0,)),
    "matrix": ((1000, 1000), (0, 1)),
    "outer and inner": ((100, 100, 100), (0, 2)),
}


@pytest.mark.parametrize("label", LONG)
def test_long_sums_of_f32_are_accurate(label: str, rng: np.random.Generator, tmp_path: Path) -> None:
    shape, axes = LONG[label]
    x = rng.random(shape, np.float32)
    module = single(lambda v: ops.reduce_sum(v, axes), [type_of(x)])
    (result,) = call(compile_library([module], tmp_path), module, [x])
    np.testing.assert_allclose(result, x.sum(axis=axes, dtype=np.float64), rtol=1e-6)


def test_a_value_read_whole_and_as_its_first_part_is_computed_whole(tmp_path: Path) -> None:
    def build(x: Var, y: Var) -> Sequence[Var]:
        joined = ops.concatenate([ops.sine(x), ops.cosine(y)], 0)
        doubled = ops.add(joined, joined)
        first, rest = ops.slice_(doubled, [0], [6]), ops.slice_(doubled, [6], [7])
        return ops.multiply(first, first), rest, ops.slice_(joined, [6], [7])

    check([case("parts", build, np.arange(6.0), np.ones(1), compare=ROUNDINGS)], tmp_path)


def test_a_carry_does_not_take_the_memory_of_a_value_that_the_loop_uses_too(tmp_path: Path) -> None:
    def build(x: Var, y: Var) -> Var:
        start = ops.sine(x)

        def condition(turn: Var, _: Var) -> Sequence[Var]:
            return (ops.compare(turn, ops.full_like(turn, 3), Direction.LT),)

        def body(turn: Var, carry: Var) -> Sequence[Var]:
            held = carry.builder.var(start.value)
            return ops.add(turn, ops.ones_like(turn)), ops.add(ops.reverse(carry, (0,)), held)

        zero = ops.full(x.builder, TensorType(dtypes.i32), 0)
        regions = [build_region([zero.type, x.type], part, like=x.builder) for part in (condition, body)]
        return ops.multiply(ops.while_([zero, start], *regions)[1], y)

    check([case("held", lambda x, y: [build(x, y)], np.arange(5.0), np.ones(5), compare=ROUNDINGS)], tmp_path)


def test_a_row_of_parts_with_two_bounds_each_is_normalised(tmp_path: Path) -> None:
    """LLVM's loop peeling aborted the process for this."""

    def build(x: Var, w: Var) -> Var:
        padded = ops.pad(x, ops.full(x.builder, TensorType(dtypes.f32), 1.0), [1], [2])
        row = ops.concatenate([padded, ops.constant(x.builder, np.arange(8, dtype=np.float32))], 0)
        share = ops.full(x.builder, TensorType(dtypes.f32), 1 / 16)
        mean = ops.multiply(ops.reduce_sum(row, (0,)), share)
        centred = ops.subtract(row, ops.broadcast_in_dim(mean, (16,), ()))
        spread = ops.multiply(ops.reduce_sum(ops.multiply(centred, centred), (0,)), share)
        scale = ops.rsqrt(ops.add(spread, ops.ones_like(spread)))
        return ops.multiply(ops.multiply(centred, ops.broadcast_in_dim(scale, (16,), ())), w)

    arrays = np.ones(5, np.float32), np.ones(16, np.float32)
    check([case("parts", build, *arrays, compare=TOLERANCE)], tmp_path)
