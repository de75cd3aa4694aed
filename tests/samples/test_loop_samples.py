"""Samples whose programs loop: what they print, the same from C, and their gradients beside finite differences."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tenfold as tn

SAMPLES = Path(__file__).parents[2] / "samples"
CC = shutil.which("cc")
NAMES = ["newton", "adaptive_runge_kutta", "kalman_filter", "lstm", "n_body", "ray_marcher"]


def run(*command: object) -> str:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@cache
def sample(name: str) -> ModuleType:
    """The module of a sample."""
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, str]]:
    """Where a sample of a name wrote to, and what it printed; each runs once."""

    @cache
    def of(name: str) -> tuple[Path, str]:
        directory = tmp_path_factory.mktemp(name)
        return directory, run(sys.executable, SAMPLES / f"{name}.py", "--output", directory)

    return of


def numbers(text: str) -> list[float]:
    return [float(word) for word in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w(])", text)]


@pytest.mark.skipif(CC is None, reason="needs a C compiler")
@pytest.mark.parametrize("name", NAMES)
def test_the_c_program_prints_what_python_prints(name: str, printed: Callable[[str], tuple[Path, str]]) -> None:
    directory, expected = printed(name)
    program = directory / name
    warnings = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    library = ["-I", directory, "-L", directory, f"-l{name}", f"-Wl,-rpath,{directory}", "-lm"]
    run(CC, *warnings, SAMPLES / f"{name}.c", *library, "-o", program)
    output = run(program, directory)
    # Python's compares with the truth besides, which C is not told.
    same = [line for line in expected.splitlines() if not line.startswith("error ")]
    assert re.sub(r"\d", "0", "\n".join(same)) == re.sub(r"\d", "0", output.rstrip("\n"))
    np.testing.assert_allclose(numbers(output), numbers("\n".join(same)), rtol=1e-6, atol=2e-8)


def assert_slope(
    function: Callable[[np.ndarray], Any], at: np.ndarray, gradient: Any, h: float = 1e-5, rtol: float = 1e-7
) -> None:
    """`gradient` is that of `function`, which gives one number, along two directions."""
    for seed in range(2):
        direction = np.random.default_rng(seed).standard_normal(np.shape(at))
        difference = (float(function(at + h * direction)) - float(function(at - h * direction))) / (2 * h)
        np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=rtol, atol=rtol / 10)


def test_newton_finds_the_closed_form_of_its_derivatives() -> None:
    module = sample("newton")
    for e, m in [(0.0, 1.0), (0.3, 2.0), (0.9, 0.1)]:
        for function in (module.through_the_loop, module.by_the_theorem):
            solution, by = function(e, m)
            assert abs(solution - e * np.sin(solution) - m) < 1e-11
            slope = 1 - e * np.cos(solution)
            np.testing.assert_allclose(by, (np.sin(solution) / slope, 1 / slope), rtol=1e-9)


def test_newton_has_the_right_second_derivatives() -> None:
    module = sample("newton")
    e, m = np.linspace(0.1, 0.8, module.ORBITS), np.linspace(0.5, 3, module.ORBITS)
    found = module.of_many(e, m)
    for orbit in range(module.ORBITS):
        for direction, moved in enumerate(((1e-5, 0), (0, 1e-5))):
            above = module.by_the_theorem(e[orbit] + moved[0], m[orbit] + moved[1])[1]
            below = module.by_the_theorem(e[orbit] - moved[0], m[orbit] - moved[1])[1]
            difference = (np.array(above) - np.array(below)) / 2e-5
            np.testing.assert_allclose(found[orbit, :, direction], difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mu", [0.5, 2.0, 8.0])
def test_adaptive_steps_have_the_finite_difference_as_derivative(mu: float) -> None:
    module = sample("adaptive_runge_kutta")
    initial = np.array([2.0, 0.0])
    by_initial, by_mu = module.sensitivities(initial, mu)
    end = lambda both: module.solve(both[:2], both[2])[0][0]  # noqa: E731
    assert_slope(end, np.array([2.0, 0.0, mu]), np.array([*by_initial, by_mu]), h=1e-6, rtol=1e-5)


def test_how_many_steps_are_taken_depends_on_the_data() -> None:
    module = sample("adaptive_runge_kutta")
    attempts = {int(module.solve(np.array([2.0, 0.0]), mu)[1]) for mu in (0.5, 2.0, 8.0)}
    assert len(attempts) == 3


def test_kalman_filter_has_the_finite_difference_as_gradient() -> None:
    module = sample("kalman_filter")
    _, measured = module.series()
    at = np.array([-2.0, 0.3])
    assert_slope(lambda n: module.track(n, measured)[1], at, module.likelihood_gradient(at, measured))


def test_kalman_filter_learns_the_noise(printed: Callable[[str], tuple[Path, str]]) -> None:
    _, output = printed("kalman_filter")
    wander, error = map(float, re.search(r"noises ([\d.]+) and ([\d.]+)", output).groups())
    before, after = map(float, re.search(r"error ([\d.]+) as measured, ([\d.]+) filtered", output).groups())
    assert 0.03 < wander < 0.1
    assert 0.7 < error < 0.9
    assert after < 0.6 * before


def test_lstm_has_the_finite_difference_as_gradient() -> None:
    module = sample("lstm")
    rng = np.random.default_rng(1)
    network = {name: value.astype(np.float64) for name, value in module.initial_network(rng).items()}
    series = module.draw_series(rng).astype(np.float64)[:20]
    error = tn.compile(module.mean_squared_error)
    found = tn.compile(module.gradient)(network, series)
    for name in network:
        assert_slope(lambda value, name=name: error(network | {name: value}, series), network[name], found[name])


def test_lstm_has_the_same_gradient_with_checkpoints() -> None:
    module = sample("lstm")
    rng = np.random.default_rng(1)
    network, series = module.initial_network(rng), module.draw_series(rng)
    plain = tn.compile(lambda *inputs: module.gradient(*inputs))(network, series)
    checked = tn.compile(lambda *inputs: module.gradient(*inputs, checkpoint="sqrt"))(network, series)
    for name in network:
        np.testing.assert_allclose(checked[name], plain[name], rtol=1e-4, atol=1e-6)


def test_lstm_learns(printed: Callable[[str], tuple[Path, str]]) -> None:
    errors = [float(number) for number in re.findall(r"error ([\d.]+)", printed("lstm")[1])]
    assert errors[-1] < errors[0] / 50


def test_n_body_has_the_finite_difference_as_gradient() -> None:
    module = sample("n_body")
    positions, velocities = module.circular_orbits()

    def end(velocities: np.ndarray) -> float:
        last = module.simulate(positions, velocities)[0]
        return float(np.linalg.norm(last[2] - last[0]))

    distance, found = module.aim(positions, velocities)
    np.testing.assert_allclose(distance, end(velocities), rtol=1e-12)
    assert_slope(end, velocities, found, h=1e-6, rtol=1e-6)


def test_n_body_keeps_its_energy_and_hits_its_target(printed: Callable[[str], tuple[Path, str]]) -> None:
    _, output = printed("n_body")
    before, end = map(float, re.search(r"energy (\S+), at the end (\S+)", output).groups())
    distances = [float(number) for number in re.findall(r"last distance ([\d.]+)", output)]
    assert abs(end / before - 1) < 1e-6
    assert abs(distances[-1] - sample("n_body").TARGET) < 1e-3


def test_ray_marcher_has_the_finite_difference_as_gradient() -> None:
    module = sample("ray_marcher")
    scene = module.example()
    value, found = module.mean_brightness(scene)
    np.testing.assert_allclose(value, np.mean(module.draw(scene)), rtol=1e-12)
    for name in scene:
        mean = lambda part, name=name: module.mean_brightness(scene | {name: part})[0]  # noqa: E731
        assert_slope(mean, scene[name], found[name], h=1e-6, rtol=1e-3)
