"""Programs that JAX exported, compiled and run natively, give JAX's answers."""

from __future__ import annotations

from pathlib import Path

import exported
import numpy as np
import pytest
from compiled import Array, call, close, compare_all, compile_library

from tenfold.text.parser import parse
from tenfoldc.interpret import interpret
from tenfoldc.ir.core import Module
from tenfoldc.ir.types import TensorType

TOLERANCE = close(f32=4e-6, f64=1e-13)

CHAOTIC = "ode_nbody"
"""100 steps of 64 bodies turn one rounding into errors of 0.1, so JAX's answer is one of many."""

WITHOUT_ARRAYS = tuple(name for name in exported.NAMES if name not in exported.WITH_ARRAYS)


def module_of(name: str) -> Module:
    return parse(exported.text(name), file=f"{name}.mlir")


@pytest.mark.parametrize("name", [name for name in exported.WITH_ARRAYS if name != CHAOTIC])
def test_exported_program_gives_the_answers_of_jax(name: str, tmp_path: Path) -> None:
    module, arrays = module_of(name), exported.arrays(name, "in")
    results = call(compile_library([module], tmp_path), module, arrays)
    compare_all(results, exported.arrays(name, "out"), TOLERANCE)


@pytest.mark.parametrize("name", WITHOUT_ARRAYS)
def test_exported_program_without_arrays_is_interpreted_alike(
    name: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    module = module_of(name)
    arrays = [_moderate(rng, type_) for type_ in module["main"].type.parameters]
    results = call(compile_library([module], tmp_path), module, arrays)
    compare_all(results, interpret(module, arrays), close(f32=1e-4, f64=1e-12))


def _moderate(rng: np.random.Generator, type_: TensorType) -> Array:
    if type_.dtype.is_float:
        return np.asarray(rng.uniform(0.01, 0.1, type_.sizes), type_.dtype.numpy)
    return np.asarray(rng.integers(0, 2, type_.sizes), type_.dtype.numpy)


def test_bodies_move_as_interpreted_over_three_steps(tmp_path: Path) -> None:
    text = exported.text(CHAOTIC)
    assert text.count("dense<100>") == 1
    module = parse(text.replace("dense<100>", "dense<3>"))
    arrays = exported.arrays(CHAOTIC, "in")
    results = call(compile_library([module], tmp_path), module, arrays)
    compare_all(results, interpret(module, arrays), close(f32=1e-3, f64=1e-12))
