"""Random programs with branches and loops: every transformation against its definition, compiled as interpreted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compiled import Array, Case, case, check, close
from random_loops import SIZE, VECTOR, random_program
from test_control_transforms import difference, gradient, pushed, run, scalar_of

from tenfoldc import ops
from tenfoldc.interpret import interpret_region
from tenfoldc.ir.builder import Var, build_region
from tenfoldc.transform import vmap

BATCHES, PER_BATCH = 20, 10
"""Programs are compiled a batch at a time, as one library."""

GRADIENTS = 1
"""Programs of a batch whose gradients are compiled too: these are many times larger."""

CLOSE = close(f32=0, f64=1e-9)
LANES = 2
TYPES = [VECTOR, VECTOR]
Body = Callable[..., list[Var]]


def drawn(batch: int, first_seed: int) -> list[tuple[int, Body, list[Array]]]:
    """The programs of a batch with their seeds and arguments."""
    found: list[tuple[int, Body, list[Array]]] = []
    for number in range(PER_BATCH):
        seed = first_seed + batch * PER_BATCH + number
        rng = np.random.default_rng(seed)
        found.append((seed, random_program(rng), [rng.uniform(-1, 1, SIZE) for _ in range(2)]))
    print(f"random seeds: {found[0][0]} to {found[-1][0]}")
    return found


def mapped(body: Body) -> Body:
    """`body` over a batch of both arguments."""

    def build(*arguments: Var) -> list[Var]:
        region = build_region(TYPES, body)
        results, flags = vmap(arguments[0].builder, region, arguments, [True, True], LANES)
        return [r if flag else ops.add_batch_axis(r, LANES) for r, flag in zip(results, flags, strict=True)]

    return build


def check_transformations(program: Body, arrays: list[Array], seed: int) -> None:
    rng = np.random.default_rng(seed + 1_000_000)
    tangents = [rng.standard_normal(SIZE) for _ in arrays]
    forward = run(pushed(program, TYPES), [*arrays, *tangents])
    for found, expected in zip(forward, difference(program, arrays, tangents), strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-7, err_msg="jvp is the finite difference")
    (along,) = run(pushed(scalar_of(program), TYPES), [*arrays, *tangents])
    backward = run(gradient(program, TYPES), arrays)
    dot = sum(np.vdot(g, t) for g, t in zip(backward, tangents, strict=True))
    np.testing.assert_allclose(dot, along, rtol=1e-9, atol=1e-11, err_msg="vjp is the transpose of jvp")

    lanes = [rng.uniform(-1, 1, (LANES, SIZE)) for _ in arrays]
    of_batch = run(gradient(mapped(program), [VECTOR.with_shape((LANES, SIZE))] * 2), lanes)
    batch_of = run(mapped(gradient(program, TYPES)), lanes)
    batch = run(mapped(program), lanes)
    for lane in range(LANES):
        example = [values[lane] for values in lanes]
        for found, expected in zip(batch, run(program, example), strict=True):
            np.testing.assert_allclose(found[lane], expected, rtol=1e-10, atol=1e-12, err_msg="vmap is a loop")
        for first, second, each in zip(of_batch, batch_of, run(gradient(program, TYPES), example), strict=True):
            np.testing.assert_allclose(first[lane], each, rtol=1e-8, atol=1e-10, err_msg="gradient of vmap")
            np.testing.assert_allclose(second[lane], each, rtol=1e-8, atol=1e-10, err_msg="vmap of gradient")


@pytest.mark.parametrize("batch", range(BATCHES))
def test_transformations_of_random_loops(batch: int, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    cases: list[Case] = []
    for seed, program, arrays in drawn(batch, request.config.getoption("--seed")):
        try:
            check_transformations(program, arrays, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from None
        cases.append(case(f"program {seed}", program, *arrays, compare=CLOSE))
        if len(cases) <= GRADIENTS:
            cases.append(case(f"gradient {seed}", gradient(program, TYPES), *arrays, compare=CLOSE))
    check(cases, tmp_path)


def test_programs_are_the_same_for_the_same_seed() -> None:
    regions = [build_region(TYPES, random_program(np.random.default_rng(5))) for _ in range(2)]
    arrays = [np.full(SIZE, 0.3), np.full(SIZE, -0.4)]
    first, second = (interpret_region(region, arrays) for region in regions)
    np.testing.assert_array_equal(first, second)
