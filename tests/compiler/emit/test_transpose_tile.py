"""Tiles transposed in registers, for vectors of every width and elements of every size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenfold_rt import dtypes
from tenfold_rt.dtypes import DType
from tenfoldc.emit.object_code import compile_text
from tenfoldc.emit.program import emit_program
from tenfoldc.loops.ir import Allocation, Buffer, Kernel, Program, TransposeTile
from tenfoldc.loops.scalar import index
from tenfoldc.target import Target, named

PITCH, ROWS, COLUMNS = 80, 70, 75


def transposing(dtype: DType) -> Program:
    """ROWS by COLUMNS of a square matrix, from (2, 1) of the source to (1, 3) of the target."""
    source, target = Buffer("source", dtype, (PITCH**2,)), Buffer("target", dtype, (PITCH**2,))
    places = (index(PITCH + 3), PITCH), (index(2 * PITCH + 1), PITCH)
    tile = TransposeTile(target, *places[0], source, *places[1], index(ROWS), index(COLUMNS))
    return Program("f", (source,), (target,), (), {}, (Kernel("tile", (tile,)),))


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("dtype", [dtypes.i8, dtypes.i16, dtypes.f32, dtypes.f64], ids=str)
def test_every_element_arrives(
    dtype: DType, vector_bytes: int, load_program: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Target, "vector_bytes", vector_bytes)
    values = np.arange(PITCH**2).astype(dtype.numpy)
    target = np.zeros_like(values)
    load_program(transposing(dtype)).into([target], values)
    expected = np.zeros((PITCH, PITCH), target.dtype)
    expected[1 : 1 + ROWS, 3 : 3 + COLUMNS] = values.reshape(PITCH, PITCH)[2 : 2 + COLUMNS, 1 : 1 + ROWS].T
    np.testing.assert_array_equal(target.reshape(PITCH, PITCH), expected)


@pytest.mark.parametrize(
    ("dtype", "unpacks"), [(dtypes.i8, 64), (dtypes.i16, 24), (dtypes.f32, 8), (dtypes.f64, 2)], ids=str
)
def test_a_block_takes_one_instruction_a_register_and_round(dtype: DType, unpacks: int) -> None:
    target = named("x86-64-v3")
    text = emit_program(transposing(dtype), Allocation({}, 0), target).text.replace("define internal i32", "define i32")
    code = compile_text(text, target).assembly()
    blocks, rest = divmod(code.count("unpck"), unpacks)
    assert (blocks > 0, rest) == (True, 0)
    assert "vperm" not in code
