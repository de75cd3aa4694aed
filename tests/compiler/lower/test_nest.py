"""Nests: their loops, and that they compute what the references do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from loop_programs import along_rows, f32, function, layer_norm, lowered, names_of, softmax
from program_runner import run_program

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Constant, For, Kernel, Mode, Program
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower import parts


def arguments_for(source: Function) -> list[np.ndarray]:
    random = np.random.default_rng(7)
    return [random.uniform(-2, 2, type_.sizes).astype(type_.dtype.numpy) for type_ in source.type.parameters]


def check(types: Sequence[TensorType], compute: Callable[..., Var | Sequence[Var]]) -> Program:
    """Lower and run; the results must be the references'."""
    source = function(types, compute)
    arguments = arguments_for(source)
    program = lowered(source)
    expected = interpret(Module({"main": source}), arguments)
    for result, want in zip(run_program(program, arguments), expected, strict=True):
        assert result.shape == want.shape
        assert result.dtype == want.dtype
        np.testing.assert_allclose(result, want, rtol=2e-5, atol=2e-5)
    return program


def loops_of(kernel: Kernel) -> list[For]:
    return [statement for statement in walk_statements(kernel.body) if isinstance(statement, For)]


def extents_of(kernel: Kernel) -> list[int]:
    return [int(loop.extent.value) for loop in loops_of(kernel) if isinstance(loop.extent, Constant)]


def test_contiguous_axes_become_one_loop() -> None:
    (kernel,) = check([f32(5, 3, 2)] * 2, lambda x, y: ops.add(ops.tanh(x), y)).kernels
    assert extents_of(kernel) == [30]


def test_an_axis_that_is_repeated_stays_a_loop() -> None:
    (kernel,) = check(
        [f32(5, 3, 2), f32(3, 2)], lambda x, b: ops.add(x, ops.broadcast_in_dim(b, x.shape, [1, 2]))
    ).kernels
    assert extents_of(kernel) == [5, 6]


def test_merged_heads_are_split_again_so_that_no_index_divides() -> None:
    def merge_heads(x: Var) -> Var:
        return ops.reshape(ops.transpose(x, [0, 2, 1, 3]), (2, 5, 12))

    (kernel,) = check([f32(2, 3, 5, 4)], merge_heads).kernels
    assert extents_of(kernel) == [2, 5, 3, 4]


def test_axes_of_size_one_have_no_loop() -> None:
    (kernel,) = check([f32(1, 6, 1), f32(6)], lambda x, y: ops.add(ops.reshape(x, (6,)), y)).kernels
    assert extents_of(kernel) == [6]


def test_a_scalar_has_no_loop() -> None:
    (kernel,) = check([f32(), f32()], ops.add).kernels
    depth = len(loops_of(kernel))
    assert depth == 0


def test_an_empty_tensor_is_computed_by_loops_that_never_turn() -> None:
    check([f32(0, 3), f32(3)], lambda x, b: ops.add(x, ops.broadcast_in_dim(b, x.shape, [1])))


def test_an_empty_sum_is_its_initial_value() -> None:
    check([f32(4, 0)], lambda x: [ops.reduce_sum(x, [1]), ops.reduce_max(x, [0, 1])])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2), ()])
def test_sums_over_any_axes(axes: tuple[int, ...]) -> None:
    check([f32(4, 3, 5)], lambda x: ops.reduce_sum(x, axes))


@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_over_either_axis(axis: int) -> None:
    def over(x: Var) -> Var:
        other = [1 - axis]
        largest = ops.broadcast_in_dim(ops.reduce_max(x, [axis]), x.shape, other)
        exponentials = ops.exponential(ops.subtract(x, largest))
        return ops.divide(exponentials, ops.broadcast_in_dim(ops.reduce_sum(exponentials, [axis]), x.shape, other))

    assert len(names_of(check([f32(9, 7)], over))) == 1


def test_softmax_of_several_batch_axes() -> None:
    check([f32(2, 3, 7)], softmax)


def test_layer_norm() -> None:
    check([f32(3, 2, 7), f32(7), f32(7)], layer_norm)


def test_a_value_that_is_both_result_and_read_by_later_passes() -> None:
    def both(x: Var) -> Sequence[Var]:
        y = ops.exponential(x)
        return y, ops.divide(y, along_rows(ops.reduce_sum(y, [1]), y))

    program = check([f32(4, 6)], both)
    (kernel,) = program.kernels
    scratch = kernel.scratch
    assert not scratch


