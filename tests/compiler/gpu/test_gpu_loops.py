"""Loops with small bodies are one launch of one block, and compute what launch after launch computes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cases_control import loop
from compiled import Case, case, close, compare_all
from simulated import call, check, launches, plan_of

from tenfold_rt import dtypes
from tenfold_rt.cuda.plan import Loop, Repeat, Step
from tenfoldc import ops
from tenfoldc.gpu import one_block
from tenfoldc.interpret import interpret
from tenfoldc.ir.builder import Var
from tenfoldc.ops.contraction import dot_general

NEAR = close(f32=1e-5, f64=1e-12)


def _step(_: Var, x: Var, w: Var) -> Sequence[Var]:
    """A recurrent layer: a product, a function of each element, a function of each row."""
    h = ops.tanh(dot_general(x, w, lhs_contracting=[1], rhs_contracting=[0]))
    total = ops.broadcast_in_dim(ops.reduce_sum(ops.multiply(h, h), (1,)), x.shape, (0,))
    return [ops.divide(h, ops.sqrt(total)), w]


def _recurrent(rng: np.random.Generator, rows: int, columns: int, turns: int = 5) -> Case:
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    w = rng.standard_normal((columns, columns)).astype(np.float32)

    def run(n: Var, x: Var, w: Var) -> Var:
        return loop(n, [x, w], _step)[0]

    return case(f"recurrent {rows} {columns}", run, np.int32(turns), x, w, compare=NEAR)


def _kinds(steps: Sequence[Step]) -> list[type[Step]]:
    return [type(step) for step in steps if isinstance(step, Loop | Repeat)]


def test_products_reductions_and_elements_take_turns_in_one_block(rng: np.random.Generator) -> None:
    program = _recurrent(rng, 5, 24)
    check([program], schedules=[0, 1, 2, 3])
    plan = plan_of([program.module])
    assert _kinds(plan.entries[0].steps) == []
    assert [launch.grid for launch in launches(plan)][-1] == 1


def test_a_block_computes_what_launches_compute_to_the_bit(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = _recurrent(rng, 7, 20)
    together = call(plan_of([program.module]), program.arrays)
    monkeypatch.setattr(one_block, "_MOST_TURNS", 0)
    plan = plan_of([program.module])
    assert _kinds(plan.entries[0].steps) == [Loop]
    assert [x.tobytes() for x in call(plan, program.arrays)] == [x.tobytes() for x in together]


@pytest.mark.parametrize("architecture", ["sm_80", "sm_90a"])
def test_tiles_of_a_product_take_turns_too(architecture: str, rng: np.random.Generator) -> None:
    program = _recurrent(rng, 33, 40, turns=2)
    plan = plan_of([program.module], architecture)
    assert _kinds(plan.entries[0].steps) == []
    results = [call(plan, program.arrays, schedule=schedule) for schedule in (0, 1)]
    compare_all(results[0], interpret(program.module, program.arrays), NEAR)
    assert results[0][0].tobytes() == results[1][0].tobytes()


def test_large_bodies_stay_launches_of_many_blocks(rng: np.random.Generator) -> None:
    plan = plan_of([_recurrent(rng, 600, 64).module])
    assert _kinds(plan.entries[0].steps) == [Loop]


def test_a_counted_loop_asks_the_host_for_nothing(rng: np.random.Generator) -> None:
    def run(x: Var) -> Var:
        turns = ops.constant(x.builder, 3, dtypes.i32)
        return loop(turns, [x], lambda _, y: [ops.add(y, ops.reverse(y, (0,)))])[0]

    program = case("counted", run, rng.integers(-9, 9, 1500))
    check([program])
    (turns,) = (step for step in plan_of([program.module]).entries[0].steps if isinstance(step, Loop | Repeat))
    assert isinstance(turns, Repeat)
    assert turns.count == 3


def test_a_loop_in_a_loop_and_a_condition_on_data(rng: np.random.Generator) -> None:
    def inner(_: Var, x: Var) -> Sequence[Var]:
        return [ops.add(x, ops.reverse(x, (0,)))]

    def outer(n: Var, x: Var) -> Sequence[Var]:
        return loop(n, [ops.subtract(x, ops.full_like(x, 1))], inner)

    def run(n: Var, x: Var) -> Var:
        return loop(n, [x], outer)[0]

    program = case("nested", run, np.int32(4), rng.integers(-9, 9, 70))
    check([program], schedules=[0, 1, 2])
    assert _kinds(plan_of([program.module]).entries[0].steps) == []


def test_rows_scanned_in_a_loop_of_known_length(rng: np.random.Generator) -> None:
    def run(x: Var) -> Var:
        return ops.sort([x], 0, True, lambda a, b: [ops.compare(a, b, ops.Direction.LT)])[0]

    def both(n: Var, x: Var) -> Var:
        return loop(n, [x], lambda _, y: [ops.cumulative_sum(run(y), 0)])[0]

    check([case("sorted", both, np.int32(3), rng.integers(-99, 99, 90))], schedules=[0, 1, 2])
