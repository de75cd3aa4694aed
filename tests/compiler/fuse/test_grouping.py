"""Which operations become one kernel, and which values are written to memory."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import pytest
from loop_programs import along_rows, dense, f32, function, layer_norm, lowered, names_of, scratch_of, softmax

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.fuse import fuse
from tenfoldc.ir.builder import Var
from tenfoldc.ir.groups import GroupKind
from tenfoldc.loops.ir import Call
from tenfoldc.loops.traversal import all_expressions


def test_a_chain_of_elementwise_operations_is_one_kernel() -> None:
    program = lowered(function([f32(4, 8), f32(4, 8)], lambda x, y: ops.tanh(ops.add(ops.multiply(x, y), x))))
    assert len(names_of(program)) == 1
    assert not program.temporaries


@pytest.mark.parametrize("shape", [(64, 100), (2, 3, 40)])
def test_softmax_is_one_kernel_that_keeps_one_row(shape: tuple[int, ...]) -> None:
    """Beside the row are the largest elements of some dozen rows, and the lanes that they are found in."""
    program = lowered(function([f32(*shape)], softmax))
    assert len(names_of(program)) == 1
    assert not program.temporaries
    kept = [buffer.shape for buffer in scratch_of(program)]
    assert kept.count((shape[-1],)) == 1
    assert sum(map(math.prod, kept)) <= shape[-1] + 64 * (1 + 2 * 16)


def test_softmax_computes_each_exponential_once() -> None:
    (kernel,) = lowered(function([f32(64, 96)], softmax)).kernels
    count = sum(isinstance(expression, Call) for expression in all_expressions(kernel.body))
    assert count == 1


def test_log_softmax_is_one_kernel_without_memory_but_for_numbers_of_rows() -> None:
    def log_softmax(x: Var) -> Var:
        centred = ops.subtract(x, along_rows(ops.reduce_max(x, [1]), x))
        return ops.subtract(centred, along_rows(ops.log(ops.reduce_sum(ops.exponential(centred), [1])), x))

    program = lowered(function([f32(64, 100)], log_softmax))
    assert len(names_of(program)) == 1
    assert not program.temporaries
    assert all(math.prod(buffer.shape) <= 64 * 16 for buffer in scratch_of(program))


def test_layer_norm_is_one_kernel_without_memory_but_for_numbers_of_rows() -> None:
    program = lowered(function([f32(16, 40), f32(40), f32(40)], layer_norm))
    assert len(names_of(program)) == 1
    assert not program.temporaries
    assert {buffer.shape for buffer in scratch_of(program)} == {(16,)}


def test_the_gradient_of_softmax_is_one_kernel() -> None:
    def pull_back(y: Var, dy: Var) -> Var:
        inner = ops.reduce_sum(ops.multiply(y, dy), [1])
        return ops.multiply(y, ops.subtract(dy, along_rows(inner, y)))

    program = lowered(function([f32(16, 40), f32(16, 40)], pull_back))
    assert len(names_of(program)) == 1
    assert not program.temporaries


def test_rows_too_long_for_the_cache_are_not_kept() -> None:
    program = lowered(function([f32(2, 100_000)], softmax))
    assert len(names_of(program)) > 1
    assert not scratch_of(program)


def test_an_mlp_is_one_kernel_per_matrix_product() -> None:
    def mlp(x: Var, w: Var, b: Var, v: Var, c: Var) -> Var:
        hidden = dense(x, w, b)
        return dense(ops.maximum(hidden, ops.zeros_like(hidden)), v, c)

    program = lowered(function([f32(32, 64), f32(64, 48), f32(48), f32(48, 10), f32(10)], mlp))
    assert [name.partition("_")[2] for name in names_of(program)] == ["dot_general", "dot_general"]
    assert [buffer.shape for buffer in program.temporaries] == [(32, 48)]


def test_a_transposed_operand_is_read_in_place_by_a_product() -> None:
    program = lowered(
        function(
            [f32(8, 6), f32(8, 4)],
            lambda x, y: ops.dot_general(ops.transpose(x, [1, 0]), y, lhs_contracting=[1], rhs_contracting=[0]),
        )
    )
    assert len(names_of(program)) == 1


def test_an_expensive_value_with_two_readers_is_computed_once() -> None:
    def two_readers(x: Var) -> Sequence[Var]:
        y = ops.exponential(x)
        return ops.reduce_sum(y, [0]), ops.reduce_sum(ops.square(y), [1])

    program = lowered(function([f32(30, 40)], two_readers))
    calls = [e for kernel in program.kernels for e in all_expressions(kernel.body) if isinstance(e, Call)]
    count = len(calls)
    assert count == 1


def test_an_expensive_value_repeated_along_rows_is_written_first() -> None:
    program = lowered(
        function([f32(40), f32(30, 40)], lambda b, x: ops.add(x, ops.broadcast_in_dim(ops.tanh(b), x.shape, [1])))
    )
    assert [buffer.shape for buffer in program.temporaries] == [(40,)]


def test_a_cheap_value_is_rather_computed_twice_than_written() -> None:
    def two_readers(x: Var) -> Sequence[Var]:
        y = ops.add(x, x)
        return ops.reduce_sum(y, [0]), ops.reduce_sum(ops.square(y), [1])

    temporaries = lowered(function([f32(30, 40)], two_readers)).temporaries
    assert not temporaries


def test_consumers_of_one_shape_share_a_kernel() -> None:
    def three(x: Var) -> Sequence[Var]:
        y = ops.exponential(x)
        return ops.add(y, x), ops.multiply(y, x), ops.negate(y)

    program = lowered(function([f32(30, 40)], three))
    assert len(names_of(program)) == 1
    assert not program.temporaries


def test_groups_do_not_need_each_other_in_a_circle() -> None:
    def crossed(x: Var, w: Var) -> Sequence[Var]:
        y = ops.tanh(x)
        z = ops.dot_general(y, w, lhs_contracting=[1], rhs_contracting=[0])
        return (ops.add(y, z),)

    plan = fuse(function([f32(8, 8), f32(8, 8)], crossed))
    assert [group.kind for group in plan.groups] == [GroupKind.NEST, GroupKind.OPERATION]


def test_a_reduction_takes_what_follows_it_into_its_kernel() -> None:
    program = lowered(
        function([f32(30, 40), f32(40)], lambda x, b: ops.subtract(b, ops.multiply(ops.reduce_sum(x, [0]), b)))
    )
    assert len(names_of(program)) == 1
    assert not program.temporaries


def test_a_reshape_of_a_result_costs_nothing() -> None:
    program = lowered(function([f32(4, 6)], lambda x: ops.reshape(ops.tanh(x), (3, 8))))
    assert len(names_of(program)) == 1
    assert not program.temporaries


def test_two_reductions_of_one_row_share_a_pass() -> None:
    def moments(x: Var) -> Var:
        return ops.subtract(ops.reduce_sum(ops.square(x), [1]), ops.square(ops.reduce_sum(x, [1])))

    program = lowered(function([f32(30, 40)], moments))
    assert len(names_of(program)) == 1


def test_reductions_of_one_parameter_share_a_pass() -> None:
    program = lowered(function([f32(30, 40)], lambda x: [ops.reduce_sum(x, [1]), ops.reduce_max(x, [1])]))
    assert len(names_of(program)) == 1


def test_a_weighted_mean_of_any_length_is_one_pass() -> None:
    def weighted(x: Var, w: Var) -> Var:
        return ops.divide(ops.reduce_sum(ops.multiply(x, w), [0]), ops.reduce_sum(w, [0]))

    program = lowered(function([f32(100_000), f32(100_000)], weighted))
    assert len(names_of(program)) == 1


def test_a_reduction_of_long_rows_that_another_waits_for_is_a_kernel_of_its_own() -> None:
    def variance(x: Var) -> Var:
        centred = ops.subtract(x, along_rows(ops.reduce_sum(x, [1]), x))
        return ops.reduce_sum(ops.square(centred), [1])

    assert len(names_of(lowered(function([f32(2, 100_000)], variance)))) == 2


def test_long_chains_are_cut_and_take_linear_time() -> None:
    def chain(x: Var) -> Var:
        y = x
        for turn in range(2000):
            y = ops.add(y, x) if turn % 2 else ops.multiply(y, ops.full_like(y, 1.0 + turn))
        return y

    source = function([f32(16)], chain)
    start = time.perf_counter()
    program = lowered(source)
    assert time.perf_counter() - start < 10
    assert 10 < len(names_of(program)) < 40


def test_an_index_count_needs_no_memory() -> None:
    program = lowered(function([f32(5, 7)], lambda x: ops.add(x, ops.iota(x.builder, f32(5, 7), 1))))
    assert not program.temporaries
    assert not program.constants


def test_argmax_reads_its_indices_from_nowhere() -> None:
    program = lowered(function([f32(5, 7)], lambda x: ops.argmax(x, 1, dtypes.i32)))
    assert len(names_of(program)) == 1
    assert not program.temporaries