def test_two_results_of_different_rank_share_a_kernel() -> None:
    def both(x: Var) -> Sequence[Var]:
        total = ops.reduce_sum(x, [1])
        return ops.tanh(total), ops.subtract(x, along_rows(total, x))

    assert len(names_of(check([f32(4, 6)], both))) == 1


def test_what_the_elements_of_a_column_share_is_computed_once_per_column() -> None:
    def normalise(x: Var) -> Var:
        total = ops.reduce_sum(ops.square(x), [0])
        return ops.multiply(x, ops.broadcast_in_dim(ops.square(total), x.shape, [1]))

    (kernel,) = check([f32(9, 5)], normalise).kernels
    shapes = [buffer.shape for buffer in kernel.scratch]
    assert shapes == [(5,), (5,)]


def test_reductions_along_axes_of_size_one_do_not_count_other_turns() -> None:
    def unit(x: Var, y: Var) -> Var:
        return ops.add(ops.reduce_sum(x, [0]), ops.reduce_sum(ops.square(y), [0]))

    check([f32(1, 6), f32(4, 6)], unit)


def test_argmax_of_an_axis_of_size_one() -> None:
    check([f32(5, 1)], lambda x: ops.argmax(x, 1, dtypes.i32))


def test_long_rows_are_summed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SUM_BLOCK", 8)
    program = check([f32(3, 50)], lambda x: ops.reduce_sum(x, [1]))
    depth = len(loops_of(program.kernels[0]))
    assert depth == 3


def test_the_sum_of_many_numbers_is_exact_to_the_last_bits() -> None:
    source = function([f32(20_000)], lambda x: ops.reduce_sum(x, [0]))
    values = np.random.default_rng(3).uniform(0, 1, 20_000).astype(np.float32)
    (total,) = run_program(lowered(source), [values])
    assert abs(total / values.sum(dtype=np.float64) - 1) < 2e-6


def test_tall_columns_are_summed_in_blocks() -> None:
    source = function([f32(9000, 2)], lambda x: ops.reduce_sum(x, [0]))
    values = np.random.default_rng(3).uniform(0, 1, (9000, 2)).astype(np.float32)
    (totals,) = run_program(lowered(source), [values])
    np.testing.assert_allclose(totals, values.sum(0, dtype=np.float64), rtol=2e-6)


@pytest.mark.parametrize(("shape", "axes"), [((1 << 18,), [0]), ((512, 513), [0, 1]), ((3000, 100), [0])])
def test_a_long_reduction_is_cut_into_parts_that_threads_share(shape: tuple[int, ...], axes: list[int]) -> None:
    def folds(x: Var) -> list[Var]:
        return [ops.reduce_sum(x, axes), ops.reduce_max(x, axes)]

    source = function([f32(*shape)], folds)
    (kernel,) = lowered(source).kernels
    (shared,) = [loop for loop in loops_of(kernel) if loop.mode is Mode.PARALLEL]
    assert isinstance(shared.extent, Constant)
    assert int(shared.extent.value) >= 4


@pytest.mark.parametrize("shape", [(32, 48), (17, 33)])
def test_a_transpose_runs_in_tiles(shape: tuple[int, int]) -> None:
    (kernel,) = check([f32(*shape)], lambda x: ops.transpose(x, [1, 0])).kernels
    depth = len(loops_of(kernel))
    assert depth == 4


def test_short_inner_loops_are_unrolled_and_long_ones_vectors() -> None:
    (kernel,) = check([f32(6, 3)], lambda x: ops.reduce_sum(x, [1])).kernels
    assert [loop.mode for loop in loops_of(kernel)] == [Mode.SERIAL, Mode.UNROLLED]
    (kernel,) = check([f32(64)], ops.tanh).kernels
    assert [loop.mode for loop in loops_of(kernel)] == [Mode.VECTOR]


def test_integer_and_bool_reductions() -> None:
    def counts(x: Var) -> Sequence[Var]:
        positive = ops.compare(x, ops.zeros_like(x), ops.Direction.GT)
        return ops.reduce_sum(ops.convert(positive, dtypes.i32), [1]), ops.reduce_or(positive, [0])

    check([f32(5, 7)], counts)


def test_every_result_is_filled() -> None:
    def results(x: Var, y: Var) -> Sequence[Var]:
        z = ops.tanh(x)
        dense = ops.constant(x.builder, np.arange(6.0), dtypes.f32)
        return x, z, z, ops.reshape(z, (3, 2)), ops.full(x.builder, f32(2, 2), 1.5), dense, ops.reshape(y, (4,)), y

    check([f32(2, 3), f32(2, 2)], results)
