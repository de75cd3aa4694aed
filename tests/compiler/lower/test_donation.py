"""Donated parameters: results come out right whether or not they have the parameter's memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from loop_programs import along_rows, dense, f32, function, lowered, softmax
from program_runner import run_program

from tenfoldc import ops
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Module
from tenfoldc.ir.types import TensorType


def copies(
    types: Sequence[TensorType], compute: Callable[..., Sequence[Var]], donated: Sequence[tuple[int, int]]
) -> int:
    """Check the results with memory shared and apart; how many results are computed apart and copied."""
    source = function(types, compute, donated)
    random = np.random.default_rng(5)
    arguments = [random.uniform(-1, 1, type_.sizes).astype(np.float32) for type_ in types]
    expected = interpret(Module({"main": source}), arguments)
    program = lowered(source)
    for share in (False, True):
        for result, want in zip(run_program(program, arguments, share_donated=share), expected, strict=True):
            np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-6)
    return sum(kernel.name.endswith("copy") for kernel in program.kernels)


def test_an_elementwise_update_is_made_in_place() -> None:
    assert copies([f32(4, 3)] * 2, lambda p, g: [ops.subtract(p, g)], [(0, 0)]) == 0


def test_an_update_with_moments_is_made_in_place() -> None:
    def update(p: Var, m: Var, g: Var) -> Sequence[Var]:
        moment = ops.add(ops.multiply(m, ops.full_like(m, 0.9)), g)
        return ops.subtract(p, ops.multiply(moment, ops.square(m))), moment

    assert copies([f32(4, 3)] * 3, update, [(0, 0), (1, 1)]) == 0


def test_softmax_is_made_in_place() -> None:
    assert copies([f32(4, 6)], lambda x: [softmax(x)], [(0, 0)]) == 0


def test_a_result_whose_parameter_is_read_later_is_copied() -> None:
    def both(x: Var) -> Sequence[Var]:
        return ops.tanh(x), ops.transpose(x, [1, 0])

    assert copies([f32(4, 4)], both, [(0, 0)]) == 1


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: [ops.reverse(x, [0])],
        lambda x: [ops.transpose(x, [1, 0])],
        lambda x: [ops.subtract(x, ops.broadcast_in_dim(ops.reduce_sum(x, [0]), x.shape, [1]))],
        lambda x: [ops.add(x, along_rows(ops.slice_(ops.reshape(x, (16,)), [12], [16]), x))],
    ],
)
def test_a_result_that_moves_elements_is_right(compute: Callable[[Var], Sequence[Var]]) -> None:
    copies([f32(4, 4)], compute, [(0, 0)])


def test_parameters_that_change_places_are_right() -> None:
    assert copies([f32(3), f32(3)], lambda x, y: [y, x], [(0, 0), (1, 1)]) >= 1


def test_a_weight_update_after_a_product_is_right() -> None:
    def step(w: Var, x: Var, b: Var) -> Sequence[Var]:
        y = dense(x, w, b)
        gradient = ops.dot_general(x, y, lhs_contracting=[0], rhs_contracting=[0])
        return (ops.subtract(w, gradient),)

    copies([f32(9, 8), f32(10, 9), f32(8)], step, [(0, 0)])
