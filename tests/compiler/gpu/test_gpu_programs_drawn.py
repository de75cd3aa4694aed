"""Programs on a GPU: random ones against the interpreter, and results that replace the parameter they are made from."""

from __future__ import annotations

import numpy as np
import pytest
from compiled import case
from drawn_programs import FIRST, INTO_FIRST, SQUARE, TOLERANCE, drawn, matmul, numbers
from simulated import Case, check

from tenfoldc import ops

COUNT = 8


@pytest.mark.parametrize("batch", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 20))])
def test_random_programs(batch: int, request: pytest.FixtureRequest) -> None:
    seed = request.config.getoption("--seed") + batch
    programs = drawn(COUNT, seed, largest=16, steps=4)
    check([Case(f"program {i}", module, arrays, TOLERANCE) for i, (module, arrays) in enumerate(programs)])


def test_results_replace_the_parameter_that_they_read(rng: np.random.Generator) -> None:
    x = numbers(rng, *SQUARE)
    check([case(label, build, x, donated=FIRST) for label, build in INTO_FIRST.items()])


def test_donated_parameters_change_places(rng: np.random.Generator) -> None:
    arrays = [numbers(rng, 300) for _ in range(3)]
    each = ((0, 0), (1, 1), (2, 2))
    check(
        [
            case("swap", lambda a, b: (b, a), *arrays[:2], donated=each[:2]),
            case("cycle", lambda a, b, c: (b, c, a), *arrays, donated=each),
            case("sum and difference", lambda a, b: (ops.add(b, a), ops.subtract(a, b)), *arrays[:2], donated=each[:2]),
        ]
    )


@pytest.mark.parametrize("donated", [0, 1])
def test_a_product_replaces_a_factor(donated: int, rng: np.random.Generator) -> None:
    arrays = numbers(rng, 70, 70), numbers(rng, 70, 70)
    check([case("product", matmul, *arrays, donated=((donated, 0),))])
