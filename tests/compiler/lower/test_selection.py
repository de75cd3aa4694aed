"""Sums through which a comparison with the index lets one term: no loop runs over the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled import case, check, close
from loop_programs import f32, function, lowered

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import For
from tenfoldc.loops.traversal import walk_statements


def pick(x: Var, labels: Var) -> Var:
    """x[row, labels[row]], 0 where that is outside."""
    indices = ops.iota(x.builder, x.type.with_dtype(labels.dtype), 1)
    chosen = ops.compare(ops.broadcast_in_dim(labels, x.shape, [0]), indices, ops.Direction.EQ)
    return ops.reduce_sum(ops.select(chosen, ops.exponential(x), ops.zeros_like(x)), [1])


def test_one_element_is_read_of_each_row() -> None:
    (kernel,) = lowered(function([f32(16, 40), TensorType(dtypes.i64, (16,))], pick)).kernels
    assert sum(isinstance(statement, For) for statement in walk_statements(kernel.body)) == 1


@pytest.mark.parametrize("dtype", [dtypes.i64, dtypes.i32, dtypes.u32, dtypes.i8])
def test_labels_outside_of_the_row_choose_nothing(dtype: DType, tmp_path: Path) -> None:
    x = np.random.default_rng(3).normal(size=(6, 40)).astype(np.float32)
    x[0, 3] = np.nan
    labels = np.array([5, 0, 39, 40, -1, 100]).astype(dtype.numpy)
    check([case("pick", pick, x, labels, compare=close(f32=1e-6, f64=1e-15))], tmp_path)
