"""Follow planets around a star for a thousand steps, and differentiate where they end.

    python samples/n_body.py [--output DIRECTORY]

Leapfrog steps (Verlet, Physical Review 159, 1967) keep the energy's error bounded.  The gradient of one planet's last
distance from the star by the velocities at the beginning goes back through all steps; it then serves to aim: a few
steps of Newton's iteration along it find the velocity with which the planet ends at a given distance.  Two functions
are written as a C library for `samples/n_body.c`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import tenfold as tn

BODIES, STEPS, STEP = 4, 1000, 0.01
MASSES = np.array([1.0, 1e-3, 3e-4, 5e-5])
TARGET = 1.25


def separations(positions):
    """From each body to each other, [BODIES, BODIES, 2], and squared distances; those to itself are 1."""
    apart = positions[None, :, :] - positions[:, None, :]
    return apart, tn.sum(apart**2, dim=2) + tn.eye(BODIES, dtype=tn.float64)


def accelerations(positions):
    apart, squared = separations(positions)
    return tn.sum(apart * (tn.tensor(MASSES) / squared**1.5)[:, :, None], dim=1)


def energy(positions, velocities):
    """Kinetic and potential energy."""
    masses = tn.tensor(MASSES)
    _, squared = separations(positions)
    pairs = masses[:, None] * masses[None, :] * (1 - tn.eye(BODIES, dtype=tn.float64))
    return 0.5 * tn.sum(masses[:, None] * velocities**2) - 0.5 * tn.sum(pairs / tn.sqrt(squared))


def after(positions, velocities):
    """Positions and velocities after `STEPS` steps of length `STEP`."""

    def step(_, state):
        positions, velocities = state
        halfway = velocities + 0.5 * STEP * accelerations(positions)
        positions = positions + STEP * halfway
        return positions, halfway + 0.5 * STEP * accelerations(positions)

    return tn.fori_loop(0, STEPS, step, (positions, velocities))


def last_distance(positions, velocities):
    """How far the third body ends from the first."""
    positions, _ = after(positions, velocities)
    return tn.sqrt(tn.sum((positions[2] - positions[0]) ** 2))


@tn.compile
def simulate(positions: tn.f64[BODIES, 2], velocities: tn.f64[BODIES, 2]):
    """Positions and velocities at the end, and the energy at both ends."""
    ends = after(positions, velocities)
    return *ends, tn.stack([energy(positions, velocities), energy(*ends)])


@tn.compile
def aim(positions: tn.f64[BODIES, 2], velocities: tn.f64[BODIES, 2]):
    """The third body's last distance, and the derivatives of that by all velocities."""
    return tn.value_and_grad(last_distance, argnums=1)(positions, velocities)


def circular_orbits() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Planets at distances 1, 1.5 and 2 from the star, at right angles to each other."""
    radii = np.array([0.0, 1.0, 1.5, 2.0])
    directions = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
    speeds = np.array([0.0, 1.0, 1 / np.sqrt(1.5), 1 / np.sqrt(2.0)])
    return radii[:, None] * directions, speeds[:, None] * directions[:, ::-1] * np.array([-1.0, 1.0])


def main() -> None:
    parser = argparse.ArgumentParser(description="Follow planets around a star.")
    parser.add_argument(
        "--output", type=Path, default=Path("build/n_body"), help="where the library goes (%(default)s)"
    )
    directory = parser.parse_args().output
    positions, velocities = circular_orbits()
    _, _, (before, end) = simulate(positions, velocities)
    print(f"energy {before:.12f}, at the end {end:.12f}")
    for _ in range(5):
        distance, by_velocities = aim(positions, velocities)
        print(f"last distance {distance:.10f}, by velocity {by_velocities[2, 0]:.8f} {by_velocities[2, 1]:.8f}")
        direction = by_velocities[2]
        velocities[2] += (TARGET - distance) * direction / np.sum(direction**2)
    directory.mkdir(parents=True, exist_ok=True)
    tn.export([simulate, aim], directory / "libn_body.so")


if __name__ == "__main__":
    main()
