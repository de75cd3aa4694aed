"""Transposed operands and results: staged through tiles, so that all loops run along memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compiled import Build, Case, case, check
from loop_programs import f32, function, lowered, scratch_of
from numpy.typing import NDArray

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.ir.builder import Var
from tenfoldc.loops.ir import Program, TransposeTile
from tenfoldc.loops.traversal import walk_statements


def tiles_of(program: Program) -> list[TransposeTile]:
    statements = walk_statements(statement for kernel in program.kernels for statement in kernel.body)
    return [statement for statement in statements if isinstance(statement, TransposeTile)]


def tiles_for(types: Sequence[tuple[int, ...]], compute: Build) -> list[TransposeTile]:
    return tiles_of(lowered(function([f32(*shape) for shape in types], compute)))


def with_transpose(x: Var) -> Var:
    return ops.add(x, ops.transpose(x, [1, 0]))


def test_a_transposed_operand_is_read_in_tiles() -> None:
    program = lowered(function([f32(100, 100)], lambda x: [with_transpose(x)]))
    (tile,) = tiles_of(program)
    assert tile.source.storage is program.parameters[0]
    assert [buffer.shape for buffer in scratch_of(program)] == [(64 * 64,)]


def test_a_transposed_result_is_written_in_tiles() -> None:
    def both(x: Var, y: Var) -> Sequence[Var]:
        total = ops.add(x, y)
        return total, ops.transpose(total, [1, 0])

    program = lowered(function([f32(96, 80)] * 2, both))
    assert len(program.kernels) == 1
    (tile,) = tiles_of(program)
    assert tile.target.storage is program.results[1]
    assert len(scratch_of(program)) == 1


def test_an_operand_read_twice_is_transposed_once() -> None:
    def twice(x: Var) -> Sequence[Var]:
        across = ops.transpose(x, [1, 0])
        return [ops.multiply(ops.add(x, across), ops.exponential(across))]

    assert len(tiles_for([(64, 64)], twice)) == 1


def test_loops_run_along_what_most_accesses_run_along() -> None:
    (tile,) = tiles_for([(64, 48)] * 2, lambda x, y: [ops.transpose(ops.add(x, y), [1, 0])])
    assert tile.target.name.startswith("result")


def test_two_operands_have_tiles_of_their_own() -> None:
    def both(x: Var, y: Var, z: Var) -> Sequence[Var]:
        total = ops.add(z, ops.transpose(ops.add(x, y), [1, 0]))
        return total, ops.negate(total)

    assert len({tile.target for tile in tiles_for([(64, 48), (64, 48), (48, 64)], both)}) == 2


@pytest.mark.parametrize("permutation", [(0, 2, 3, 1), (0, 3, 1, 2)])
def test_images_change_their_layout_in_tiles(permutation: tuple[int, ...]) -> None:
    assert len(tiles_for([(2, 16, 12, 24)], lambda x: [ops.transpose(x, permutation)])) == 1


def test_narrow_tensors_have_no_tiles() -> None:
    assert not tiles_for([(3, 1000)], lambda x: [ops.transpose(x, [1, 0])])


def test_heads_that_stay_contiguous_have_no_tiles() -> None:
    assert not tiles_for([(2, 16, 8, 32)], lambda x: [ops.transpose(x, [0, 2, 1, 3])])


def _values(shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    return (np.random.default_rng(1).integers(0, 100, shape) % (2 if dtype == "bool" else 100)).astype(dtype)


DTYPES = ("bool", "uint8", "int16", "float16", "int32", "float32", "float64", "int64")
SHAPES = ((8, 8), (9, 17), (64, 64), (65, 130), (100, 8), (31, 200))


def _cases() -> list[Case]:
    cases = [
        case(f"{dtype}{shape}", lambda x: ops.transpose(x, [1, 0]), _values(shape, dtype))
        for dtype in DTYPES
        for shape in SHAPES
    ]
    square = np.random.default_rng(2).standard_normal((70, 70)).astype(np.float32)
    cases += [
        case("in place", lambda x: ops.transpose(x, [1, 0]), square, donated=[(0, 0)]),
        case("sum in place", with_transpose, square, donated=[(0, 0)]),
        case("both", lambda x: [ops.negate(x), ops.transpose(ops.negate(x), [1, 0])], square[:, :50].copy()),
        case("rotated", lambda x: ops.transpose(x, [2, 0, 1]), _values((20, 30, 40), "float32")),
        case("mixed", lambda x: ops.transpose(ops.convert(x, dtypes.f64), [1, 0]), square),
        case("reversed", lambda x: ops.reverse(ops.transpose(x, [1, 0]), [0]), square),
        case("part", lambda x: ops.transpose(ops.slice_(x, (3, 5), (60, 49)), [1, 0]), square),
    ]
    return cases


def test_native_code_agrees_with_the_interpreter(tmp_path: Path) -> None:
    check(_cases(), tmp_path)
