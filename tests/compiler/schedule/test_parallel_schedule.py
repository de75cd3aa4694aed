"""Loops that threads share: which are, and that their turns are as independent as lowering says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from program_runner import run_program
from random_programs import RandomProgram

import tenfold as tn
from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.fuse import fuse
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Builder
from tenfoldc.ir.core import Function, Module
from tenfoldc.ir.types import TensorType
from tenfoldc.loops.ir import Constant, For, Program
from tenfoldc.loops.traversal import parallel_loops, walk_statements
from tenfoldc.loops.verifier import verify_program
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import parallel, schedule
from tenfoldc.simplify import simplify
from tenfoldc.target import host


def lowered(function: Function) -> Program:
    simple = simplify(Module({function.name: function}, (function.name,)), function.name)
    return lower(simple, fuse(simple), cpu_rules(host()))


def doubled(*shape: int) -> Function:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, shape))
    return Function("main", builder.region([x], [ops.add(x, x)]))


def product(rows: int, depth: int, columns: int) -> Function:
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (rows, depth)))
    y = builder.parameter(TensorType(dtypes.f32, (depth, columns)))
    result = ops.dot_general(x, y, lhs_contracting=[1], rhs_contracting=[0])
    return Function("main", builder.region([x, y], [result]))


def products(count: int) -> Function:
    """So many products of 32 x 128 x 128, each of what the last one gave: some 10 microseconds each."""
    builder = Builder()
    x = builder.parameter(TensorType(dtypes.f32, (32, 128)))
    y = builder.parameter(TensorType(dtypes.f32, (128, 128)))
    result = x
    for _ in range(count):
        result = ops.dot_general(result, y, lhs_contracting=[1], rhs_contracting=[0])
    return Function("main", builder.region([x, y], [result]))


def shared_loops(function: Function) -> list[For]:
    program = schedule(lowered(function), host())
    return [loop for kernel in program.kernels for loop in parallel_loops(kernel.body)]


@pytest.mark.parametrize("seed", range(40))
def test_turns_may_run_in_any_order(seed: int) -> None:
    program = RandomProgram(seed, 12)
    expected = interpret(Module({"main": program.function}, ("main",)), program.arguments)
    for result, wanted in zip(run_program(lowered(program.function), program.arguments), expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", range(40))
def test_tasks_may_run_in_any_order(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ASLEEP", 0.0)
    monkeypatch.setattr(parallel, "TASK", 0.5)
    monkeypatch.setattr(parallel, "_ALIGNED", 1)
    program = RandomProgram(seed, 12)
    expected = interpret(Module({"main": program.function}, ("main",)), program.arguments)
    scheduled = schedule(lowered(program.function), host())
    verify_program(scheduled)
    for result, wanted in zip(run_program(scheduled, program.arguments), expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)


def test_small_work_is_not_shared() -> None:
    assert not shared_loops(doubled(1000))
    assert not shared_loops(product(32, 32, 32))


def test_smaller_work_is_shared_where_more_of_it_follows() -> None:
    assert not shared_loops(products(1))
    assert len(shared_loops(products(40))) == 40


@pytest.mark.parametrize(("turns", "shared"), [(4, 0), (400, 1)])
def test_the_turns_of_a_loop_follow_each_other(turns: int, shared: int) -> None:
    def function(x: Any, w: Any) -> Any:
        return tn.fori_loop(0, turns, lambda i, x: x @ w, x)

    text = tn.compile(function).lower(tn.f32[32, 128], tn.f32[128, 128]).text("loops")
    _, loop = text.split("while (")
    assert loop.count("parallel") == shared


def test_tiles_of_one_column_panel_are_cut_into_tasks() -> None:
    shared = shared_loops(product(2000, 200, 16))
    assert shared
    assert all(isinstance(loop.extent, Constant) and loop.extent.value > 1 for loop in shared)


def test_large_loops_are_cut_into_tasks_by_size_alone() -> None:
    (loop,) = shared_loops(doubled(1 << 22))
    assert isinstance(loop.extent, Constant)
    assert loop.extent.value == parallel.MOST_TASKS


def test_tasks_of_a_ragged_loop_cover_it() -> None:
    size = (1 << 20) + 3
    (loop,) = shared_loops(doubled(size))
    (inner,) = [statement for statement in loop.body if isinstance(statement, For)]
    assert isinstance(loop.extent, Constant)
    assert not isinstance(inner.extent, Constant)
    chunk = -(-size // loop.extent.value)
    assert loop.extent.value * (-(-chunk // 64) * 64) >= size


@pytest.mark.parametrize("shape", [(256, 256, 256), (1024, 512, 1024), (64, 576, 3136), (3, 4096, 4096)])
def test_no_shared_loop_lies_in_another(shape: tuple[int, int, int]) -> None:
    loops = shared_loops(product(*shape))
    assert loops
    for loop in loops:
        assert not list(parallel_loops(loop.body))


def test_private_memory_is_named_by_the_loops_that_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ASLEEP", 0.0)
    program = schedule(lowered(product(1536, 300, 300)), host())
    (kernel,) = program.kernels
    private = {buffer for loop in parallel_loops(kernel.body) for buffer in loop.private}
    assert private <= set(kernel.scratch)
    assert any(isinstance(statement, For) for statement in walk_statements(kernel.body))
