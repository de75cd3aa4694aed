"""The lowering of top_k, executed on loop IR, against its reference: by insertion, in parts, by selection, sorted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from plain_context import LoadProgram, Lowering, assert_lowered

from tenfoldc import ops
from tenfoldc.loops.ir import Apply, For, If, Mode, Primitive
from tenfoldc.loops.traversal import walk_statements
from tenfoldc.lower import top_k
from tenfoldc.lower.top_k import lower_top_k
from tenfoldc.schedule.cost import turns_of

_ORDERS: dict[str, Callable[[int], NDArray[np.float64]]] = {
    "random": lambda size: np.random.default_rng(84).standard_normal(size),
    "with ties": lambda size: np.random.default_rng(85).integers(0, 9, size).astype(np.float64),
    "ascending": lambda size: np.arange(size, dtype=np.float64),
    "descending": lambda size: -np.arange(size, dtype=np.float64),
    "constant": np.ones,
    "NaN": lambda size: np.where(np.arange(size) % 11 == 5, np.nan, np.sin(np.arange(size))),
    "only NaN": lambda size: np.full(size, np.nan),
    "zeros and infinities": lambda size: np.resize([0.0, -0.0, -np.inf, 0.0, np.inf], size),
}


@pytest.mark.parametrize("k", [0, 1, 3, 9, 20])
@pytest.mark.parametrize("inserted", [9, 0])
def test_few_or_many(k: int, inserted: int, monkeypatch: pytest.MonkeyPatch, load_program: LoadProgram):
    """By insertion and by sorting."""
    monkeypatch.setattr(top_k, "INSERTED", {False: inserted})
    x = np.random.default_rng(84).integers(0, 9, (3, 20)).astype(np.float64)
    x[1, 4:9] = np.nan
    assert_lowered(lambda x: ops.top_k(x, k), [x], lower_top_k, load_program)


@pytest.mark.parametrize("order", _ORDERS)
def test_lines_of_any_order(order: str, load_program: LoadProgram):
    """Some blocks and elements that remain."""
    x = _ORDERS[order](2 * 150).reshape(2, 150)
    assert_lowered(lambda x: ops.top_k(x, 7), [x], lower_top_k, load_program)
    assert_lowered(lambda x: ops.top_k(x, 7), [x.astype(np.float32)], lower_top_k, load_program)


@pytest.mark.parametrize("order", _ORDERS)
def test_the_largest_are_selected_before_they_are_sorted(order: str, load_program: LoadProgram):
    """More than are inserted, but less than half."""
    x = _ORDERS[order](2 * 70).reshape(2, 70)
    assert_lowered(lambda x: ops.top_k(x, 30), [x.astype(np.float32)], lower_top_k, load_program)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint16, np.int32, np.float64, np.uint64])
def test_elements_of_any_type_are_selected(dtype: type, load_program: LoadProgram):
    x = np.random.default_rng(88).integers(0, 40, (2, 64)).astype(dtype)
    if dtype is np.uint64:
        x[0, ::3] += np.uint64(2**63)
    assert_lowered(lambda x: ops.top_k(x, 27), [x], lower_top_k, load_program)


def test_selection_copies_without_branches():
    operation = Lowering(lambda x: ops.top_k(x, 30), [np.zeros((2, 70), np.float32)], lower_top_k)
    assert not any(isinstance(statement, If) for statement in walk_statements(operation.statements))


@pytest.mark.parametrize("order", _ORDERS)
@pytest.mark.parametrize("size", [400, 403])
def test_lines_in_parts(order: str, size: int, monkeypatch: pytest.MonkeyPatch, load_program: LoadProgram):
    """Equal elements of different parts keep their order; the last part may be shorter."""
    monkeypatch.setattr(top_k, "PART", 100)
    x = _ORDERS[order](2 * size).astype(np.float32).reshape(2, size)
    assert_lowered(lambda x: ops.top_k(x, 5), [x], lower_top_k, load_program)


@pytest.mark.parametrize("size", [9, 71, 72, 73, 136, 200])
def test_lines_of_any_length(size: int):
    x = np.random.default_rng(87).integers(0, 50, (2, size)).astype(np.float32)
    assert_lowered(lambda x: ops.top_k(x, 8), [x], lower_top_k)


@pytest.mark.parametrize("dtype", ["bool", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_all_types(dtype: str, load_program: LoadProgram):
    x = np.random.default_rng(85).integers(0, 120, (2, 600)).astype(dtype)
    assert_lowered(lambda x: ops.top_k(x, 5), [x], lower_top_k, load_program)


def test_no_lines():
    assert_lowered(lambda x: ops.top_k(x, 2), [np.zeros((0, 3))], lower_top_k)


@pytest.mark.parametrize(("shape", "k"), [((10, 1000), 10), ((1, 300_000), 50), ((300_000,), 1)])
def test_no_copy_of_a_line_is_made(shape: tuple[int, ...], k: int):
    """Memory is for the best alone, of each part of a line where that is read in parts."""
    lowering = Lowering(lambda x: ops.top_k(x, k), [np.zeros(shape, np.float32)], lower_top_k)
    assert sum(math.prod(buffer.shape) for buffer in lowering.context.scratches) <= 2 * (top_k.PARTS + 1) * k


def test_blocks_without_a_larger_element_are_only_compared():
    """A fold of whole vectors asks whether any element of a block is larger; all else is done where one is."""
    lowering = Lowering(lambda x: ops.top_k(x, 10), [np.zeros((10, 1000), np.float32)], lower_top_k)
    loops = [loop for loop in walk_statements(lowering.statements) if isinstance(loop, For)]
    (blocks,) = [loop for loop in loops if loop.axis.name == "block"]
    *_, compared, looked_at = blocks.body
    assert isinstance(looked_at, If)
    assert isinstance(compared, For)
    assert not compared.body
    (carry,) = compared.carries
    assert isinstance(carry.next, Apply)
    assert carry.next.primitive is Primitive.OR


def test_threads_share_a_long_line():
    lowering = Lowering(lambda x: ops.top_k(x, 10), [np.zeros(300_000, np.float32)], lower_top_k)
    parts, *_ = lowering.statements
    assert isinstance(parts, For)
    assert parts.mode is Mode.PARALLEL
    assert turns_of(parts.extent) == top_k.PARTS
