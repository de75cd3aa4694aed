"""Random programs: what their loops compute is what the references compute."""

from __future__ import annotations

import numpy as np
import pytest
from loop_programs import lowered
from program_runner import run_program
from random_programs import RandomProgram

from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Module


@pytest.mark.parametrize("seed", range(60))
def test_loops_compute_what_the_references_do(seed: int) -> None:
    program = RandomProgram(seed, operations=8 + seed % 12)
    expected = interpret(Module({"main": program.function}), program.arguments)
    results = run_program(lowered(program.function), program.arguments)
    for result, want in zip(results, expected, strict=True):
        assert result.shape == want.shape
        np.testing.assert_allclose(result, want, rtol=2e-4, atol=2e-4)
