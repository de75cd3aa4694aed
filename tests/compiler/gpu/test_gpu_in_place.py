"""Results take the memory of what they replace where each thread reads no elements but those that it writes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from cases_control import loop
from compiled import Build, case
from simulated import check, launches, plan_of

from tenfold_rt.cuda.plan import Launch, Loop
from tenfoldc import ops
from tenfoldc.ir.builder import Var


def _double(x: Var) -> Var:
    return ops.add(x, x)


def _reverse(x: Var) -> Var:
    return ops.reverse(x, (0,))


def _shift(x: Var) -> Var:
    return ops.add(x, ops.concatenate([ops.slice_(x, [1], [x.sizes[0]]), ops.slice_(x, [0], [1])], 0))


def _normalize(x: Var) -> Var:
    return ops.subtract(x, ops.broadcast_in_dim(ops.reduce_sum(x, (0,)), x.shape, ()))


@pytest.mark.parametrize("build", [_double, _reverse, _shift, _normalize])
@pytest.mark.parametrize("size", [3, 4, 1001, 4096])
def test_donated_memory_is_written_in_any_case(build: Build, size: int, rng: np.random.Generator) -> None:
    x = rng.integers(-9, 9, size)
    check([case(build.__name__, build, x, donated=[(0, 0)])], schedules=[0, 1])


@pytest.mark.parametrize(("build", "copies"), [(_double, 0), (_reverse, 1), (_shift, 1)])
def test_only_what_would_be_spoilt_is_computed_apart(build: Build, copies: int) -> None:
    plan = plan_of([case(build.__name__, build, np.zeros(5000, np.float32), donated=[(0, 0)]).module])
    assert len(launches(plan)) == 1 + copies


@pytest.mark.parametrize(("build", "copies"), [(_double, 0), (_reverse, 1)])
def test_turns_of_a_large_loop_copy_what_they_must(build: Build, copies: int) -> None:
    def run(n: Var, x: Var) -> Var:
        return loop(n, [x], lambda _, y: [build(y)])[0]

    plan = plan_of([case("turns", run, np.int32(3), np.zeros(5000, np.float32)).module])
    (turns,) = (step for step in plan.entries[0].steps if isinstance(step, Loop))
    assert len([step for step in turns.body if isinstance(step, Launch) and step.grid > 1]) == 1 + copies


def test_two_states_that_read_each_other_are_right(rng: np.random.Generator) -> None:
    def step(_: Var, x: Var, v: Var) -> Sequence[Var]:
        following = ops.subtract(v, x)
        return [ops.add(x, following), following]

    def run(n: Var, x: Var, v: Var) -> Sequence[Var]:
        return loop(n, [x, v], step)

    x, v = rng.integers(-9, 9, 1300), rng.integers(-9, 9, 1300)
    check([case("states", run, np.int32(3), x, v)], schedules=[0, 1])
