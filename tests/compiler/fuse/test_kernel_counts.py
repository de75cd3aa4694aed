"""How many kernels programs of rows and layers become, and what their loops are made of."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from loop_programs import along_rows, dense, f32, function, i32, layer_norm, lowered, names_of, softmax

from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.pipeline import stage_text
from tenfoldc.target import named


def mlp(x: Var, *weights: Var) -> Var:
    """Three dense layers with rectifiers between them."""
    hidden = dense(x, weights[0], weights[1])
    hidden = dense(ops.maximum(hidden, ops.zeros_like(hidden)), weights[2], weights[3])
    return dense(ops.maximum(hidden, ops.zeros_like(hidden)), weights[4], weights[5])


def cross_entropy(x: Var, labels: Var) -> Sequence[Var]:
    """Each row's loss, and its gradient with respect to the scores."""
    largest = along_rows(ops.reduce_max(x, [1]), x)
    grown = ops.exponential(ops.subtract(x, largest))
    total = ops.reduce_sum(grown, [1])
    columns = ops.iota(x.builder, i32(*x.shape), 1)
    is_label = ops.compare(columns, ops.broadcast_in_dim(labels, x.shape, [0]), ops.Direction.EQ)
    score = ops.reduce_sum(ops.select(is_label, ops.subtract(x, largest), ops.zeros_like(x)), [1])
    gradient = ops.subtract(ops.divide(grown, along_rows(total, x)), ops.convert(is_label, x.type.dtype))
    return ops.subtract(ops.log(total), score), gradient


MLP = function([f32(64, 48), f32(48, 40), f32(40), f32(40, 24), f32(24), f32(24, 10), f32(10)], mlp)
ROWS = {
    "softmax": function([f32(64, 1024)], softmax),
    "layer norm": function([f32(64, 1024), f32(1024), f32(1024)], layer_norm),
    "cross-entropy": function([f32(64, 1000), i32(64)], cross_entropy),
}


def test_a_forward_pass_of_three_layers_is_three_kernels() -> None:
    assert len(names_of(lowered(MLP))) == 3


@pytest.mark.parametrize("name", ROWS)
def test_a_program_of_rows_is_one_kernel(name: str) -> None:
    program = lowered(ROWS[name])
    assert len(names_of(program)) == 1
    assert not program.temporaries


@pytest.mark.parametrize("name", ROWS)
def test_its_loops_are_vectors_without_calls(name: str) -> None:
    source: Function = ROWS[name]
    text = stage_text(Module({"main": source}, entries=("main",)), "asm", target=named("x86-64-v3"))
    turn = text[text.index(".turn") :].split(".size")[0]
    assert "ymm" in turn
    assert not re.search(r"\bcall", turn)
