"""Integrate a differential equation with steps of adaptive size, and differentiate where it ends.

    python samples/adaptive_runge_kutta.py [--output DIRECTORY]

Van der Pol's oscillator, x'' = mu (1 - x^2) x' - x, is slow and fast by turns; the pair of formulas of Bogacki and
Shampine (Applied Mathematics Letters 2, 1989), of orders 3 and 2, chooses each step by the error that it estimates.
How many steps that takes depends on the data, and the gradient of the end by the beginning and by mu goes back
through all of them.  Two functions are written as a C library for `samples/adaptive_runge_kutta.c`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import tenfold as tn

END, TOLERANCE = 6.0, 1e-7


def slope(state, mu):
    """The derivative by time of the state (x, x')."""
    position, velocity = state[0], state[1]
    return tn.stack([velocity, mu * (1 - position**2) * velocity - position])


def step_and_error(state, first_slope, step, mu):
    """The state after one step, the slope there, and an estimate of the step's error."""
    second = slope(state + step * first_slope / 2, mu)
    third = slope(state + step * second * (3 / 4), mu)
    moved = state + step * (2 * first_slope + 3 * second + 4 * third) / 9
    last = slope(moved, mu)
    error = step * (-5 * first_slope / 72 + second / 12 + third / 9 - last / 8)
    return moved, last, tn.sqrt(tn.sum(error**2))


def integrate(initial, mu):
    """The state at time `END`, and how many steps led there, refused ones among them."""

    def unfinished(carry):
        return carry["time"] < END

    def attempt(carry):
        step = tn.minimum(carry["step"], END - carry["time"])
        moved, last, error = step_and_error(carry["state"], carry["slope"], step, mu)
        relative = error / TOLERANCE
        accepted = relative <= 1
        factor = tn.clip(0.9 * (relative + 1e-10) ** (-1 / 3), 0.2, 5.0)
        return {
            "time": tn.where(accepted, carry["time"] + step, carry["time"]),
            "state": tn.where(accepted, moved, carry["state"]),
            "slope": tn.where(accepted, last, carry["slope"]),
            "step": step * factor,
            "attempts": carry["attempts"] + 1,
        }

    begin = {"time": 0.0, "state": initial, "slope": slope(initial, mu), "step": 0.01, "attempts": 0}
    end = tn.while_loop(unfinished, attempt, begin)
    return end["state"], end["attempts"]


@tn.compile
def solve(initial: tn.f64[2], mu: tn.f64[()]):
    """The state at time `END` and the number of attempted steps."""
    return integrate(initial, mu)


@tn.compile
def sensitivities(initial: tn.f64[2], mu: tn.f64[()]):
    """The derivatives of the position at time `END`: by the initial state, and by mu."""
    return tn.grad(lambda *inputs: integrate(*inputs)[0][0], argnums=(0, 1))(initial, mu)


def main() -> None:
    parser = argparse.ArgumentParser(description="Integrate an oscillator, with derivatives.")
    default = Path("build/adaptive_runge_kutta")
    parser.add_argument("--output", type=Path, default=default, help="where the library goes (%(default)s)")
    directory = parser.parse_args().output
    for mu in (np.float64(0.5), np.float64(2.0), np.float64(8.0)):
        initial = np.array([2.0, 0.0])
        state, attempts = solve(initial, mu)
        by_initial, by_mu = sensitivities(initial, mu)
        print(f"mu {mu:.1f}: {attempts} steps to x {state[0]:.10f}, x' {state[1]:.10f}")
        print(f"  dx by x(0) {by_initial[0]:.8f}, by x'(0) {by_initial[1]:.8f}, by mu {by_mu:.8f}")
    directory.mkdir(parents=True, exist_ok=True)
    tn.export([solve, sensitivities], directory / "libadaptive_runge_kutta.so")


if __name__ == "__main__":
    main()
