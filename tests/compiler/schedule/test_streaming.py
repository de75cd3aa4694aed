"""Results that are written past the cache: which are, and that they hold what they would hold otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compiled import case, check
from loop_programs import f32, function, layer_norm
from program_runner import run_program
from random_programs import RandomProgram

from tenfold_rt import dtypes
from tenfoldc import ops
from tenfoldc.fuse import fuse
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ir.core import Function, Module
from tenfoldc.loops.ir import Constant, Program, StreamCopy
from tenfoldc.loops.traversal import parallel_loops, walk_statements
from tenfoldc.loops.verifier import verify_program
from tenfoldc.lower import cpu_rules, lower
from tenfoldc.schedule import schedule, streaming
from tenfoldc.target import Target, named

X86 = named("x86-64-v3")
ARM = Target("aarch64-unknown-linux-gnu", "generic", ())
LARGE = 2 << 20
"""Floats that are too many."""


def scheduled(source: Function, target: Target = X86) -> Program:
    program = schedule(lower(source, fuse(source), cpu_rules(target)), target)
    verify_program(program)
    return program


def copies(program: Program) -> list[StreamCopy]:
    return [s for kernel in program.kernels for s in walk_statements(kernel.body) if isinstance(s, StreamCopy)]


def doubled(x: Var) -> Var:
    return ops.add(x, x)


def doubled_and_compared(x: Var) -> list[Var]:
    return [doubled(x), ops.compare(x, ops.full_like(x, 1), ops.Direction.GT)]


def doubled_and_negated(x: Var) -> list[Var]:
    return [doubled(x), ops.negate(x)]


def costly(x: Var) -> Var:
    return ops.exponential(ops.exponential(ops.tanh(x)))


def transposed(x: Var) -> Var:
    return ops.transpose(x, [1, 0])


def lengths(program: Program) -> list[int | None]:
    return [int(copy.count.value) if isinstance(copy.count, Constant) else None for copy in copies(program)]


def test_a_large_result_is_streamed_in_blocks_that_each_thread_has_of_its_own() -> None:
    program = scheduled(function([f32(LARGE)], doubled))
    (copy,), (loop,) = copies(program), parallel_loops(program.kernels[0].body)
    assert copy.target.base is program.results[0]
    assert loop.private == program.kernels[0].scratch == (copy.source,)


def test_long_rows_are_cut_and_short_ones_are_blocks() -> None:
    assert lengths(scheduled(function([f32(4096, 1024)], doubled))) == [256]

    def with_row(x: Var, row: Var) -> Var:
        return ops.add(x, ops.broadcast_in_dim(row, x.shape, [1]))

    assert lengths(scheduled(function([f32(16384, 128), f32(128)], with_row))) == [128]
    assert lengths(scheduled(function([f32(4096, 528), f32(528)], with_row))) == [176]
    assert lengths(scheduled(function([f32(LARGE // 16, 16), f32(16)], with_row))) == []
    assert lengths(scheduled(function([f32(4096, 1001), f32(1001)], with_row))) == []


def test_an_exponential_waits_for_memory_and_a_sine_does_not() -> None:
    assert lengths(scheduled(function([f32(LARGE)], ops.exponential))) == [256]
    assert lengths(scheduled(function([f32(LARGE)], ops.sine))) == []


def test_two_results_of_one_loop_are_both_streamed() -> None:
    program = scheduled(function([f32(LARGE)], doubled_and_negated))
    assert {copy.target.base for copy in copies(program)} == set(program.results)


def test_a_normalisation_streams_its_last_pass() -> None:
    assert lengths(scheduled(function([f32(4096, 1024), f32(1024), f32(1024)], layer_norm))) == [256]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (function([f32(LARGE - 64)], doubled), X86),
        (function([f32(LARGE)], doubled), ARM),
        (function([f32(LARGE)], doubled, donated=[(0, 0)]), X86),
        (function([f32(LARGE)], costly), X86),
        (function([f32(2048, 1024)], transposed), X86),
    ],
    ids=["small", "on another processor", "donated", "much to compute", "not in the order of memory"],
)
def test_what_does_not_gain_is_stored_as_usual(source: Function, target: Target) -> None:
    assert not copies(scheduled(source, target))


@pytest.mark.parametrize(("rows", "streamed"), [(2048, []), (4096, [256])])
def test_what_is_read_again_must_be_larger(rows: int, streamed: list[int]) -> None:
    def with_product(x: Var, y: Var) -> list[Var]:
        double = doubled(x)
        return [double, ops.dot_general(double, y, lhs_contracting=[1], rhs_contracting=[0])]

    assert lengths(scheduled(function([f32(rows, 1024), f32(1024, 64)], with_product))) == streamed


ODD = [
    (dtypes.f32, (4099,)),
    (dtypes.f64, (1, 1000)),
    (dtypes.f16, (3, 640)),
    (dtypes.bf16, (2500,)),
    (dtypes.i8, (9, 512)),
    (dtypes.i64, (0, 512)),
]


def test_elements_of_every_size_arrive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "_RESULT_BYTES", 0)
    monkeypatch.setattr(streaming, "_MOST_COST", float("inf"))
    rng = np.random.default_rng(0)
    cases = [
        case(f"{dtype} {shape}", doubled_and_compared, values)
        for dtype, shape in ODD
        for values in [rng.integers(-9, 9, shape).astype(dtype.numpy)]
    ]
    check(cases, tmp_path)


def test_programs_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "_RESULT_BYTES": 0,
        "_READ_BYTES": 0,
        "_LEAST_BYTES": 0,
        "_BLOCK_BYTES": 16,
        "_LINE": 8,
    }.items():
        monkeypatch.setattr(streaming, name, value)
    monkeypatch.setattr(streaming, "_MOST_COST", float("inf"))
    streamed = 0
    for seed in range(30):
        drawn = RandomProgram(seed, 12)
        expected = interpret(Module({"main": drawn.function}, ("main",)), drawn.arguments)
        program = scheduled(drawn.function)
        streamed += bool(copies(program))
        for result, wanted in zip(run_program(program, drawn.arguments), expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-4, atol=1e-4)
    assert streamed > 15
